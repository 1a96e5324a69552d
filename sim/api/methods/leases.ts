// Exports of a snapshot's disks, or of a machine that is off, through a lease; and what can be done with the lease.

import { type SimConfig, SimFault, type SimSnapshotDisk } from '../../machine/types.ts'
import { numberAt, optionalDataAt, type Ref } from '../../soap/value.ts'
import { notFound } from '../faults.ts'
import { type Call, type Handler, machineAt } from '../front.ts'
import type { Lease, LeasedDisk } from '../leases.ts'
import type { MachineEntity } from '../world.ts'

export const leaseMethods: Readonly<Record<string, Handler>> = {
  ExportSnapshot: (call) => {
    const found = call.front.world.findSnapshot(call.self.ref.id)
    if (found === null) throw notFound(call.self.ref)
    const { owner, snapshot } = found
    const stands = () => call.front.world.findSnapshot(call.self.ref.id) !== null
    return openLease(call, { owner, config: snapshot.config, disks: snapshot.disks, stands })
  },
  ExportVm: (call) => {
    const owner = machineAt(call.front, call.self.ref)
    const { machine } = owner
    if (machine.powerState !== 'poweredOff') {
      const states = { requestedState: 'poweredOff', existingState: machine.powerState }
      throw new SimFault('InvalidPowerState', 'The machine is not powered off', states)
    }
    const disks = machine.disks.map((disk) => ({ ...disk, ...parts(disk), chain: disk.chain(), content: disk.content }))
    return openLease(call, { owner, config: machine.config, disks, stands: () => machine.powerState === 'poweredOff' })
  },
  HttpNfcLeaseProgress: (call) => {
    const percent = numberAt(call.args, 'percent')
    if (percent < 0 || percent > 100) throw new SimFault('InvalidArgument', 'percent', { invalidProperty: 'percent' })
    leaseAt(call).progress(percent)
    return null
  },
  HttpNfcLeaseComplete: (call) => {
    leaseAt(call).complete()
    return null
  },
  HttpNfcLeaseAbort: (call) => {
    const fault = optionalDataAt(call.args, 'fault')
    leaseAt(call).abort(fault === null ? null : new SimFault(fault.type, 'Aborted by the client.'))
    return null
  },
  HttpNfcLeaseGetManifest: (call) => leaseAt(call).manifest(),
}

type Exported = Pick<
  SimSnapshotDisk,
  'deviceKey' | 'label' | 'controllerKey' | 'unitNumber' | 'capacityBytes' | 'datastore' | 'chain' | 'content'
>

function parts({
  deviceKey,
  label,
  controllerKey,
  unitNumber,
  capacityBytes,
  datastore,
}: Omit<Exported, 'chain' | 'content'>) {
  return { deviceKey, label, controllerKey, unitNumber, capacityBytes, datastore }
}

type Wanted = {
  readonly owner: MachineEntity
  readonly config: SimConfig
  readonly disks: readonly Exported[]
  readonly stands: () => boolean
}

function openLease(call: Call, { owner, config, disks, stands }: Wanted): Ref {
  const { front, session, mishap } = call
  if (session === null) throw new SimFault('NotAuthenticated', 'The session is not authenticated.')
  const { settings } = front
  const host = hostOf(settings.guestFileHost, call.from.host)
  const lease = front.leases.open({
    id: front.sessions.newId(session),
    entity: owner.ref,
    disks: disks.map((disk, index) => leasedDisk(disk, { index, owner, config })),
    base: `https://${host}`,
    // Of the mishaps, other-bytes: the host is said to have another certificate than it has.
    sslThumbprint:
      mishap?.kind === 'other-bytes' ? settings.thumbprintSha1.replaceAll(/[0-9]/g, 'A') : settings.thumbprintSha1,
    readyInMs: settings.taskMs,
    failure: mishap?.kind === 'task-fault' ? new SimFault(mishap.fault, mishap.message) : null,
    stands,
  })
  session.objects.set(lease.object.ref.id, lease.object)
  return lease.object.ref
}

function hostOf(wanted: Call['front']['settings']['guestFileHost'], host: string): string {
  if (wanted === 'localhost') return host.replace(/^.*(?=:)/, 'localhost')
  return wanted === 'own' ? host : '*'
}

function leasedDisk(
  disk: Exported,
  { index, owner, config }: { readonly index: number; readonly owner: MachineEntity; readonly config: SimConfig },
): LeasedDisk {
  const controller = config.controllers.find(({ deviceKey }) => deviceKey === disk.controllerKey)
  const targetId = `disk-${index}.vmdk`
  return {
    key: `/${owner.ref.id}/${controller?.type ?? 'Controller'}${controller?.busNumber ?? 0}:${disk.unitNumber}`,
    targetId,
    fileName: targetId,
    contentId: disk.chain.at(-1)?.contentId ?? 'fffffffe',
    capacityBytes: disk.capacityBytes,
    datastoreKey: disk.datastore,
    content: disk.content,
  }
}

function leaseAt({ front, self }: Call): Lease {
  const lease = front.leases.byId(self.ref.id)
  if (lease === null) throw notFound(self.ref)
  return lease
}
