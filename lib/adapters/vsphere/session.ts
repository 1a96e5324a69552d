// A logged-in session of one vCenter: cookie, SOAP calls, plain HTTPS beside them, re-login when the session ended.

import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { BackupError, hasCode } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { retry } from '../../base/retry.ts'
import { type Cancel, isAbort } from '../../base/time-limit.ts'
import { type HttpReply, type HttpRequest, type HttpsServer, openHttpsServer, parseServerUrl } from './https.ts'
import { openSoapClient, type SoapClient } from './soap-client.ts'
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
  /** Asked at each login, within its limits; never kept, and the password is never shown. */
  readonly account: (cancel: Cancel) => Promise<{ readonly user: string; readonly password: string }>
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
  /** Null where the server tells nothing of rights. */
  readonly authorizationManager: Ref | null
  readonly perfManager: Ref | null
  readonly eventManager: Ref | null
  /** Null where the server has no guest operations. */
  readonly guestOperationsManager: Ref | null
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
  /** UserSession.key of the login that stands; empty where the server gave none. */
  key(): string
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
  try {
    const { host, port } = server.endpoint
    const wire = new Wire(settings, { server, soap: await openSoapClient(`https://${host}:${port}/sdk`) })
    const content = readServiceContent(await wire.login(cancel))
    return {
      content,
      settings,
      key: () => wire.key(),
      call: (call, callCancel) => wire.call(call, callCancel),
      loggedIn: (action, actionCancel) => wire.loggedIn(action, actionCancel),
      stream: (call, consume, streamCancel) => wire.stream(call, consume, streamCancel),
      exchange: (call, exchangeCancel) => wire.exchange(call, exchangeCancel),
      exchangeBare: (call, bareCancel) => server.exchange(call, bareCancel),
      [Symbol.asyncDispose]: async () => {
        await wire.logout(content.sessionManager)
        server[Symbol.dispose]()
      },
    }
  } catch (error) {
    server[Symbol.dispose]()
    throw error
  }
}

/** The cookie and the logins of one session, over one server. */
class Wire {
  readonly #settings: VsphereSettings
  readonly #server: HttpsServer
  readonly #soap: SoapClient
  #cookie: string | null = null
  #key = ''
  #logins = 0
  #pending: Promise<void> | null = null

  constructor(
    settings: VsphereSettings,
    { server, soap }: { readonly server: HttpsServer; readonly soap: SoapClient },
  ) {
    this.#settings = settings
    this.#server = server
    this.#soap = soap
  }

  key(): string {
    return this.#key
  }

  async login(cancel: Cancel): Promise<VimRecord> {
    const { host, port } = this.#server.endpoint
    const { user, password } = await this.#settings.account(cancel)
    const what = `Cannot log in to "${host}:${port}" as "${user}"`
    const limitMs = LOGIN_LIMIT_MS
    this.#cookie = null
    const opening = { method: 'RetrieveServiceContent', target: SERVICE_INSTANCE, what, limitMs }
    const reply = await this.#post(opening, { ...cancel, takeCookie: true })
    const content = needed(reply !== null && isRecord(reply) ? reply : null, 'service content')
    const target = needed(refAt(content, 'sessionManager'), 'session manager')
    const args = { userName: user, password }
    const made = await this.#post(
      { method: 'Login', target, args, what, limitMs, changes: true },
      { ...cancel, takeCookie: true },
    )
    this.#key = textAt(made !== null && isRecord(made) ? made : null, 'key') ?? ''
    this.#logins++
    return content
  }

  /** Best effort: a session that is not closed ends by itself after vCenter's idle time. */
  async logout(target: Ref): Promise<void> {
    const alone: Cancel = { signal: new AbortController().signal }
    const call = { method: 'Logout', target, what: 'Cannot log out', limitMs: LOGOUT_LIMIT_MS }
    await this.call(call, alone).catch(() => undefined)
  }

  call(call: Call, cancel: Cancel): Promise<VimValue | null> {
    return this.#post(call, { ...cancel, takeCookie: false })
  }

  /** Only a login gives the session its cookie: a server may hand another one to a call that came without. */
  #post(
    { method, target, args, what, changes, limitMs }: Call,
    { takeCookie, ...cancel }: Cancel & { readonly takeCookie: boolean },
  ): Promise<VimValue | null> {
    return this.#soap.call({ method, args: record({ _this: target, ...args }), what }, async (xml, headers) => {
      const reply = await this.#server.exchange(
        {
          method: 'POST',
          path: '/sdk',
          headers: { ...headers, ...this.#cookieHeader() },
          body: xml,
          fresh: changes === true,
          limitMs: limitMs ?? CALL_LIMIT_MS,
          bytesMax: REPLY_BYTES_MAX,
        },
        cancel,
      )
      if (takeCookie) this.#cookie = sessionCookie(reply) ?? this.#cookie
      return reply
    })
  }

  async loggedIn<Result>(action: () => Promise<Result>, cancel: Cancel): Promise<Result> {
    const seen = this.#logins
    try {
      return await action()
    } catch (error) {
      if (!hasCode(error, 'vcenter-not-authenticated')) throw error
      await this.#loginAgain(seen, cancel)
      return await action()
    }
  }

  async #loginAgain(seen: number, cancel: Cancel): Promise<void> {
    while (this.#logins === seen) {
      this.#pending ??= this.#loginOnce(cancel)
      try {
        await this.#pending
      } catch (error) {
        // Somebody else's login was cancelled: this caller tries for itself.
        if (cancel.signal.aborted || !isAbort(error)) throw error
      }
    }
  }

  async #loginOnce(cancel: Cancel): Promise<void> {
    try {
      await this.login(cancel)
    } finally {
      this.#pending = null
    }
  }

  stream<Result>(
    call: HttpRequest,
    consume: (reply: IncomingMessage) => Promise<Result>,
    cancel: Cancel,
  ): Promise<Result> {
    const refuse = (reply: IncomingMessage) => {
      if (reply.statusCode === 401) throw sessionEnded(call)
      return consume(reply)
    }
    return this.#server.stream({ ...call, headers: { ...call.headers, ...this.#cookieHeader() } }, refuse, cancel)
  }

  async exchange(call: HttpRequest & { readonly bytesMax: number }, cancel: Cancel): Promise<HttpReply> {
    const headers = { ...call.headers, ...this.#cookieHeader() }
    const reply = await this.#server.exchange({ ...call, headers }, cancel)
    if (reply.status === 401) throw sessionEnded(call)
    return reply
  }

  #cookieHeader(): { readonly Cookie?: string } {
    return this.#cookie === null ? {} : { Cookie: this.#cookie }
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
      isBusy(error) ||
      (error instanceof BackupError && isBusy(error.cause)),
  })
}

function isBusy(error: unknown): boolean {
  return error instanceof BackupError && error.code === 'vcenter-http-status' && error.retry === 'later'
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
    authorizationManager: refAt(content, 'authorizationManager'),
    perfManager: refAt(content, 'perfManager'),
    eventManager: refAt(content, 'eventManager'),
    guestOperationsManager: refAt(content, 'guestOperationsManager'),
    sessionManager: at('sessionManager'),
  }
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
