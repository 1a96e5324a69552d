// Mending disks that do not consolidate by themselves, rung by rung, a try every few hours. Each try is noted before it begins.

import { hexOf } from '../base/bytes.ts'
import { isoTime } from '../base/clock.ts'
import { type Cancel, withTimeLimit } from '../base/time-limit.ts'
import { HUNT_TRIES_MAX, huntRung, huntSnapshotName, huntWait, madeByHunt, whatToMend } from '../model/hunt.ts'
import { flattenSnapshots, type VmSnapshot, type VmState } from '../model/vm.ts'
import type { VmHistory } from '../model/vm-history.ts'
import { waitsForTasks } from '../model/vm-task.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import type { StageDeps } from './deps.ts'
import { consolidated, removeSnapshots } from './snapshots.ts'
import { endsInTime } from './task-wait.ts'
import { rememberVm } from './vm-history.ts'

export type HuntDeps = Pick<
  StageDeps,
  'clock' | 'log' | 'metrics' | 'events' | 'notifier' | 'jobStore' | 'vsphere' | 'limits' | 'random'
>

export type Mended = {
  readonly outcome: 'mended' | 'waits' | 'left' | 'not-tried'
  readonly reason: string | null
  readonly hint: string | null
}

type Call = { readonly deps: HuntDeps; readonly cancel: Cancel }
type At = { readonly session: VsphereSession; readonly vm: VmState }

const BY_HAND =
  'Look at the VM in vCenter: a file may be locked by a backup product or a host; consolidate it by hand, or clone the VM from its running disks'

/** What of the disks is to be mended once these snapshots of ours are gone; null when nothing is. */
export function needsMending(vm: VmState, ours: readonly VmSnapshot[]): string | null {
  const gone = new Set(ours.map(({ moref }) => moref))
  const others = flattenSnapshots(vm.snapshots).filter(({ moref }) => !gone.has(moref))
  return others.length > 0 && !vm.consolidationNeeded ? null : whatToMend(vm)
}

/** The caller holds the VM's place, no task runs on it, and no snapshot of ours is on it. */
export async function mendDisks(
  { session, vm, history }: At & { readonly history: VmHistory },
  call: Call,
): Promise<Mended> {
  const { deps, cancel } = call
  const wait = huntWait(history, deps.clock.nowMs())
  if (wait !== null)
    return { outcome: wait.givenUp ? 'left' : 'waits', reason: wait.reason, hint: wait.givenUp ? BY_HAND : null }
  const tries = history.hunt?.tries ?? 0
  const reason = whatToMend(vm) ?? 'its disks need consolidation'
  const bare = flattenSnapshots(vm.snapshots).length === 0
  const rung = bare ? huntRung(tries) : 'consolidate'
  const snapshot =
    rung === 'consolidate' ? null : huntSnapshotName({ vmId: vm.vmId, tries, mark: hexOf(deps.random.bytes(4)) })
  const begun = { tries: tries + 1, triedAt: isoTime(deps.clock.nowMs()), reason, snapshot }
  await rememberVm(vm, (before) => ({ ...before, hunt: begun }), call)
  deps.log.warn('hunt.mends', { vm: vm.name, reason, rung, try: tries + 1 })

  let after = await consolidated({ session, vm, needed: true }, deps, cancel)
  if (whatToMend(after) !== null && snapshot !== null)
    after = await throughSnapshot({ session, vm: after }, { name: snapshot, quiesced: rung !== 'snapshot' }, call)
  const left = whatToMend(after)
  if (left === null) {
    await forgetMended({ vm: after, history: { ...history, hunt: begun } }, call)
    return { outcome: 'mended', reason: null, hint: null }
  }
  const over = tries + 1 >= HUNT_TRIES_MAX
  return {
    outcome: over ? 'left' : 'waits',
    reason: `${left}, also after try ${tries + 1}`,
    hint: over ? BY_HAND : null,
  }
}

/** "Delete all" merges what nothing accounts for. Only while the tree holds our own snapshot and nothing else, and nobody is at work. */
async function throughSnapshot(
  { session, vm }: At,
  { name, quiesced }: { readonly name: string; readonly quiesced: boolean },
  { deps, cancel }: Call,
): Promise<VmState> {
  const quiesce = quiesced && vm.powerState === 'poweredOn' && vm.guest.toolsRunning ? 'tools' : 'none'
  const description = 'Coldframe hunt: made to be removed at once, so that deltas are merged'
  const limited = { signal: withTimeLimit(cancel.signal, deps.limits.captureMs) }
  const moref = await session.createSnapshot({ vm: vm.moref, name, description, quiesce: { kind: quiesce } }, limited)
  // Tasks before the tree: a snapshot of others whose task ends between the two looks is then seen in the tree.
  const busy = waitsForTasks(await session.runningTasks(vm.moref, cancel))
  const tree = await session.readVm(vm.moref, cancel)
  const all = flattenSnapshots(tree.snapshots)
  const own = all.filter((each) => each.moref === moref)
  if (busy !== null || all.length !== own.length)
    return removeSnapshots({ session, vm: vm.moref, snapshots: own }, deps, cancel)
  await endsInTime((within) => session.removeAllSnapshots(vm.moref, within), deps, cancel)
  return session.readVm(vm.moref, cancel)
}

/** Nothing is to be mended: the next time begins from the first rung. A snapshot of hunt's own stays known while it is there. */
export async function forgetMended(
  { vm, history }: { readonly vm: VmState; readonly history: VmHistory },
  { deps, cancel }: Call,
): Promise<void> {
  if (history.hunt === null || whatToMend(vm) !== null || madeByHunt(vm, history).length > 0) return
  await rememberVm(vm, (before) => ({ ...before, hunt: null }), { deps, cancel })
}
