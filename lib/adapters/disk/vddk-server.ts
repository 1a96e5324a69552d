// One nbdkit with the vddk plugin, for one disk and one reader: ready when it answers, and explained when it does not.

import { dirname } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { BackupError, hasCode } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { DiskSource } from '../../ports/disk.ts'
import { openNbdSource } from './nbd-source.ts'
import { makeNbdkitFolder, type NbdkitFolder } from './nbdkit-folder.ts'
import { type NbdkitProcess, startNbdkit } from './nbdkit-process.ts'
import { type VddkCommand, vddkArguments } from './vddk-command.ts'
import { type Complaint, readComplaint } from './vddk-complaints.ts'

export type VddkServerOptions = {
  /** nbdkit's path. */
  readonly program: string
  readonly command: Omit<VddkCommand, 'socket'>
  readonly password: string
  readonly clock: Clock
  readonly random: Random
  /** Requests side by side. */
  readonly readsMax: number
  /** From the start to the open disk: VixDiskLib_InitEx may hang for ever. */
  readonly startLimitMs: number
  readonly requestLimitMs: number
  /** How long VDDK may take to close the disk; default 30 s. */
  readonly goodbyeLimitMs?: number
  /** How long it may take to end by SIGTERM; default as startNbdkit(). */
  readonly stopLimitMs?: number
  /** Where its private folder is made; default the system's. */
  readonly folderBase?: string
}

/**
 * Disposing says goodbye with nothing in flight, lets VDDK close the disk (which detaches one that it attached), and ends
 * nbdkit and removes its folder, whatever of it did not work.
 */
export interface VddkServer extends AsyncDisposable {
  readonly source: DiskSource
  /** What went wrong, in the words of this server; `error` is what its client saw. */
  explain(error: unknown): BackupError
}

/** @throws BackupError of readComplaint()'s codes, `vddk-start-timeout`, or of nbdkit's start */
export async function openVddkServer(options: VddkServerOptions, cancel: Cancel): Promise<VddkServer> {
  await using opened = new AsyncDisposableStack()
  const folder = opened.use(await makeNbdkitFolder({ random: options.random, ...baseOf(options) }))
  const process = opened.use(
    await startNbdkit({
      program: options.program,
      args: vddkArguments({ ...options.command, socket: folder.socket }),
      environment: environmentOf(options, folder),
      secret: options.password,
      ...(options.stopLimitMs === undefined ? {} : { stopLimitMs: options.stopLimitMs }),
    }),
  )
  const source = await connect({ process, folder }, options, cancel)
  opened.defer(() => goodbye(process, options))
  opened.use(source)
  const held = opened.move()
  return {
    source,
    explain: (error) => readFailed(options.command, { process, error }),
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  }
}

/** How long VDDK may take to close a disk, before nbdkit is told to end. */
const GOODBYE_MS = 30_000

/** nbdkit ends by itself after its last client (exitlast); told to end sooner, it would not close the disk any more. */
async function goodbye(
  process: NbdkitProcess,
  { clock, goodbyeLimitMs = GOODBYE_MS }: VddkServerOptions,
): Promise<void> {
  const over = new AbortController()
  const limit = clock.sleep(goodbyeLimitMs, { signal: over.signal }).catch(() => undefined)
  await Promise.race([process.ended, limit])
  over.abort()
}

function baseOf({ folderBase }: VddkServerOptions): { readonly base?: string } {
  return folderBase === undefined ? {} : { base: folderBase }
}

