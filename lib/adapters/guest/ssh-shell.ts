// Runs a script of ours in the guest's shell over one connection, and ends it with everything it started.

import type { ClientChannel } from 'ssh2'
import { BackupError, quote } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { type Cancel, isAbort, withTimeLimit } from '../../base/time-limit.ts'
import { type MarkedStream, markedStream } from './marked-stream.ts'
import { joinMark, type Mark } from './posix-script.ts'
import type { SshConnection } from './ssh-connection.ts'
import { unreachable } from './unreachable.ts'

export type ScriptRequest = {
  /** The whole text, made for this mark by scriptText() or programScript(). */
  readonly text: (mark: Mark) => string
  /** Through `sudo -n` unless the account is root. */
  readonly elevated: boolean
  /** Sent once the script has begun; null: its standard input is empty. */
  readonly input: Uint8Array | null
  readonly stdoutBytesMax: number
  /** From the moment the script begins. */
  readonly timeoutMs: number
  /** What descendants still print after the exit code is taken for this long; they may hold the streams for ever. */
  readonly drainMs: number
}

export type ScriptEnd = {
  /** What the script began with. */
  readonly word: string
  /** Null when it timed out or was killed. */
  readonly exitCode: number | null
  readonly timedOut: boolean
  /** At most stdoutBytesMax. */
  readonly stdout: Uint8Array
  /** How much there was. */
  readonly stdoutBytes: number
  readonly stderr: Uint8Array
}

/** What is peculiar to a family of shells. */
export type ShellDialect = {
  /** A command that prints the greeting and a process id on stdout, the greeting on stderr, and then carries out its input. */
  bootstrap(options: { readonly greeting: string; readonly elevated: boolean }): string
  /** A script that ends everything which a script of this id started. */
  kill(session: number, mark: Mark): string
}

export type SshShell = {
  /**
   * @throws BackupError `guest-unreachable`, `guest-elevation-refused`, `guest-login-refused` (the account is closed),
   * `guest-shell-failed` (the login shell runs no commands); when the signal ends it, the signal's reason, after everything the script started is killed
   */
  run(request: ScriptRequest, cancel: Cancel): Promise<ScriptEnd>
}

export const STREAM_BYTES_MAX = 65_536
/** How long a login shell and sudo may take until a script begins. */
const BEGIN_MS = 30_000
/** For programs: what they printed themselves and is kept comes right behind the exit code. */
export const PROGRAM_DRAIN_MS = 1000
/** For scripts of ours, which leave nobody behind: a slow network may carry the rest of a file for a while. */
export const OWN_DRAIN_MS = 60_000
/** Two seconds of politeness, three without, and the way there; a silent network must not hold up whoever wants to thaw. */
const KILL_MS = 10_000

export function sshShell(
  connection: SshConnection,
  { random, dialect }: { readonly random: Random; readonly dialect: ShellDialect },
): SshShell {
  const word = (): string => Buffer.from(random.bytes(12)).toString('hex')
  const shell: SshShell = {
    run: async (request, { signal }) => {
      signal.throwIfAborted()
      const greeting = word()
      const mark: Mark = { head: word(), tail: word() }
      const command = dialect.bootstrap({ greeting, elevated: request.elevated })
      const channel = await openSession(connection, { command, signal })
      const call = followCall(channel, { marks: [greeting, joinMark(mark)], request, lost: connection.lost })
      try {
        return await converse(call, {
          request,
          mark,
          connection,
          signal,
          kill: killer(shell, { call, request, dialect }),
        })
      } finally {
        channel.close()
      }
    },
  }
  return shell
}

async function openSession(
  connection: SshConnection,
  { command, signal }: Cancel & { readonly command: string },
): Promise<ClientChannel> {
  try {
    return await connection.exec(command, { signal: withTimeLimit(signal, BEGIN_MS) })
  } catch (error) {
    signal.throwIfAborted()
    if (!isAbort(error)) throw error
    throw unreachable(connection.door, { reason: `it opens no session within ${BEGIN_MS} ms`, cause: error })
  }
}

type Call = {
  readonly channel: ClientChannel
  readonly stdout: MarkedStream
  readonly stderr: MarkedStream
  /** The bootstrap answered: it reads the script now. */
  readonly greeted: Promise<'greeted'>
  readonly begun: Promise<'begun'>
  readonly ended: Promise<'ended'>
  exitCode(): number | null
}

