// Freeze, do, thaw: what capture holds its snapshot in. The thaw is called whatever happens, and its answer decides whether the
// freeze counts.

import { messageOf } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestWorkspace, ScriptRun, ThawedBy } from '../../model/guest.ts'
import { type Policy, postThawMs } from '../../model/policy.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import type { StageDeps } from '../deps.ts'
import type { JobHold } from '../hold.ts'
import { freezeGuest, guestNowMs, thawGuest } from './freeze.ts'
import { type GuestAt, returnTo } from './way-in.ts'
import type { FreezeAnswer, ThawAnswer, WrapperPlace } from './wrapper.ts'

/** A guest that can be frozen: its workspace, and a channel that is open. */
export type FreezableGuest = {
  readonly at: GuestAt
  readonly workspace: GuestWorkspace
  readonly channel: GuestChannel
}

export type Held<Result> =
  /** `result` was there before anybody thawed. */
  | { readonly kind: 'held'; readonly result: Result; readonly freeze: FreezeFacts }
  /** `result` is there, but a thaw may have come before it. */
  | { readonly kind: 'void'; readonly reason: string; readonly again: boolean; readonly runs: readonly ScriptRun[] }
  /** Nothing was done: the guest was not frozen, or not for long enough. `again`: another freeze may go better. */
  | {
      readonly kind: 'not-frozen'
      readonly reason: string
      readonly again: boolean
      readonly runs: readonly ScriptRun[]
    }

export type FreezeFacts = {
  readonly heldMs: number
  readonly thawedBy: ThawedBy
  readonly runs: readonly ScriptRun[]
}

export type Holding = { readonly guest: FreezableGuest; readonly hold: JobHold; readonly deps: StageDeps }

/**
 * Freezes the guest, does `act`, thaws. Each call is a new freeze with a number, a timer and a deadline of its own.
 * @throws whatever `act` throws, after the thaw
 */
export async function whileFrozen<Result>(
  holding: Holding,
  act: () => Promise<Result>,
  cancel: Cancel,
): Promise<Held<Result>> {
  const { guest, hold, deps } = holding
  const { freezeLimitMs } = hold.job().policy.scripts
  const { freezeStartMs, thawMarginMs } = deps.limits
  const place = placeOf(guest.workspace)
  const notAfterMs = (await guestNowMs(guest.channel, place, cancel)) + freezeStartMs
  // Written before anything is frozen: whoever comes after a death knows until when the guest may be held.
  const deadlineMs = deps.clock.nowMs() + freezeStartMs + freezeLimitMs + thawMarginMs
  const { freezes: number } = await hold.update(
    (job) => ({ ...job, freezes: job.freezes + 1, freezeDeadlineMs: deadlineMs }),
    cancel,
  )
  let done: Done<Result>
  try {
    const startedMs = deps.clock.nowMs()
    const answer = await freezeGuest(
      guest.channel,
      { place, request: { number, limitMs: freezeLimitMs, notAfterMs } },
      cancel,
    )
    deps.log.info('guest.frozen', { number, answer: answer.kind, elapsedMs: deps.clock.nowMs() - startedMs })
    done = { kind: 'frozen', answer, result: answer.kind === 'held' ? { value: await act() } : null }
  } catch (error) {
    done = { kind: 'failed', error }
  }
  const thaw = await thawAndNote(holding, number)
  if (done.kind === 'failed') throw done.error
  cancel.signal.throwIfAborted()
  return judge(done, thaw)
}

type Done<Result> =
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'frozen'; readonly answer: FreezeAnswer; readonly result: { readonly value: Result } | null }

type Thaw = ThawAnswer | { readonly unknown: string }

