// Login sessions: the cookie, the idle limit, and the objects that live as long as a session does.

import { createHash, timingSafeEqual } from 'node:crypto'
import { hexOf, utf8Encode } from '../../lib/base/bytes.ts'
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import { type Data, data } from '../soap/value.ts'
import type { ManagedObject } from './managed-object.ts'
import { uuidFrom } from './random-ids.ts'
import type { Collector } from './updates.ts'

export type Session = {
  /** UserSession.key. */
  readonly key: string
  readonly cookie: string
  readonly userName: string
  readonly loginMs: number
  readonly ipAddress: string
  readonly userAgent: string
  lastActiveMs: number
  callCount: number
  /** Views and property filters, by id. */
  readonly objects: Map<string, ManagedObject>
  /** Property collectors by id; the default one is made on first use. */
  readonly collectors: Map<string, Collector>
  /** What a paged retrieval still has to give, by token. */
  readonly pages: Map<string, readonly Data[]>
}

export interface Sessions {
  /** Null when the password or the user is wrong. */
  login(credentials: Credentials, from: { readonly ipAddress: string; readonly userAgent: string }): Session | null
  checks(credentials: Credentials): boolean
  isUser(userName: string): boolean
  /** The live session of a cookie's value, which counts as activity; null when unknown or expired. */
  byCookie(cookie: string): Session | null
  byKey(key: string): Session | null
  all(): readonly Session[]
  end(session: Session): void
  /** A new reference for an object of this session. */
  newId(session: Session): string
}

export type Credentials = { readonly userName: string; readonly password: string }

export type SessionOptions = {
  readonly users: readonly Credentials[]
  readonly idleMs: number
  readonly clock: Clock
  readonly random: Random
}

export function openSessions({ users, idleMs, clock, random }: SessionOptions): Sessions {
  const live = new Map<string, Session>()
  const newKey = () => uuidFrom(random)
  const isLive = (session: Session) => clock.nowMs() - session.lastActiveMs <= idleMs
  const dropIdle = () => {
    for (const session of live.values()) if (!isLive(session)) live.delete(session.cookie)
  }
  const checks = (credentials: Credentials) =>
    users.some((user) => sameText(user.userName, credentials.userName) && sameText(user.password, credentials.password))
  return {
    checks,
    isUser: (userName) => users.some((user) => sameText(user.userName, userName)),
    login: (credentials, from) => {
      if (!checks(credentials)) return null
      const now = clock.nowMs()
      const session: Session = {
        key: newKey(),
        cookie: hexOf(random.bytes(20)),
        userName: credentials.userName,
        loginMs: now,
        lastActiveMs: now,
        callCount: 0,
        ...from,
        objects: new Map(),
        collectors: new Map(),
        pages: new Map(),
      }
      live.set(session.cookie, session)
      return session
    },
    byCookie: (cookie) => {
      dropIdle()
      const session = live.get(cookie) ?? null
      if (session === null) return null
      session.lastActiveMs = clock.nowMs()
      session.callCount++
      return session
    },
    byKey: (key) => {
      dropIdle()
      return [...live.values()].find((session) => session.key === key) ?? null
    },
    all: () => {
      dropIdle()
      return [...live.values()]
    },
    end: (session) => {
      live.delete(session.cookie)
      for (const collector of session.collectors.values()) collector.cancel()
    },
    newId: (session) => `session[${session.key}]${newKey()}`,
  }
}

export function userSession(session: Session): Data {
  return data('UserSession', {
    key: session.key,
    userName: session.userName,
    fullName: session.userName,
    loginTime: new Date(session.loginMs),
    lastActiveTime: new Date(session.lastActiveMs),
    locale: 'en',
    messageLocale: 'en',
    extensionSession: false,
    ipAddress: session.ipAddress,
    userAgent: session.userAgent,
    callCount: session.callCount,
  })
}

function sameText(left: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(utf8Encode(text)).digest()
  return timingSafeEqual(digest(left), digest(right))
}