function followCall(
  channel: ClientChannel,
  options: {
    readonly marks: readonly [string, string]
    readonly request: ScriptRequest
    readonly lost: AbortSignal
  },
): Call {
  const { marks, request, lost } = options
  const greeted = Promise.withResolvers<'greeted'>()
  const begun = Promise.withResolvers<'begun'>()
  const ended = Promise.withResolvers<'ended'>()
  let exitCode: number | null = null
  const onMark = (index: number): void => (index === 0 ? greeted.resolve('greeted') : begun.resolve('begun'))
  const stdout = markedStream({ marks, bytesMax: request.stdoutBytesMax, onMark })
  const stderr = markedStream({ marks, bytesMax: STREAM_BYTES_MAX, onMark: () => undefined })
  let drain: NodeJS.Timeout | undefined
  channel.on('data', (chunk: Buffer) => stdout.push(chunk))
  channel.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  channel.on('exit', (code: number | null) => {
    exitCode = code
    // Not prolonged by what comes: a daemon may go on printing.
    drain ??= setTimeout(() => ended.resolve('ended'), request.drainMs)
  })
  // Writing to a script that has ended is no error: its exit code says how it ended.
  channel.on('error', () => undefined)
  const finish = (): void => {
    clearTimeout(drain)
    ended.resolve('ended')
  }
  channel.on('close', finish)
  lost.addEventListener('abort', finish, { once: true })
  return {
    channel,
    stdout,
    stderr,
    greeted: greeted.promise,
    begun: begun.promise,
    ended: ended.promise.finally(() => lost.removeEventListener('abort', finish)),
    exitCode: () => exitCode,
  }
}

async function converse(
  call: Call,
  options: {
    readonly request: ScriptRequest
    readonly mark: Mark
    readonly connection: SshConnection
    readonly signal: AbortSignal
    readonly kill: () => Promise<void>
  },
): Promise<ScriptEnd> {
  const { request, mark, connection, signal, kill } = options
  const begin = withTimeLimit(signal, BEGIN_MS)
  const first = await firstOf([call.greeted, call.ended], begin)
  if (first === 'greeted') {
    // Not ended: ssh2 passes no signals on to a channel whose input has ended, and the script gives its programs none of it.
    call.channel.write(request.text(mark))
  }
  const second = first === 'greeted' ? await firstOf([call.begun, call.ended], begin) : first
  connection.lost.throwIfAborted()
  if (second !== 'begun' && call.stdout.lines.length < 2) {
    if (second === 'aborted') await kill()
    signal.throwIfAborted()
    throw notBegun(call, { request, connection, timedOut: second === 'aborted' })
  }
  if (request.input !== null) call.channel.end(request.input)
  const last = await firstOf([call.ended], withTimeLimit(signal, request.timeoutMs))
  if (last === 'aborted') await kill()
  connection.lost.throwIfAborted()
  signal.throwIfAborted()
  const timedOut = last === 'aborted'
  return {
    word: call.stdout.lines[1]?.split(' ')[0] ?? '',
    exitCode: timedOut ? null : call.exitCode(),
    timedOut,
    stdout: call.stdout.bytes(),
    stdoutBytes: call.stdout.length(),
    stderr: call.stderr.bytes(),
  }
}

