// A logged-in session of one vCenter: cookie, SOAP calls, plain HTTPS beside them, re-login when the session ended.

import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { BackupError, hasCode } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { retry } from '../../base/retry.ts'
import { type Cancel, isAbort } from '../../base/time-limit.ts'
import { type HttpReply, type HttpRequest, openHttpsServer, parseServerUrl } from './https.ts'
import { openSoapClient } from './soap-client.ts'
import { parseThumbprint, type Trust } from './trust.ts'
import {
  type Fields,
  isRecord,
  needed,
  type Ref,
  record,
  recordAt,
  ref,
  refAt,
  textAt,
  type VimRecord,
  type VimValue,
} from './values.ts'

export type VsphereSettings = {
  /** https://host[:port] or https://host[:port]/sdk */
  readonly url: string
  readonly user: string
  /** Asked at each login; never kept, never shown. */
  readonly password: () => Promise<string>
  readonly trust: Trust
  readonly clock: Clock
  readonly random: Random
}

export type ServiceContent = {
  readonly about: {
    readonly fullName: string
    readonly apiVersion: string
    readonly instanceUuid: string | null
    readonly apiType: string
  }
  readonly rootFolder: Ref
  readonly propertyCollector: Ref
  readonly viewManager: Ref
}

export type Call = {
  readonly method: string
  readonly target: Ref
  readonly args?: Fields
  /** Begins the message of an error: "Cannot list the VMs". */
  readonly what: string
  /** The call changes something and must not be sent twice unless vCenter said that it refused it. */
  readonly changes?: boolean
  readonly limitMs?: number
}

export interface VimSession extends AsyncDisposable {
  readonly content: ServiceContent
  readonly settings: VsphereSettings
  /** One SOAP call as the session stands; nothing is retried. */
  call(call: Call, cancel: Cancel): Promise<VimValue | null>
  /**
   * Runs `action`; when the session ended meanwhile, logs in and runs it once more: vCenter refuses such calls before
   * it carries them out. What lives in the session (views, pages of a listing) must be made inside `action`.
   */
  loggedIn<Result>(action: () => Promise<Result>, cancel: Cancel): Promise<Result>
  /** HTTPS beside SOAP, with the session's cookie. Throws `vcenter-not-authenticated` on 401. */
  exchange(call: HttpRequest & { readonly bytesMax: number }, cancel: Cancel): Promise<HttpReply>
  stream<Result>(
    call: HttpRequest,
    consume: (reply: IncomingMessage) => Promise<Result>,
    cancel: Cancel,
  ): Promise<Result>
  /** For calls that have their own way to log in: no cookie is sent and 401 is the caller's. */
  exchangeBare(call: HttpRequest & { readonly bytesMax: number }, cancel: Cancel): Promise<HttpReply>
}

const CALL_LIMIT_MS = 120_000
const LOGIN_LIMIT_MS = 30_000
const LOGOUT_LIMIT_MS = 3_000
const REPLY_BYTES_MAX = 256 * 1024 * 1024
const SERVICE_INSTANCE = ref('ServiceInstance', 'ServiceInstance')

