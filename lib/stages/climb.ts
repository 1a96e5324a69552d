// Down the ladder: rung by rung until a snapshot is made that holds what its rung promises.

import { BackupError, hasCode, messageOf } from '../base/errors.ts'
import { type Cancel, withTimeLimit } from '../base/time-limit.ts'
import type { ScriptRun } from '../model/guest.ts'
import type { Moref } from '../model/ids.ts'
import type { Ladder, Rung } from '../model/ladder.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Taken, Target } from './capture-record.ts'
import type { StageDeps } from './deps.ts'
import { type FreezableGuest, freezeBudgetMs, type Held, whileFrozen } from './guest/hold-guest.ts'
import { isGuestFault } from './guest/outcome-of-door.ts'
import type { JobHold } from './hold.ts'
import { notReached } from './not-reached.ts'
import { removeSnapshots, snapshotsOfJob } from './snapshots.ts'

export type Climb = {
  readonly target: Target
  readonly ladder: Ladder
  readonly hold: JobHold
  /** Null where it cannot be frozen; rungs with scripts are then left out, for `whyNotFreezable`. */
  readonly guest: FreezableGuest | null
  readonly whyNotFreezable: string | null
  readonly deps: StageDeps
  /** By deps.clock.monotonicMs(): when the capture must be over. */
  readonly endMs: number
  /** Called when applications in the guest could not be quiesced. */
  readonly onQuiesceFault: () => Promise<void>
}

/** How much of the capture's time is kept for what comes after the snapshot. */
const RESERVE_MS = 30_000

/** What one try of a rung gave. */
type Try =
  | { readonly kind: 'taken'; readonly snapshot: Moref; readonly snapshotMs: number; readonly freeze: Taken['freeze'] }
  | { readonly kind: 'again' | 'no-scripts'; readonly reason: string; readonly byScripts: boolean }

type State = {
  readonly fallbacks: string[]
  readonly failedRuns: ScriptRun[]
  scripts: boolean
  /** Whether the last try failed by its scripts or their freeze, not by quiescing. */
  lostByScripts: boolean
}

export type NotTaken = { readonly outcome: Outcome; readonly failedRuns: readonly ScriptRun[] }

/** @throws what is neither the guest's quiescing nor its scripts: the caller's frame tries again */
export async function climbDown(
  climb: Climb,
  cancel: Cancel,
): Promise<Omit<Taken, 'attempts' | 'warnings'> | NotTaken> {
  const { ladder, guest, whyNotFreezable } = climb
  const state: State = {
    fallbacks: [...ladder.fallbacks, ...(whyNotFreezable === null ? [] : [whyNotFreezable])],
    failedRuns: [],
    scripts: guest !== null,
    lostByScripts: guest === null,
  }
  for (const rung of ladder.rungs) {
    const taken = await tryRung(rung, climb, { state, cancel })
    if (taken !== null) return { ...taken, rung, fallbacks: state.fallbacks, failedRuns: state.failedRuns }
  }
  const why = { reasons: state.fallbacks, scriptsLost: state.lostByScripts }
  return { outcome: notReached(climb.target.job, why), failedRuns: state.failedRuns }
}

type Context = { readonly state: State; readonly cancel: Cancel }

async function tryRung(rung: Rung, climb: Climb, { state, cancel }: Context) {
  const { limits, clock, log } = climb.deps
  const triesMax = rung.quiesce.kind === 'none' && !rung.scripts ? 1 : limits.quiesceTries
  for (let tries = 1; tries <= triesMax; tries++) {
    if (rung.scripts && !state.scripts) return null
    const never = whyNoFreeze(rung, climb)
    if (never !== null) {
      state.fallbacks.push(never)
      state.lostByScripts = true
      return null
    }
    const result = await tryOnce(rung, climb, { state, cancel })
    if (result.kind === 'taken') return result
    log.warn('snapshot.try-failed', {
      tries,
      scripts: rung.scripts,
      quiesce: rung.quiesce.kind,
      message: result.reason,
    })
    await removeRemains(climb.target, climb.deps, cancel)
    state.lostByScripts = result.byScripts
    if (result.kind === 'no-scripts') {
      state.scripts = false
      state.fallbacks.push(result.reason)
    } else if (tries === triesMax) {
      state.fallbacks.push(result.reason)
    } else {
      await clock.sleep(limits.quiesceWaitMs, cancel)
    }
  }
  return null
}