async function firstOf<Word extends string>(
  promises: readonly Promise<Word>[],
  signal: AbortSignal,
): Promise<Word | 'aborted'> {
  if (signal.aborted) return 'aborted'
  const aborted = Promise.withResolvers<'aborted'>()
  const abort = (): void => aborted.resolve('aborted')
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([...promises, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/**
 * Ends the script's session by a second script on the same connection, with the same rights. Where the server opens no second session
 * (MaxSessions 1), sshd itself is asked to signal the process group, which it may not for programs below sudo: those live on. What cannot
 * be killed, as a process that writes to a frozen file system cannot, is not waited for.
 */
function killer(
  shell: SshShell,
  about: { readonly call: Call; readonly request: ScriptRequest; readonly dialect: ShellDialect },
) {
  const { call, request, dialect } = about
  return async (): Promise<void> => {
    const session = sessionOf(call)
    // Not the caller's signal: that one may be what asked for the end.
    const signal = AbortSignal.timeout(KILL_MS)
    const endedWithin = async (ms: number) => (await firstOf([call.ended], withTimeLimit(signal, ms))) === 'ended'
    try {
      const text = (mark: Mark): string => dialect.kill(session ?? 0, mark)
      const limits = { stdoutBytesMax: STREAM_BYTES_MAX, timeoutMs: KILL_MS, drainMs: PROGRAM_DRAIN_MS }
      const base = { elevated: request.elevated, input: null, ...limits }
      if (session !== null) await shell.run({ ...base, text }, { signal })
    } catch {
      for (const name of ['TERM', 'KILL']) {
        call.channel.signal(name)
        if (await endedWithin(2000)) return
      }
    }
    await endedWithin(2000)
  }
}

/** The program's own session, or that of the shell which sshd started for it. */
function sessionOf({ stdout: { lines } }: Call): number | null {
  const [word, own] = lines[1]?.split(' ') ?? []
  const id = Number(word === 'started' ? own : lines[0])
  return Number.isSafeInteger(id) && id > 1 ? id : null
}

function notBegun(
  { stdout, stderr, exitCode }: Call,
  about: { readonly request: ScriptRequest; readonly connection: SshConnection; readonly timedOut: boolean },
): BackupError {
  const { request, connection, timedOut } = about
  const { user, door } = connection
  const greeted = stdout.lines.length > 0
  if (timedOut) {
    const what = greeted && request.elevated ? 'sudo' : `the login shell of "${user}"`
    return unreachable(door, { reason: `${what} did not start a program within ${BEGIN_MS} ms`, cause: undefined })
  }
  if (greeted && request.elevated) return elevationRefused(user, stderr.noise(1))
  const said = stderr.noise(0) || stdout.noise(0)
  const closed = closedAccounts.find(({ words }) => words.test(said))
  if (closed !== undefined) return accountClosed(user, { door, said, ...closed })
  const words = said === '' ? `exit code ${exitCode() ?? 'unknown'}` : quote(said)
  return new BackupError(
    `Cannot run anything as "${user}" at "${door.address}": its login shell ran no command (${words})`,
    {
      code: 'guest-shell-failed',
      kind: 'refused',
      hint: `Give "${user}" a login shell such as /bin/sh, and no forced command`,
      facts: { address: door.address, user },
    },
  )
}

/** What sshd, PAM and nologin(8) say of accounts that let themselves be logged in to and then do nothing. */
const closedAccounts = [
  {
    words: /password (has )?expired|password change required|required to change your password/i,
    why: 'its password has expired',
    hint: 'Give the account a new password in the guest ("passwd"), or none that expires ("chage -M -1")',
  },
  {
    words: /account is (currently )?not available/i,
    why: 'its login shell turns everybody away',
    hint: 'Give the account a login shell such as /bin/sh in the guest ("usermod -s /bin/sh")',
  },
]

function accountClosed(
  user: string,
  about: { readonly door: SshConnection['door']; readonly said: string; readonly why: string; readonly hint: string },
): BackupError {
  const { door, said, why, hint } = about
  return new BackupError(
    `Cannot use the account "${user}" at "${door.address}": ${why} (${quote(said.replaceAll(/\s+/g, ' '))})`,
    {
      code: 'guest-login-refused',
      kind: 'refused',
      hint,
      facts: { address: door.address, port: door.port, user },
    },
  )
}

function elevationRefused(user: string, said: string): BackupError {
  const words = said.split('\n').at(-1) ?? ''
  const line = sudoersLine(user)
  return new BackupError(
    `Cannot run programs as root for "${user}": sudo refused (${quote(words === '' ? 'it said nothing' : words)})`,
    {
      code: 'guest-elevation-refused',
      kind: 'refused',
      hint: `Add this line to the guest's sudoers with "visudo -f /etc/sudoers.d/coldframe": ${line}`,
      facts: { user, sudoers: line },
    },
  )
}

/** The one line that lets an account do what needs root; the first word is escaped as sudoers(5) asks. */
export function sudoersLine(user: string): string {
  return `${user.replace(/[\\ ,:=!@()"#%+]/g, (each) => `\\${each}`)} ALL=(root) NOPASSWD: /bin/sh`
}
