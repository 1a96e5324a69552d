// Freezes and thaws through the wrapper that lies in the guest. Nothing is uploaded here.

import { assert } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { ScriptRun, ThawedBy } from '../../model/guest.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import { callWrapper, completeRun, scriptCallMs, shortCallMs, wrapperAt } from './call-wrapper.ts'
import type { FreezeAnswer, FreezeRequest, ThawAnswer, WrapperPlace } from './wrapper.ts'
import { thawedBy, type WrapperReply, wholeNumber } from './wrapper-reply.ts'

export type ThawRequest = {
  /** 'all': every freeze that began and was not thawed. */
  readonly number: number | 'all'
  readonly by: ThawedBy
  /** Whether no freeze may begin any more in this workspace, whatever its number. */
  readonly close?: boolean
}

/** Beside the limit: a thaw of an earlier freeze may come first, and killing what hangs takes seconds. */
const freezeExtraMs = 120_000

/** The guest's monotonic clock in milliseconds, as FreezeRequest.notAfterMs is compared with it. */
export async function guestNowMs(channel: GuestChannel, place: WrapperPlace, cancel: Cancel): Promise<number> {
  const call = { ...wrapperAt(place), words: ['now'], what: 'read the clock', timeoutMs: shortCallMs }
  const reply = await callWrapper(channel, call, cancel)
  return wholeNumber(reply.words('now', 1)[0] ?? '', reply)
}

/**
 * Arms the guest's timer and runs pre-freeze, in one call. Whatever is thrown, pre-freeze may have begun: thaw.
 * @throws BackupError `guest-wrapper-reply`, `guest-workspace-missing`, `guest-script-missing`, those of GuestChannel
 */
export async function freezeGuest(
  channel: GuestChannel,
  { place, request }: { readonly place: WrapperPlace; readonly request: FreezeRequest },
  cancel: Cancel,
): Promise<FreezeAnswer> {
  const { number, limitMs, notAfterMs } = request
  assert(Number.isSafeInteger(number) && number > 0, 'freezes are counted from 1')
  const words = ['freeze', number, Math.max(1, Math.round(limitMs)), Math.round(notAfterMs)].map(String)
  const call = { ...wrapperAt(place), words, what: `begin freeze ${number}`, timeoutMs: limitMs + freezeExtraMs }
  const reply = await callWrapper(channel, call, cancel)
  const [kind, by] = (reply.text('answer') ?? '').split(' ')
  const reason = reply.text('reason') ?? ''
  switch (kind) {
    case 'held':
    case 'script-failed': {
      const preFreeze = await preFreezeOf(channel, { reply, place }, cancel)
      if (preFreeze.succeeded !== (kind === 'held')) throw reply.odd('the answer contradicts itself')
      return { kind, preFreeze }
    }
    case 'thawed-early':
      return { kind, by: thawedBy(by ?? '', reply), preFreeze: await preFreezeOf(channel, { reply, place }, cancel) }
    case 'late':
    case 'no-timer':
      return { kind, reason }
    default:
      throw reply.odd('there is no such answer')
  }
}

/**
 * Thaws, or waits for the thaw that came first; both give the first one's facts. For 'all' these are of the freeze with the
 * highest number that began. Where pre-freeze could not be killed, post-thaw runs once more when it is over, and the answer
 * tells of that run.
 * @throws BackupError `guest-thaw-failed` (post-thaw could not be run at all), `guest-wrapper-reply`,
 * `guest-workspace-missing`, those of GuestChannel
 */
export async function thawGuest(
  channel: GuestChannel,
  { place, request }: { readonly place: WrapperPlace; readonly request: ThawRequest },
  cancel: Cancel,
): Promise<ThawAnswer> {
  const words = ['thaw', String(request.number), request.by, request.close === true ? 'close' : 'open']
  const reply = await callWrapper(
    channel,
    { ...wrapperAt(place), words, what: 'thaw', timeoutMs: scriptCallMs },
    cancel,
  )
  const [by = '', held = ''] = reply.words('thawed', 2)
  return {
    by: by === '-' ? null : thawedBy(by, reply),
    heldMs: Math.max(0, wholeNumber(held, reply)),
    lostHolder: reply.has('lost') ? wholeNumber(reply.text('lost') ?? '', reply) : null,
    postThaw: await completeRun(channel, { reply, place }, cancel),
  }
}

async function preFreezeOf(
  channel: GuestChannel,
  from: { readonly reply: WrapperReply; readonly place: WrapperPlace },
  cancel: Cancel,
): Promise<ScriptRun> {
  const run = await completeRun(channel, from, cancel)
  if (run?.stage !== 'pre-freeze') throw from.reply.odd('it tells of no pre-freeze script')
  return run
}
