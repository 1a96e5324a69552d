// Which transports a job may use, by its record.

import type { Job } from '../model/job.ts'
import type { Transport } from '../ports/transport.ts'

const NOBODY_DETACHES =
  'the job names no VM to detach disks from (COLDFRAME_MOVER_VM must name a VM of this vCenter, and not the one that is backed up)'

/** `hotadd` only where the record says which VM a disk would be detached from, should the mover die. */
export function allowedTransports(job: Pick<Job, 'owes'>, transports: readonly Transport[]): readonly Transport[] {
  if (job.owes.some(({ kind }) => kind === 'hot-disk')) return transports
  return transports.map((transport) => {
    if (transport.name !== 'hotadd') return transport
    return {
      name: transport.name,
      refusal: (request) => transport.refusal(request) ?? NOBODY_DETACHES,
      open: (request, cancel) => transport.open(request, cancel),
    }
  })
}
