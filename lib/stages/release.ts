// release: gives back everything the job owes, after success and failure alike, with a fresh login.

import { isoTime } from '../base/clock.ts'
import { hasCode, unreachable } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type Moref, sessionIdOf } from '../model/ids.ts'
import type { Debt, Job } from '../model/job.ts'
import type { Notice } from '../model/outcome.ts'
import type { VmState } from '../model/vm.ts'
import { keepsLayer } from '../model/vm-layers.ts'
import { waitsForTasks } from '../model/vm-task.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import { amend, pay } from './debts.ts'
import type { StageDeps } from './deps.ts'
import { thawJob } from './guest/thaw-job.ts'
import type { JobHold } from './hold.ts'
import { detachHotDisks } from './hot-disks.ts'
import { lateSnapshot } from './late-snapshot.ts'
import { giveBackPlaces } from './places.ts'
import { noteRemoval, noteTimes } from './snapshot-times.ts'
import { consolidated, removeSnapshots, snapshotsOfJob } from './snapshots.ts'
import { startOf } from './start-mover.ts'
import { movedBy, type Step } from './step.ts'

/** Order: no mover reads any more, then what one left attached is detached, then the snapshots go, then others may have the VM. */
export async function release(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step> {
  // Once: a guest that does not answer must not keep the snapshot.
  if (hold.job().freezeDeadlineMs !== null && hold.job().round === 0) await thawForRelease(hold, deps, cancel)
  for (const debt of hold.job().owes) {
    if (debt.kind !== 'mover') continue
    const busy = await stopMover(hold, debt, { deps, cancel })
    if (busy !== null) return busy
  }
  await detachHotDisks(hold, deps, cancel)
  const waiting = await removeOwnSnapshots(hold, deps, cancel)
  if (waiting !== null) return waiting
  await giveBackPlaces(hold, deps, cancel)
  return movedBy({ kind: 'released', at: isoTime(deps.clock.nowMs()), notice: null })
}

/** A capture that died may have left the guest frozen. One that cannot be reached is left to its own timer, and to watch. */
async function thawForRelease(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<void> {
  const thawed = await thawJob({ job: hold.job(), by: 'release' }, deps, cancel)
  cancel.signal.throwIfAborted()
  if (thawed) await hold.update((job) => ({ ...job, freezeDeadlineMs: null }), cancel)
}

/** @returns the step to take while the mover may still read */
async function stopMover(
  hold: JobHold,
  debt: Extract<Debt, { kind: 'mover' }>,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<Step | null> {
  // Whoever started it may have died before it heard of the task.
  const start = startOf(hold.job(), { debt, placements: deps.tasks.placements })
  const taskId = debt.taskId ?? (await deps.tasks.find(start, cancel))
  const state = taskId === null ? { kind: 'unknown' as const } : await deps.tasks.describe(taskId, cancel)
  if (taskId !== null && state.kind === 'running') {
    if (debt.taskId === null) await amend(hold, { ...debt, taskId }, cancel)
    await deps.tasks.stop(taskId, cancel)
    return again(deps, 'the mover to stop')
  }
  const attempt = await deps.jobStore.attempts.get(sessionIdOf(hold.job().id, debt.attempt), cancel)
  const goneMs = (attempt?.value.heldUntilMs ?? 0) + deps.limits.moverMarginMs
  const ended = state.kind === 'stopped' || (attempt?.value.result !== undefined && attempt.value.result !== null)
  if (!ended && goneMs > deps.clock.nowMs()) return again(deps, 'the hold of a mover that gives no word')
  await pay(hold, debt, cancel)
  return null
}

/** @returns the step to take while they are not gone for certain */
async function removeOwnSnapshots(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step | null> {
  const debts = hold.job().owes.filter((debt) => debt.kind === 'snapshot')
  if (debts.length === 0) return null
  await using session = await deps.vsphere.open(cancel)

  for (const home of await homesOf(hold.job(), session, cancel)) {
    const waitsFor = await clearHome({ session, home }, hold, { deps, cancel })
    if (waitsFor !== null) return again(deps, waitsFor)
  }
  // Before the debts are paid: a copy of this call finds it noted already.
  await noteTimes(hold.job(), deps, cancel)
  for (const debt of debts) await pay(hold, debt, cancel)
  return null
}

/** @returns what is waited for: a removal and a consolidation take as long as they take, and neither is begun twice */
async function clearHome(
  { session, home }: { readonly session: VsphereSession; readonly home: Moref },
  hold: JobHold,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<string | null> {
  const job = hold.job()
  // Ours of before this call, too: one that makes a snapshot may still be on its way, one that removes it still at work.
  const busy = waitsForTasks(await session.runningTasks(home, cancel))
  if (busy !== null) return busy
  let vm = await session.readVm(home, cancel)
  const own = snapshotsOfJob(vm, job.id)
  if (own.length === 0 && vm.vmId !== job.vm.vmId) return null
  const late = await lateSnapshot(hold, vm, { deps, cancel })
  if (late !== null) return late
  if (own.length > 0) {
    await noteRemoval({ session, home }, hold, { deps, cancel })
    vm = await removeSnapshots({ session, vm: home, snapshots: own }, deps, cancel)
  }
  if (snapshotsOfJob(vm, job.id).length > 0) return 'the removal of the snapshot'
  const layered = (state: VmState) => job.capture !== null && keepsLayer(state, job.capture.disks)
  vm = await consolidated({ session, vm, needed: layered(vm) }, deps, cancel)
  return vm.consolidationNeeded || layered(vm) ? 'the consolidation of the disks' : null
}

/**
 * Where our snapshots may be: under the VM's reference, and under the one that a new registration gave it. Empty when the
 * VM is gone: it took its snapshots with it.
 */
async function homesOf(job: Job, session: VsphereSession, cancel: Cancel): Promise<readonly Moref[]> {
  const { moref, vmId } = job.vm
  const there = await session.readVm(moref, cancel).catch((error: unknown) => {
    if (hasCode(error, 'vm-not-found')) return null
    throw error
  })
  if (there?.vmId === vmId) return [moref]
  const listed = (await session.listVms(cancel)).filter((vm) => vm.vmId === vmId && vm.moref !== moref)
  return [...(there === null ? [] : [moref]), ...listed.map((vm) => vm.moref)]
}

function again(deps: StageDeps, waitsFor: string): Step {
  return { kind: 'again', delayMs: deps.limits.pollMs, waitsFor }
}

/** What a job says that could not give everything back within its time. */
export function leftBehind(vmName: string, debts: readonly Debt[]): Notice {
  const names = debts.map(nameOfDebt)
  return {
    code: 'left-behind',
    message: `VM "${vmName}" still has ${names.join(', ')} of this job`,
    hint: "Look at the VM's snapshots in vCenter; the next backup of this VM removes ours first",
  }
}

function nameOfDebt(debt: Debt): string {
  switch (debt.kind) {
    case 'snapshot':
      return `snapshot "${debt.name}"`
    case 'mover':
      return 'a mover'
    case 'guest':
      return 'a workspace in its guest'
    case 'hot-disk':
      return `a disk attached to "${debt.moverVm}"`
    case 'annotation':
      return 'earlier restore points to mark as unproven'
    case 'place':
      return `place "${debt.resource}"`
    default:
      return unreachable(debt)
  }
}