/** Nothing of ours but what a program needs: our own environment may hold passwords. */
function environmentOf({ program }: VddkServerOptions, { temporary }: NbdkitFolder): Readonly<Record<string, string>> {
  const path = [dirname(program), '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
  return { PATH: path.join(':'), LANG: 'C', LC_ALL: 'C', TMPDIR: temporary, HOME: temporary }
}

type Started = { readonly process: NbdkitProcess; readonly folder: NbdkitFolder }

const LOOK_MOST_MS = 250

/** nbdkit makes its socket late, and answers on it later still: it is asked until it answers, or has ended, or is given up. */
async function connect(started: Started, options: VddkServerOptions, cancel: Cancel): Promise<DiskSource> {
  const { process, folder } = started
  const { clock, random, readsMax, requestLimitMs, startLimitMs } = options
  const signal = withTimeLimit(cancel.signal, startLimitMs)
  const nbd = { address: { unix: folder.socket }, exportName: '', clock, random, readsMax, requestLimitMs }
  for (let waitMs = 10; ; waitMs = Math.min(LOOK_MOST_MS, waitMs * 2)) {
    try {
      // A lost connection is a lost nbdkit: whoever reads starts another one.
      return await openNbdSource({ ...nbd, replaysMax: 0, connectLimitMs: startLimitMs }, { signal })
    } catch (error) {
      cancel.signal.throwIfAborted()
      if (signal.aborted || !isNotThereYet(error) || process.ending !== null) {
        throw await openFailed(options, { process, error, late: signal.aborted })
      }
    }
    await Promise.race([clock.sleep(waitMs, { signal }), process.ended]).catch(() => undefined)
  }
}

/** No socket, or nobody who listens on it. */
function isNotThereYet(error: unknown): boolean {
  if (!(error instanceof BackupError) || error.code !== 'nbd-connect-failed') return false
  const { cause } = error
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED')
}

/** What the client saw says little: the reason is on nbdkit's standard error, which is whole when nbdkit has ended. */
async function openFailed(
  { command, startLimitMs }: VddkServerOptions,
  failure: { readonly process: NbdkitProcess; readonly error: unknown; readonly late: boolean },
): Promise<BackupError> {
  const { process, error, late } = failure
  await process[Symbol.asyncDispose]()
  const complaint = readComplaint(process.said())
  if (!late || complaint.code !== 'vddk-failed') return complaintError(command, { complaint, process, error })
  return new BackupError(`${doing(command)}: it was not open within ${startLimitMs / 1000} s`, {
    code: 'vddk-start-timeout',
    retry: 'later',
    hint: 'VDDK hangs like this when it cannot initialise or when a firewall drops its packets: check ports 443 and 902, and that TMPDIR can be written',
    facts: { ...factsOf(command), said: complaint.words },
    cause: error,
  })
}

function readFailed(
  command: VddkServerOptions['command'],
  { process, error }: { readonly process: NbdkitProcess; readonly error: unknown },
): BackupError {
  const complaint = readComplaint(process.said())
  const ended = process.ending === null ? '' : `nbdkit ended with ${process.ending}, `
  const { mode, fileName } = command
  return new BackupError(`Cannot read "${fileName}" over ${mode}: ${ended}${complaint.reason}`, {
    code: 'disk-read-failed',
    retry: 'later',
    hint: complaint.hint,
    facts: { ...factsOf(command), complaint: complaint.code, vixCode: complaint.vixCode, said: complaint.words },
    cause: error,
  })
}

function complaintError(
  command: VddkServerOptions['command'],
  {
    complaint,
    process,
    error,
  }: { readonly complaint: Complaint; readonly process: NbdkitProcess; readonly error: unknown },
): BackupError {
  const { code, kind, retry, hint, reason, vixCode, words } = complaint
  // An nbdkit that crashed says little of why.
  const crash = /^signal SIG(ABRT|SEGV|BUS|ILL|KILL)/.test(process.ending ?? '')
    ? ` (nbdkit ended with ${process.ending})`
    : ''
  return new BackupError(`${doing(command)}: ${reason}${crash}`, {
    code,
    kind,
    retry,
    hint,
    facts: { ...factsOf(command), vixCode, said: words },
    cause: words.length === 0 ? error : new Error(words.join('; '), { cause: error }),
  })
}

function doing({ mode, fileName, vm }: VddkServerOptions['command']): string {
  return `Cannot open "${fileName}" of VM "${vm}" over ${mode}`
}

function factsOf({ mode, fileName, vm, snapshot, server }: VddkServerOptions['command']) {
  return { transport: mode, fileName, vm, snapshot, server: `${server.host}:${server.port}` }
}

/** Whether another path of the same disk may be the remedy. */
export function isFileGone(error: unknown): boolean {
  return hasCode(error, 'vddk-file-not-found')
}
