// WS-Management to one guest: one connection at a time, logged in, opened again when it was lost between two requests.

import { randomUUID } from 'node:crypto'
import { systemClock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { NetworkDoor, PinRule } from '../../ports/guest.ts'
import type { NtlmAccount } from './ntlm.ts'
import { type HttpReply, openLine, unreachableAt, type WinrmLine, WSMAN_PATH } from './winrm-line.ts'
import {
  basicToken,
  chooseMethod,
  exchangeWithLogin,
  type LoginMethod,
  loginRefused,
  SOAP_HEADERS,
} from './winrm-login.ts'
import { encodeEnvelope, OPERATION_TIMEOUT_S, type Operation } from './wsman-messages.ts'
import { parseReply, type WsmanReply } from './wsman-replies.ts'

export interface WsmanClient extends Disposable {
  /** "192.0.2.11:5986", for messages. */
  readonly place: string
  readonly seen: string
  /** How it logs in. */
  readonly method: LoginMethod
  /** @throws BackupError `guest-unreachable`, `guest-login-refused`, `guest-certificate-changed` */
  post(operation: Operation, cancel: Cancel): Promise<WsmanReply>
  /** Drops the connection, with the request that is on it; the next one opens another. */
  hangUp(): void
}

/** The service answers every request within its operation timeout; a busy guest gets half a minute more. */
const REPLY_MS = (OPERATION_TIMEOUT_S + 30) * 1000

/** Firewalls forget silent connections without a word, from a few minutes on; another login costs less than finding out. */
const IDLE_MS = 45_000

/** Connects, judges the certificate and learns how to log in; no credentials are sent yet. */
export async function openWsman(
  door: NetworkDoor & { readonly rule: PinRule; readonly account: NtlmAccount },
  cancel: Cancel,
): Promise<WsmanClient> {
  const { address, port, account } = door
  const host = address.includes(':') ? `[${address}]` : address
  const place = `${host}:${port}`
  let line: WinrmLine = await openLine(door, cancel)
  let known = false
  let usedMs = systemClock.monotonicMs()
  const { seen } = line
  const method = await chooseMethod(line, { account, place, limitMs: REPLY_MS }, cancel).catch((error: unknown) => {
    line[Symbol.dispose]()
    throw error
  })

  /** A connection that both sides still hold, and that nothing between them can have forgotten. */
  const refresh = async (later: Cancel): Promise<WinrmLine> => {
    const nowMs = systemClock.monotonicMs()
    const fresh = line.usable() && nowMs - usedMs < IDLE_MS
    usedMs = nowMs
    if (fresh) return line
    line[Symbol.dispose]()
    known = false
    // Whoever was trusted first is the one to come back to.
    line = await openLine({ address, port, rule: { pins: [seen], firstSeen: false } }, later)
    return line
  }
  const send = async (body: string, later: Cancel): Promise<HttpReply> => {
    const call = { account, place, method, body, limitMs: REPLY_MS }
    const current = await refresh(later)
    if (known) {
      const basic = method === 'Basic' ? { Authorization: `Basic ${basicToken(account)}` } : {}
      const headers = { ...SOAP_HEADERS, ...basic }
      const reply = await current.exchange({ headers, body, limitMs: REPLY_MS }, later)
      if (reply.status !== 401) return reply
      if (method === 'Basic') throw loginRefused(call)
    }
    // Nothing has been carried out of a request that was answered by 401.
    const reply = await exchangeWithLogin(await refresh(later), call, later)
    known = true
    usedMs = systemClock.monotonicMs()
    return reply
  }
  return {
    place,
    seen,
    method,
    post: async (operation, later) => {
      later.signal.throwIfAborted()
      const messageId = `uuid:${randomUUID().toUpperCase()}`
      const reply = await send(encodeEnvelope(operation, { to: `https://${place}${WSMAN_PATH}`, messageId }), later)
      if (reply.body === '') throw unreachableAt(place, `it answered ${reply.status} and nothing else`)
      try {
        return parseReply(reply.body, messageId)
      } catch (error) {
        line[Symbol.dispose]()
        throw unreachableAt(place, `it answered ${reply.status}: ${messageOf(error)}`, error)
      }
    },
    hangUp: () => line[Symbol.dispose](),
    [Symbol.dispose]: () => line[Symbol.dispose](),
  }
}
