// Down the ladder: rung by rung until a snapshot is made that holds what its rung promises.

import { hasCode, messageOf } from '../base/errors.ts'
import { type Cancel, withTimeLimit } from '../base/time-limit.ts'
import type { ScriptRun } from '../model/guest.ts'
import type { Moref } from '../model/ids.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Taken, Target } from './capture-record.ts'
import type { StageDeps } from './deps.ts'
import { type FreezableGuest, freezeBudgetMs, type Held, whileFrozen } from './guest/hold-guest.ts'
import { isGuestFault } from './guest/outcome-of-door.ts'
import type { JobHold } from './hold.ts'
import type { Ladder, Rung } from './ladder.ts'
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
  /** Called when applications in the guest could not be quiesced. */
  readonly onQuiesceFault: () => Promise<void>
}

/** How much of the capture's time is kept for what comes after the snapshot. */
const RESERVE_MS = 30_000

/** What one try of a rung gave. */
type Try =
  | { readonly kind: 'taken'; readonly snapshot: Moref; readonly snapshotMs: number; readonly freeze: Taken['freeze'] }
  | { readonly kind: 'again'; readonly reason: string }
  | { readonly kind: 'no-scripts'; readonly reason: string }

type State = {
  readonly fallbacks: string[]
  readonly failedRuns: ScriptRun[]
  scripts: boolean
  readonly endMs: number
}

/** @throws what is neither the guest's quiescing nor its scripts: the caller's frame tries again */
export async function climbDown(climb: Climb, cancel: Cancel): Promise<Taken | { readonly outcome: Outcome }> {
  const { ladder, deps, guest, whyNotFreezable } = climb
  const state: State = {
    fallbacks: [...ladder.fallbacks, ...(whyNotFreezable === null ? [] : [whyNotFreezable])],
    failedRuns: [],
    scripts: guest !== null,
    endMs: deps.clock.monotonicMs() + deps.limits.captureMs,
  }
  for (const rung of ladder.rungs) {
    const taken = await tryRung(rung, climb, { state, cancel })
    if (taken !== null) return { ...taken, rung, fallbacks: state.fallbacks, failedRuns: state.failedRuns }
  }
  return { outcome: notReached(climb.target.job, { reasons: state.fallbacks, scriptsLost: !state.scripts }) }
}

type Context = { readonly state: State; readonly cancel: Cancel }

async function tryRung(rung: Rung, climb: Climb, { state, cancel }: Context) {
  const { limits, clock, log } = climb.deps
  const triesMax = rung.quiesce.kind === 'none' && !rung.scripts ? 1 : limits.quiesceTries
  for (let tries = 1; tries <= triesMax; tries++) {
    if (rung.scripts && !state.scripts) return null
    const late = whyNoTime(rung, climb, state)
    if (late !== null) {
      state.fallbacks.push(late)
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
function whyNoTime({ scripts }: Rung, { guest, target, deps }: Climb, { endMs }: State): string | null {
  if (!scripts || guest === null) return null
  const leftMs = endMs - deps.clock.monotonicMs() - RESERVE_MS
  const neededMs = freezeBudgetMs(target.job.policy, guest.workspace, deps)
  return leftMs >= neededMs
    ? null
    : `No time was left for another freeze: ${Math.round(neededMs / 1000)} s are needed, ${Math.max(0, Math.round(leftMs / 1000))} s are left`
}

async function tryOnce(rung: Rung, climb: Climb, { state, cancel }: Context): Promise<Try> {
  const { deps, guest, hold } = climb
  const limited = { signal: withTimeLimit(cancel.signal, state.endMs - deps.clock.monotonicMs()) }
  let snapshotMs = 0
  const make = async (): Promise<Moref> => {
    const startedMs = deps.clock.monotonicMs()
    const snapshot = await snapshotNow(climb.target, rung, limited)
    snapshotMs = Math.round(deps.clock.monotonicMs() - startedMs)
    return snapshot
  }
  try {
    if (!rung.scripts || guest === null) return { kind: 'taken', snapshot: await make(), snapshotMs, freeze: null }
    return judged(await whileFrozen({ guest, hold, deps }, make, limited), { state, snapshotMs })
  } catch (error) {
    cancel.signal.throwIfAborted()
    if (hasCode(error, 'snapshot-quiesce-failed')) {
      if (climb.target.vm.guest.family === 'windows') await climb.onQuiesceFault()
      return { kind: 'again', reason: messageOf(error) }
    }
    if (rung.scripts && isGuestFault(error)) return { kind: 'no-scripts', reason: messageOf(error) }
    throw error
  }
}

function judged(held: Held<Moref>, { state, snapshotMs }: { readonly state: State; readonly snapshotMs: number }): Try {
  if (held.kind === 'held') return { kind: 'taken', snapshot: held.result, snapshotMs, freeze: held.freeze }
  state.failedRuns.push(...held.runs)
  const mayHelp = held.kind === 'void' || held.again
  return { kind: mayHelp ? 'again' : 'no-scripts', reason: held.reason }
}

function snapshotNow({ session, vm, name, job }: Target, rung: Rung, cancel: Cancel): Promise<Moref> {
  const description = `Coldframe backup, job ${job.id}, attempt ${job.attempt}; removed when the disks are read`
  return session.createSnapshot({ vm: vm.moref, name, description, quiesce: rung.quiesce }, cancel)
}

/** A failed quiesce may leave a snapshot all the same; one whose freeze does not count must not be read. */
async function removeRemains({ session, vm, job }: Target, deps: StageDeps, cancel: Cancel): Promise<void> {
  const after = await session.readVm(vm.moref, cancel)
  const own = snapshotsOfJob(after, job.id)
  if (own.length > 0) await removeSnapshots({ session, vm: vm.moref, snapshots: own }, deps, cancel)
}