/** A freeze must not begin that could outlast this invocation: its thaw would be left to the guest's timer. */
function whyNoFreeze({ scripts }: Rung, { guest, target, deps, endMs, hold }: Climb): string | null {
  if (!scripts || guest === null) return null
  const { freezes } = hold.job()
  if (freezes >= deps.limits.freezesMax) return `The guest was frozen ${freezes} times already, which must be enough`
  const leftMs = endMs - deps.clock.monotonicMs() - RESERVE_MS
  const neededMs = freezeBudgetMs(target.job.policy, guest.workspace, deps)
  return leftMs >= neededMs
    ? null
    : `No time was left for another freeze: ${Math.round(neededMs / 1000)} s are needed, ${Math.max(0, Math.round(leftMs / 1000))} s are left`
}

async function tryOnce(rung: Rung, climb: Climb, { state, cancel }: Context): Promise<Try> {
  const { deps, guest, hold } = climb
  const limited = { signal: withTimeLimit(cancel.signal, climb.endMs - deps.clock.monotonicMs()) }
  let snapshotMs = 0
  let ofSnapshot: unknown = null
  const make = async (): Promise<Moref> => {
    const startedMs = deps.clock.monotonicMs()
    try {
      return await snapshotNow(climb.target, rung, limited)
    } catch (error) {
      ofSnapshot = error
      throw error
    } finally {
      snapshotMs = Math.round(deps.clock.monotonicMs() - startedMs)
    }
  }
  try {
    if (!rung.scripts || guest === null) {
      const snapshot = await make()
      return { kind: 'taken', snapshot, snapshotMs, freeze: null }
    }
    const held = await whileFrozen({ guest, hold, deps }, make, limited)
    return judged(held, { state, snapshotMs })
  } catch (error) {
    cancel.signal.throwIfAborted()
    if (hasCode(error, 'snapshot-quiesce-failed')) {
      if (climb.target.vm.guest.family === 'windows') await climb.onQuiesceFault()
      return { kind: 'again', reason: messageOf(error), byScripts: false }
    }
    // A snapshot that failed or took too long is no fault of the guest.
    if (error !== ofSnapshot && isGuestFault(error))
      return { kind: 'no-scripts', reason: messageOf(error), byScripts: true }
    throw error
  }
}

function judged(held: Held<Moref>, { state, snapshotMs }: { readonly state: State; readonly snapshotMs: number }): Try {
  if (held.kind === 'held') return { kind: 'taken', snapshot: held.result, snapshotMs, freeze: held.freeze }
  state.failedRuns.push(...held.runs)
  return { kind: held.again ? 'again' : 'no-scripts', reason: held.reason, byScripts: true }
}

function snapshotNow({ session, vm, name, job }: Target, rung: Rung, cancel: Cancel): Promise<Moref> {
  const description = `Coldframe backup, job ${job.id}, attempt ${job.attempt}; removed when the disks are read`
  return session.createSnapshot({ vm: vm.moref, name, description, quiesce: rung.quiesce }, cancel)
}

/** A failed quiesce may leave a snapshot all the same; one whose freeze does not count must not be read. */
async function removeRemains({ session, vm, job }: Target, deps: StageDeps, cancel: Cancel): Promise<void> {
  const after = await session.readVm(vm.moref, cancel)
  const own = snapshotsOfJob(after, job.id)
  if (own.length === 0) return
  const removed = await removeSnapshots({ session, vm: vm.moref, snapshots: own }, deps, cancel)
  if (snapshotsOfJob(removed, job.id).length === 0) return
  throw new BackupError(
    `Cannot snapshot VM "${vm.name}" again yet: the snapshot of the last try is still being removed`,
    {
      code: 'snapshot-removal-failed',
      retry: 'later',
      hint: "It is tried again; look at the VM's tasks in vCenter if this lasts",
    },
  )
}