/** Pure: what the two answers of the guest make of what was done between them. */
function judge<Result>({ answer, result }: Extract<Done<Result>, { kind: 'frozen' }>, thaw: Thaw): Held<Result> {
  const after = 'unknown' in thaw ? [] : [thaw.postThaw].filter((run) => run !== null)
  if (answer.kind === 'late' || answer.kind === 'no-timer')
    return { kind: 'not-frozen', reason: answer.reason, again: answer.kind === 'late', runs: after }
  const runs = [answer.preFreeze, ...after]
  if (answer.kind === 'script-failed')
    return { kind: 'not-frozen', reason: whyFailed(answer.preFreeze), again: false, runs }
  if (answer.kind === 'thawed-early' || result === null) {
    const by = answer.kind === 'thawed-early' ? answer.by : 'timer'
    return {
      kind: 'not-frozen',
      reason: `The guest was thawed by ${by} while pre-freeze still ran`,
      again: false,
      runs,
    }
  }
  if ('unknown' in thaw)
    return { kind: 'void', reason: `Whether the freeze held cannot be told: ${thaw.unknown}`, again: false, runs }
  if (thaw.lostHolder !== null) {
    const reason = `Process ${thaw.lostHolder}, which pre-freeze named as holding the guest, had ended before the thaw`
    return { kind: 'void', reason, again: true, runs }
  }
  if (thaw.by === 'capture')
    return { kind: 'held', result: result.value, freeze: { heldMs: thaw.heldMs, thawedBy: thaw.by, runs } }
  const reason = `The guest was thawed by ${thaw.by ?? 'nobody we know'} after ${thaw.heldMs} ms, before the snapshot was made for certain`
  return { kind: 'void', reason, again: true, runs }
}

function whyFailed({ exitCode, timedOut, elapsedMs, stderr }: ScriptRun): string {
  const [line = ''] = stderr.trim().split('\n').slice(-1)
  const words = line === '' ? '' : `: ${line.slice(0, 200)}`
  if (timedOut) return `The pre-freeze script was killed after ${elapsedMs} ms, its time limit${words}`
  return `The pre-freeze script ended with exit code ${exitCode ?? 'unknown'}${words}`
}

/** Once the guest says that it is thawed, nobody needs to watch it. */
async function thawAndNote({ guest, hold, deps }: Holding, number: number): Promise<Thaw> {
  const thaw = await thawSurely({ guest, deps, number, policy: hold.job().policy })
  if ('unknown' in thaw) {
    deps.log.error('guest.thaw-unknown', thaw.unknown, { number })
    return thaw
  }
  deps.log.info('guest.thawed', { number, by: thaw.by, heldMs: thaw.heldMs })
  try {
    await hold.update((job) => ({ ...job, freezeDeadlineMs: null }), { signal: AbortSignal.timeout(5_000) })
  } catch (error) {
    // The claim is lost or the store is away: watch asks the guest once more, which does no harm.
    deps.log.warn('guest.thaw-not-noted', { message: messageOf(error) })
  }
  return thaw
}

type Thawing = {
  readonly guest: FreezableGuest
  readonly deps: StageDeps
  readonly number: number | 'all'
  readonly policy: Policy
}

/** By the open channel, else by any other way in: with a time of its own, whatever became of the caller's. */
async function thawSurely({ guest, deps, number, policy }: Thawing): Promise<Thaw> {
  const { channel, at, workspace } = guest
  const thaw = { place: placeOf(workspace), request: { number, by: 'capture' } } as const
  const limitMs = deps.limits.thawCallMs + postThawMs(policy, workspace.family)
  try {
    return await thawGuest(channel, thaw, { signal: AbortSignal.timeout(limitMs) })
  } catch (error) {
    deps.log.warn('guest.thaw-failed', { channel: channel.kind, message: messageOf(error) })
    const cancel = { signal: AbortSignal.timeout(limitMs) }
    try {
      const way = await returnTo({ ...at, workspace, persist: true }, deps, cancel)
      if (way.entered === null) return { unknown: messageOf(error) }
      await using other = way.entered.channel

      return await thawGuest(other, thaw, cancel)
    } catch (second) {
      return { unknown: `${messageOf(error)}; then ${messageOf(second)}` }
    }
  }
}

export function placeOf({ family, path, elevated }: GuestWorkspace): WrapperPlace {
  return { family, path, elevated }
}

/** The longest that one freeze can take, from its first call to the end of its thaw. */
export function freezeBudgetMs(policy: Policy, { family }: GuestWorkspace, deps: StageDeps): number {
  return policy.scripts.freezeLimitMs + postThawMs(policy, family) + deps.limits.thawCallMs
}
