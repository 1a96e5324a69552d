// One nbdkit as a child process: started with a secret on a file descriptor, listened to, and ended.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { assert, BackupError, messageOf } from '../../base/errors.ts'

export type NbdkitStart = {
  /** The program's path. */
  readonly program: string
  readonly args: readonly string[]
  /** All that the child sees of an environment: ours holds secrets. */
  readonly environment: Readonly<Record<string, string>>
  /** Written to the child's file descriptor 3, without a line end. */
  readonly secret: string
  /** How long it may take to end by SIGTERM before SIGKILL; default 10 s. */
  readonly stopLimitMs?: number
}

export interface NbdkitProcess extends AsyncDisposable {
  readonly pid: number
  /** Why it ended, for example "signal SIGABRT"; null while it runs. */
  readonly ending: string | null
  /** Resolves, never rejects, when it has ended and all it said was read. */
  readonly ended: Promise<void>
  /** The end of what it said on standard error, the secret taken out. */
  said(): string
}

const SAID_CHARS_MAX = 65_536

/** Disposing ends it: SIGTERM, then SIGKILL. @throws BackupError `nbdkit-missing` when it cannot be started */
export async function startNbdkit(options: NbdkitStart): Promise<NbdkitProcess> {
  const { program, args, environment, secret } = options
  if (/[\n\0]/.test(secret)) {
    throw new BackupError('Cannot give the vCenter password to nbdkit: it has a line end in it', {
      code: 'nbdkit-password',
      kind: 'usage',
      hint: 'Choose another password for this account',
    })
  }
  const child = spawn(program, args, { env: environment, stdio: ['ignore', 'ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  // A child that cannot be started emits 'error' only.
  closed.catch(() => undefined)
  try {
    await once(child, 'spawn')
  } catch (cause) {
    throw new BackupError(`Cannot start nbdkit ("${program}"): ${messageOf(cause)}`, {
      code: 'nbdkit-missing',
      kind: 'usage',
      hint: 'Install nbdkit, or name its program in COLDFRAME_NBDKIT',
      cause,
    })
  }
  // A signal that could not be sent is found out by the end that does not come.
  child.on('error', () => undefined)
  const pipe = child.stdio[3]
  assert(pipe !== null && pipe !== undefined && 'write' in pipe, 'the secret has a pipe')
  giveSecret(pipe, secret)
  return processOf(child, { ...options, closed })
}

function giveSecret(pipe: Writable, secret: string): void {
  // A child that ended before it read is found out by its end.
  pipe.on('error', () => undefined)
  pipe.end(secret)
}

function processOf(
  child: ChildProcess,
  { secret, stopLimitMs = 10_000, closed }: NbdkitStart & { readonly closed: Promise<unknown> },
): NbdkitProcess {
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-SAID_CHARS_MAX)
  })
  const ended = closed.then(
    () => undefined,
    () => undefined,
  )
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    const timer = new AbortController()
    const late = delay(stopLimitMs, undefined, { signal: timer.signal }).then(
      () => void child.kill('SIGKILL'),
      () => undefined,
    )
    await ended
    timer.abort()
    await late
  }
  let stopping: Promise<void> | null = null
  return {
    pid: child.pid ?? 0,
    get ending() {
      if (child.signalCode !== null) return `signal ${child.signalCode}`
      return child.exitCode === null ? null : `exit code ${child.exitCode}`
    },
    ended,
    said: () => (secret === '' ? said : said.replaceAll(secret, '…')),
    [Symbol.asyncDispose]: () => {
      stopping ??= stop()
      return stopping
    },
  }
}
