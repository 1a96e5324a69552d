// Anti-affinity as vCenter sees it: of one group, one VM at a time has a snapshot of a backup that still goes on.

import type { MemoryVm } from '../../lib/adapters/memory/machine.ts'
import { parseSnapshotName } from '../../lib/model/ids.ts'
import type { Job } from '../../lib/model/job.ts'
import { cancel } from '../stages/world.ts'
import type { FaultKind } from './fault-kinds.ts'
import type { Play } from './play.ts'

/** A place ends by its time (two hours) when clocks jump past it, or nobody can lengthen it: the turn is then rightly another's. */
const LAPSING: readonly FaultKind[] = ['clock-jumps-ahead', 'records-away']

/** Called when a snapshot of this name is on this VM: what it must not stand beside, in words. */
export async function groupFaults(
  { world, struck }: Play,
  { vm, name }: { readonly vm: MemoryVm; readonly name: string },
): Promise<readonly string[]> {
  if (LAPSING.some((kind) => struck.has(kind))) return []
  const own = await jobOf({ world }, name)
  if (own === null || own.groups.length === 0) return []
  const faults: string[] = []
  for (const other of world.vcenter.vms) {
    if (other === vm) continue
    for (const snapshot of other.snapshots) {
      const job = await jobOf({ world }, snapshot.name)
      const group = job?.groups.find((one) => own.groups.includes(one))
      if (group === undefined) continue
      faults.push(`"${vm.name}" and "${other.name}" of group "${group}" have a snapshot at once`)
    }
  }
  return faults
}

/** Null for snapshots of others and of stun cycles, and for those that a job which is done has left behind. */
async function jobOf({ world }: Pick<Play, 'world'>, snapshotName: string): Promise<Job | null> {
  const named = parseSnapshotName(snapshotName)
  if (named?.purpose !== 'backup') return null
  const found = await world.jobStore.jobs.get(named.job, cancel)
  return found === null || found.value.state === 'done' ? null : found.value
}
