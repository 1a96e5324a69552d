// prepare: lease the VM, judge it, and make changed block tracking real, before anything in it is frozen.

import { isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import { advance } from '../model/advance.ts'
import { closedWindow } from '../model/begin-before.ts'
import { waitsForProducts } from '../model/foreign-snapshots.ts'
import { ladderFor } from '../model/ladder.ts'
import type { Outcome } from '../model/outcome.ts'
import { waitsForTasks } from '../model/vm-task.ts'
import { admit, giveBackShared, takeKnownPlaces } from './admission.ts'
import type { StageDeps } from './deps.ts'
import { prepareGuest } from './guest/prepare-guest.ts'
import type { JobHold } from './hold.ts'
import { judgeVm } from './judge.ts'
import { lateSnapshot } from './late-snapshot.ts'
import { notReached } from './not-reached.ts'
import { takePlaces, vmResource } from './places.ts'
import { clearedVm } from './snapshots.ts'
import { movedBy, type StageCall, type Step } from './step.ts'
import { tellState } from './tell.ts'
import { trackChanges } from './track-changes.ts'

export async function prepare(hold: JobHold, deps: StageDeps, call: StageCall): Promise<Step> {
  const at = isoTime(deps.clock.nowMs())
  const closed = closedWindow(hold.job(), deps.clock.nowMs())
  if (closed !== null) return movedBy({ kind: 'skipped', outcome: closed, at })
  if (hold.job().state === 'waiting') {
    const started = await hold.update((job) => advance(job, { kind: 'prepare-started', at }), call)
    await tellState(started, deps, call)
  }
  const busy = await leaseVm(hold, deps, call)
  if (busy !== null) return busy
  const crowded = await takeKnownPlaces(hold, { deps, cancel: call })
  if (crowded !== null) return crowded
  await using session = await deps.vsphere.open(call)

  const { moref } = hold.job().vm
  // Tasks before the tree: what a task makes that ends between the two looks is then seen in the tree.
  const tasks = waitsForTasks(await session.runningTasks(moref, call))
  if (tasks !== null) return waitForOthers(hold, tasks, { deps, cancel: call })
  const vm = await clearedVm({ session, job: hold.job() }, deps, call)
  if ('waitsFor' in vm) {
    await giveBackShared(hold, { deps, cancel: call })
    return wait(deps, vm.waitsFor)
  }
  const temporary = waitsForProducts(vm.snapshots, deps.clock.nowMs())
  if (temporary !== null) return waitForOthers(hold, temporary, { deps, cancel: call })

  const late = await lateSnapshot(hold, vm, { deps, cancel: call })
  if (late !== null) return wait(deps, late)
  const judged = judgeVm(vm, hold.job())
  if ('outcome' in judged) return movedBy({ kind: 'failed', outcome: judged.outcome })
  await hold.update((each) => ({ ...each, excludedDisks: judged.excludedDisks, notices: judged.notices }), call)
  const excluded = judged.excludedDisks.map(({ key }) => key)
  const waits = await admit({ session, vm, excluded }, hold, { deps, cancel: call })
  if (waits !== null) return waits
  const tracking = await trackChanges({ session, vm }, hold, { deps, call })
  // Last: what lies in the guest's memory should not wait there for long.
  const prepared = await prepareGuest({ session, vm }, hold, { deps, cancel: call })
  if ('outcome' in prepared) return movedBy({ kind: 'failed', outcome: prepared.outcome })
  const { guest, notices } = prepared
  await hold.update((each) => ({ ...each, guest, notices: [...each.notices, ...notices] }), call)
  const { rungs, fallbacks } = ladderFor({ vm, policy: hold.job().policy, guest })
  // Said before a snapshot is made: it could not be used.
  if (rungs.length === 0)
    return movedBy({ kind: 'failed', outcome: notReached(hold.job(), { reasons: fallbacks, scriptsLost: false }) })
  return movedBy({ kind: 'prepared', tracking })
}

/** One job at a time works on a VM. @returns the step to take when another does */
async function leaseVm(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step | null> {
  const wish = { resource: vmResource(hold.job().vm.vmId), what: 'this VM', units: 1, unitsMax: 1 }
  const refusal = await takePlaces(hold, [wish], deps, cancel)
  if (refusal === null) return null
  const others = [...refusal.holders, ...refusal.ahead]
  const waitsFor = `job ${others.join(', ')}, which ${others.length === 1 ? 'works' : 'work'} on this VM`
  return waitForOthers(hold, waitsFor, { deps, cancel })
}

function wait(deps: StageDeps, waitsFor: string): Step {
  return { kind: 'again', delayMs: deps.limits.pollMs, waitsFor }
}

/** Waits for work of others on the VM, in bounds; then the job is skipped, which harms nothing. */
async function waitForOthers(
  hold: JobHold,
  waitsFor: string,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<Step> {
  await giveBackShared(hold, { deps, cancel })
  const nowMs = deps.clock.nowMs()
  if (nowMs - (hold.job().waitSinceMs ?? nowMs) < deps.limits.busyMs) return wait(deps, waitsFor)
  const message = `VM "${hold.job().vm.name}" was not backed up: it was busy for too long with ${waitsFor}`
  const outcome: Outcome = {
    kind: 'skipped',
    code: 'vm-busy',
    message,
    hint: 'Start the backup again when the VM is free',
  }
  return movedBy({ kind: 'skipped', outcome, at: new Date(nowMs).toISOString() })
}
