// Who may tell alarms: whoever signs the request with a key of the door (HMAC), or shows a token or a password of it. Every secret is
// compared, in constant time, whether an earlier one fits or not.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { type Clock, isoTime } from '../base/clock.ts'
import { hasCode } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { DoorKeys } from '../model/door-keys.ts'

/** How far the sender's clock may be from ours, either way. */
export const SKEW_MS_MAX = 5 * 60_000
/** How long the keys of a door are used before they are read again; and, for a request that they do not fit, at least. */
const KEYS_MS = 60_000
const KEYS_AGAIN_MS = 5_000

export type AuthRequest = {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Uint8Array
}

/** `reason` is for our log alone: who may not come in is told nothing. */
export type Admission =
  | { readonly kind: 'signed'; readonly timestamp: string }
  | { readonly kind: 'known' }
  | { readonly kind: 'refused'; readonly reason: string }

export type DoorGuard = {
  admit(request: AuthRequest, cancel: Cancel): Promise<Admission>
}

/**
 * @param read the keys as they are now. A door that has none lets nobody in
 * @throws from admit(): what `read` throws, other than `secret-missing`: nobody knows then who may come in
 */
export function doorGuard(
  read: (cancel: Cancel) => Promise<DoorKeys>,
  { clock }: { readonly clock: Clock },
): DoorGuard {
  let kept: { readonly keys: DoorKeys; readonly readAtMs: number } | null = null
  const keysOf = async (oldestMs: number, cancel: Cancel) => {
    const nowMs = clock.monotonicMs()
    if (kept !== null && nowMs - kept.readAtMs < oldestMs) return kept.keys
    const keys = await readOrNone(read, cancel)
    kept = { keys, readAtMs: nowMs }
    return keys
  }
  return {
    admit: async (request, cancel) => {
      const nowMs = clock.nowMs()
      const keys = await keysOf(KEYS_MS, cancel)
      const first = judge(request, keys, nowMs)
      if (first.kind !== 'refused') return first
      // A key that was added a moment ago.
      const now = await keysOf(KEYS_AGAIN_MS, cancel)
      return now === keys ? first : judge(request, now, nowMs)
    },
  }
}

const NONE: DoorKeys = { hmac: [], bearer: [], basic: [] }

async function readOrNone(read: (cancel: Cancel) => Promise<DoorKeys>, cancel: Cancel): Promise<DoorKeys> {
  try {
    return await read(cancel)
  } catch (error) {
    if (hasCode(error, 'secret-missing')) return NONE
    throw error
  }
}

/** A request that is signed is judged by its signature alone, whatever else it shows. */
function judge({ headers, body }: AuthRequest, keys: DoorKeys, nowMs: number): Admission {
  const signature = headers['x-coldframe-signature']
  if (signature !== undefined) {
    const timestamp = headers['x-coldframe-timestamp'] ?? ''
    return judgeSignature({ signature, timestamp, body }, keys.hmac, nowMs)
  }
  const [scheme = '', credentials = ''] = (headers['authorization'] ?? '').trim().split(/\s+(.*)/s)
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return isOneOf(credentials, keys.bearer) ? { kind: 'known' } : refused('its token is none of this door')
    case 'basic': {
      const given = Buffer.from(credentials, 'base64').toString('utf8')
      const wanted = keys.basic.map(({ user, password }) => `${user}:${password}`)
      return isOneOf(given, wanted) ? { kind: 'known' } : refused('its user and password are none of this door')
    }
    default:
      return refused('it is neither signed nor has it a token or a password')
  }
}

function judgeSignature(
  { signature, timestamp, body }: { readonly signature: string; readonly timestamp: string; readonly body: Uint8Array },
  keys: readonly string[],
  nowMs: number,
): Admission {
  if (!/^\d{9,11}$/.test(timestamp)) return refused('its time stamp is missing or not in seconds since 1970')
  const given = /^v1=([0-9a-f]{64})$/i.exec(signature.trim())?.[1]?.toLowerCase()
  if (given === undefined) return refused('its signature is not "v1=" and 64 hex digits')
  const wanted = keys.map((key) => createHmac('sha256', key).update(`${timestamp}.`).update(body).digest('hex'))
  if (!isOneOf(given, wanted)) return refused('its signature fits no key of this door')
  const skewMs = Number(timestamp) * 1000 - nowMs
  if (Math.abs(skewMs) > SKEW_MS_MAX)
    return refused(`it was signed at ${isoTime(Number(timestamp) * 1000)}, ${Math.round(skewMs / 1000)} s from now`)
  return { kind: 'signed', timestamp }
}

function refused(reason: string): Admission {
  return { kind: 'refused', reason }
}

/** Digests have one length, so that not even the length of a secret shows. */
function isOneOf(given: string, wanted: readonly string[]): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const own = digest(given)
  let found = false
  for (const one of wanted) if (timingSafeEqual(own, digest(one))) found = true
  return found
}