/** @throws BackupError `vcenter-unreachable`, `vcenter-thumbprint`, `vcenter-certificate`, `vcenter-login`, `malformed` */
export async function openSession(settings: VsphereSettings, cancel: Cancel): Promise<VimSession> {
  if (settings.trust.kind === 'thumbprint') parseThumbprint(settings.trust.sha256)
  const server = openHttpsServer(parseServerUrl(settings.url), settings.trust)
  const { host, port } = server.endpoint
  const soap = await openSoapClient(`https://${host}:${port}/sdk`)
  let cookie: string | null = null
  let logins = 0
  let pending: Promise<void> | null = null

  const call: VimSession['call'] = (asked, { signal }) =>
    soap.call(
      { method: asked.method, args: record({ _this: asked.target, ...asked.args }), what: asked.what },
      async (xml, headers) => {
        const reply = await server.exchange(
          {
            method: 'POST',
            path: '/sdk',
            headers: { ...headers, ...cookieHeader(cookie) },
            body: xml,
            fresh: asked.changes === true,
            limitMs: asked.limitMs ?? CALL_LIMIT_MS,
            bytesMax: REPLY_BYTES_MAX,
          },
          { signal },
        )
        cookie = sessionCookie(reply) ?? cookie
        return reply
      },
    )

  const login = async (loginCancel: Cancel): Promise<VimRecord> => {
    const limitMs = LOGIN_LIMIT_MS
    const what = `Cannot log in to "${host}:${port}" as "${settings.user}"`
    cookie = null
    const content = await call(
      { method: 'RetrieveServiceContent', target: SERVICE_INSTANCE, what, limitMs },
      loginCancel,
    )
    const facts = needed(content !== null && isRecord(content) ? content : null, 'service content')
    const target = needed(refAt(facts, 'sessionManager'), 'session manager')
    const args = { userName: settings.user, password: await settings.password() }
    await call({ method: 'Login', target, args, what, limitMs, changes: true }, loginCancel)
    logins++
    return facts
  }

  const loginAgain = async (seen: number, loginCancel: Cancel): Promise<void> => {
    while (logins === seen) {
      pending ??= login(loginCancel).then(
        () => {
          pending = null
        },
        (error: unknown) => {
          pending = null
          throw error
        },
      )
      try {
        await pending
      } catch (error) {
        // Somebody else's login was cancelled: this caller tries for itself.
        if (loginCancel.signal.aborted || !isAbort(error)) throw error
      }
    }
  }

  const stream: VimSession['stream'] = (asked, consume, streamCancel) =>
    server.stream(
      { ...asked, headers: { ...asked.headers, ...cookieHeader(cookie) } },
      (reply) => {
        if (reply.statusCode === 401) throw sessionEnded(asked)
        return consume(reply)
      },
      streamCancel,
    )

  const exchange: VimSession['exchange'] = async (asked, exchangeCancel) => {
    const reply = await server.exchange(
      { ...asked, headers: { ...asked.headers, ...cookieHeader(cookie) } },
      exchangeCancel,
    )
    if (reply.status === 401) throw sessionEnded(asked)
    return reply
  }

  try {
    const content = readServiceContent(await login(cancel))
    return {
      content,
      settings,
      call,
      stream,
      exchange,
      exchangeBare: (asked, bareCancel) => server.exchange(asked, bareCancel),
      loggedIn: async (action, actionCancel) => {
        const seen = logins
        try {
          return await action()
        } catch (error) {
          if (!hasCode(error, 'vcenter-not-authenticated')) throw error
          await loginAgain(seen, actionCancel)
          return await action()
        }
      },
      [Symbol.asyncDispose]: async () => {
        await logout()
        server[Symbol.dispose]()
      },
    }

    async function logout(): Promise<void> {
      // Best effort: a session that is not closed ends by itself after vCenter's idle time.
      const target = content.sessionManager
      const limitMs = LOGOUT_LIMIT_MS
      const lone: Cancel = { signal: new AbortController().signal }
      await call({ method: 'Logout', target, what: 'Cannot log out', limitMs }, lone).catch(() => undefined)
    }
  } catch (error) {
    server[Symbol.dispose]()
    throw error
  }
}

/** Reading again is harmless: lost connections and busy servers are tried again a few times. */
export function retryReading<Result>(
  { clock, random }: VsphereSettings,
  action: () => Promise<Result>,
  { signal }: Cancel,
): Promise<Result> {
  return retry(action, {
    attemptsMax: 4,
    firstMs: 200,
    mostMs: 3_000,
    clock,
    random,
    signal,
    retryable: (error) =>
      hasCode(error, 'vcenter-connection-lost') ||
      hasCode(error, 'vcenter-timeout') ||
      (error instanceof BackupError && error.code === 'vcenter-http-status' && error.retry === 'later'),
  })
}

function readServiceContent(content: VimRecord): ServiceContent & { readonly sessionManager: Ref } {
  const about = recordAt(content, 'about')
  const at = (name: string) => needed(refAt(content, name), name)
  return {
    about: {
      fullName: textAt(about, 'fullName') ?? '',
      apiVersion: textAt(about, 'apiVersion') ?? '',
      instanceUuid: textAt(about, 'instanceUuid') || null,
      apiType: textAt(about, 'apiType') ?? '',
    },
    rootFolder: at('rootFolder'),
    propertyCollector: at('propertyCollector'),
    viewManager: at('viewManager'),
    sessionManager: at('sessionManager'),
  }
}

function cookieHeader(cookie: string | null): { readonly Cookie?: string } {
  return cookie === null ? {} : { Cookie: cookie }
}

/** `name=value` as the server wrote it, quotes included; other cookies are not ours to keep. */
function sessionCookie({ headers }: HttpReply): string | null {
  const own = (headers['set-cookie'] ?? []).find((cookie) => cookie.startsWith('vmware_soap_session='))
  return own?.split(';')[0] ?? null
}

function sessionEnded(call: HttpRequest): BackupError {
  return new BackupError(`Cannot ${call.method} "${call.path.split('?')[0]}": the session is not accepted`, {
    code: 'vcenter-not-authenticated',
    kind: 'refused',
    retry: 'later',
    hint: 'If this stays after a new login, the user may not read files of the datastore (Datastore.Browse, Datastore.FileManagement)',
    facts: { status: 401 },
  })
}
