// One logged-in SSH connection: how it comes about, its host key, and what becomes of calls when it is lost.

import { connect, type Socket } from 'node:net'
import type { Client, ClientChannel, ServerHostKeyAlgorithm, SFTPWrapper } from 'ssh2'
import { systemClock } from '../../base/clock.ts'
import { BackupError, hasCode, messageOf } from '../../base/errors.ts'
import { anySignal, type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { GuestCredentials, NetworkDoor, PinRule } from '../../ports/guest.ts'
import {
  algorithmsWithout,
  changedHostKey,
  judgeHostKey,
  readHostKey,
  type SeenKey,
  unknownHostKey,
} from './host-key.ts'
import { type LoginMethods, type LoginName, loginMethods, startLogin } from './ssh-login.ts'
import { SshClient } from './ssh2-package.ts'
import { reasonOfSocket, unreachable } from './unreachable.ts'

export type SshRequest = NetworkDoor & { readonly credentials: GuestCredentials; readonly rule: PinRule }

export type SshTimes = {
  /** For one connection with its login. */
  readonly connectMs: number
  /** A guest that answers nothing is asked this often, and given up after the third time. */
  readonly keepaliveMs: number
}

export type SshConnection = AsyncDisposable & {
  readonly door: NetworkDoor
  readonly user: string
  /** The host key's "SHA256:…". */
  readonly seen: string
  /** Null where the guest let everybody in. */
  readonly loggedInWith: LoginName | null
  /** Aborted with a BackupError `guest-unreachable` when the connection is gone. */
  readonly lost: AbortSignal
  /** Ends early, with its reason, when the signal is aborted or the connection is lost. */
  exec(command: string, cancel: Cancel): Promise<ClientChannel>
  /** @throws any error of the server's when it offers no SFTP */
  sftp(cancel: Cancel): Promise<SFTPWrapper>
}

/**
 * Connects and logs in. When the server shows a key that is not pinned, it is asked for its keys of other kinds too.
 * @throws BackupError as GuestNetwork.openSsh()
 */
export async function openSshConnection(
  request: SshRequest,
  { times, signal }: Cancel & { readonly times: SshTimes },
): Promise<SshConnection> {
  const methods = loginMethods(request.credentials)
  const seen: SeenKey[] = []
  for (;;) {
    signal.throwIfAborted()
    const before = seen.length
    try {
      return await connectOnce({ ...request, methods, seen }, { times, signal })
    } catch (error) {
      // Without a new key the server has no other kind.
      if (!hasCode(error, 'guest-host-key-changed') || seen.length === before) throw error
      if (algorithmsWithout(seen).length === 0) throw error
    }
  }
}

type Attempt = SshRequest & {
  readonly methods: LoginMethods
  /** Keys that earlier attempts were shown; this one adds its own when it is not pinned. */
  readonly seen: SeenKey[]
}

async function connectOnce(
  attempt: Attempt,
  { times, signal }: Cancel & { readonly times: SshTimes },
): Promise<SshConnection> {
  const { address, port, credentials, methods, seen } = attempt
  const door = { address, port }
  const limit = withTimeLimit(signal, times.connectMs)
  const lost = new AbortController()
  const client: Client = new SshClient()
  const judge = keyJudge(attempt)
  const lose = (error: unknown): void => {
    if (!lost.signal.aborted)
      lost.abort(judge.verdict() ?? loginError(error, { door, user: credentials.user, tried: login.tried }))
  }
  const refuse = (why: string): void => lose(new RefusedLogin(why))
  const login = startLogin(methods, { refuse })
  // For as long as it lives: an error event without a listener ends the process.
  client.on('error', lose)
  const ended = (): void => lose(new Error('the guest closed the connection'))
  client.on('end', ended)
  client.on('close', ended)
  client.on('change password', () => refuse('the guest wants another password first'))

  let socket: Socket | undefined
  const dispose = async (): Promise<void> => {
    lose(new Error('this end closed the connection'))
    client.end()
    socket?.destroy()
  }
  try {
    const opened = await openSocket(door, { limit, connectMs: times.connectMs })
    socket = opened
    await settled<void>({ limit, lost: lost.signal, onLimit: () => silent(door, times.connectMs) }, (resolve) => {
      client.once('ready', resolve)
      client.connect({
        sock: opened,
        username: credentials.user,
        readyTimeout: 0,
        keepaliveInterval: times.keepaliveMs,
        keepaliveCountMax: 2,
        hostVerifier: judge.verify,
        algorithms: { serverHostKey: algorithmsWithout(seen) satisfies ServerHostKeyAlgorithm[] },
        authHandler: (left, _partial, next) => {
          const step = login.next(left)
          if (step.kind === 'try') next(step.auth)
          else refuse(step.why)
        },
      })
    })
  } catch (error) {
    await dispose()
    signal.throwIfAborted()
    throw judge.afterStranger(error)
  }
  return {
    door,
    user: credentials.user,
    seen: judge.trusted(),
    loggedInWith: login.tried.at(-1) ?? null,
    lost: lost.signal,
    exec: (command, cancel) => openChannel(command, { client, door, lost: lost.signal, signal: cancel.signal }),
    sftp: (cancel) =>
      settled<SFTPWrapper>({ limit: cancel.signal, lost: lost.signal }, (resolve, reject) => {
        client.sftp((error, sftp) => (error === undefined ? resolve(sftp) : reject(error)))
      }),
    [Symbol.asyncDispose]: dispose,
  }
}

/** Judges the keys that the server shows, also in later key exchanges of the same connection, which must show the same one. */
function keyJudge({ address, port, rule, seen }: Attempt) {
  const door = { address, port }
  let verdict: BackupError | undefined
  let trusted: string | undefined
  return {
    verdict: () => verdict,
    trusted: () => trusted ?? '',
    /** Who has shown a key that is not pinned does not become a guest that is merely away by breaking off. */
    afterStranger: (error: unknown): unknown =>
      seen.length === 0 || trusted !== undefined
        ? error
        : (verdict ?? changedHostKey(door, { seen, pins: rule.pins, cause: error })),
    verify: (bytes: Buffer): boolean => {
      const key = readHostKey(bytes)
      const judgement = judgeHostKey(key, rule)
      if (judgement === 'trusted' && (trusted ?? key.fingerprint) === key.fingerprint) {
        trusted = key.fingerprint
        return true
      }
      if (judgement === 'unknown') verdict = unknownHostKey(door, key)
      else verdict = changedHostKey(door, { seen: [...seen, key], pins: rule.pins })
      seen.push(key)
      return false
    },
  }
}

/**
 * A server that allows few sessions may not have buried the last one yet, although its channel is closed: a refusal is tried again for
 * a second.
 */
async function openChannel(
  command: string,
  options: {
    readonly client: Client
    readonly door: NetworkDoor
    readonly lost: AbortSignal
    readonly signal: AbortSignal
  },
): Promise<ClientChannel> {
  const { client, door, lost, signal } = options
  for (let pauseMs = 50; ; pauseMs *= 2) {
    const opened = await settled<ClientChannel | Error>({ limit: signal, lost }, (resolve) => {
      try {
        client.exec(command, (error, channel) => {
          // Nobody waits any more: what comes too late is closed, or it would stay open unseen.
          if (error === undefined && signal.aborted) channel.close()
          resolve(error ?? channel)
        })
      } catch (error) {
        // The guest has closed the connection, and that has not been noted yet.
        resolve(new Error(messageOf(error), { cause: error }))
      }
    })
    if (!(opened instanceof Error)) return opened
    if (pauseMs > 800) throw unreachable(door, { reason: `it opens no session (${opened.message})`, cause: opened })
    await systemClock.sleep(pauseMs, { signal: anySignal([signal, lost]) })
  }
}

/** Settles with what `start` says, with the reason of `lost`, or, when the limit is reached, with onLimit() or its reason. */
function settled<Result>(
  ends: { readonly limit: AbortSignal; readonly lost: AbortSignal; readonly onLimit?: () => Error },
  start: (resolve: (result: Result) => void, reject: (error: unknown) => void) => void,
): Promise<Result> {
  const { limit, lost, onLimit } = ends
  return new Promise<Result>((resolve, reject) => {
    const onLost = (): void => finish(() => reject(lost.reason))
    const onAbort = (): void => finish(() => reject(onLimit?.() ?? limit.reason))
    const finish = (settle: () => void): void => {
      lost.removeEventListener('abort', onLost)
      limit.removeEventListener('abort', onAbort)
      settle()
    }
    if (lost.aborted) return reject(lost.reason)
    if (limit.aborted) return reject(onLimit?.() ?? limit.reason)
    lost.addEventListener('abort', onLost, { once: true })
    limit.addEventListener('abort', onAbort, { once: true })
    try {
      start(
        (result) => finish(() => resolve(result)),
        (error) => finish(() => reject(error)),
      )
    } catch (error) {
      finish(() => reject(error))
    }
  })
}

async function openSocket(
  door: NetworkDoor,
  { limit, connectMs }: { readonly limit: AbortSignal; readonly connectMs: number },
): Promise<Socket> {
  // Each call is a few short packets, and none of them may wait for the answer to the one before it.
  const socket = connect({ host: door.address, port: door.port, noDelay: true })
  try {
    await settled<void>(
      { limit, lost: new AbortController().signal, onLimit: () => silent(door, connectMs) },
      (resolve, reject) => {
        socket.once('connect', resolve)
        socket.once('error', (error) => reject(unreachable(door, { reason: reasonOfSocket(error), cause: error })))
      },
    )
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function silent(door: NetworkDoor, connectMs: number): BackupError {
  return unreachable(door, { reason: `it did not answer as an SSH server within ${connectMs} ms`, cause: undefined })
}

/** The guest lets nobody in with what there is; the message says why. */
class RefusedLogin extends Error {}

/** What ended a connection, in our words. */
function loginError(
  error: unknown,
  about: { readonly door: NetworkDoor; readonly user: string; readonly tried: readonly LoginName[] },
): BackupError {
  const { door, user, tried } = about
  // "Too many authentication failures" comes as the reason of a disconnect.
  const failed = tried.length > 0 && /authentication failure/i.test(messageOf(error))
  if (!failed && !(error instanceof RefusedLogin))
    return unreachable(door, { reason: reasonOfSocket(error), cause: error })
  const why = error instanceof RefusedLogin ? error.message : `the guest refused the ${tried.join(' and the ')}`
  return new BackupError(`Cannot log in as "${user}" at "${door.address}" port ${door.port}: ${why}`, {
    code: 'guest-login-refused',
    kind: 'refused',
    hint: `Check that "${user}" may log in over ssh with this ${tried[0] ?? 'password'}: its authorized_keys and the guest's sshd_config say so`,
    facts: { address: door.address, port: door.port, user, tried: [...tried] },
    cause: error,
  })
}
