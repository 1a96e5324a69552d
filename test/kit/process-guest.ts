// A Linux guest made of processes of this machine: its programs are real and run in a private directory. The guest outlives
// the channels into it, also those of other processes: openProcessGuest() makes it, processChannel() goes in.
//
// Channels are stricter than real ones: a program's call ends when its streams are closed as well, or long after its exit, and what
// the program left in a session of its own goes on.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { BackupError } from '../../lib/base/errors.ts'
import type { Cancel } from '../../lib/base/time-limit.ts'
import type { ChannelKind } from '../../lib/model/guest.ts'
import type { GuestChannel, ProgramRequest, ProgramResult } from '../../lib/ports/guest.ts'
import { descendantsOf, killAll } from './process-tree.ts'

const streamBytesMax = 64 * 1024
/** Real channels wait a second for streams that descendants hold: who leaves them open by mistake shall notice. */
const drainMs = 4000

/** Where a guest lies; plain data, so that another process can go into the same guest. */
export type GuestPlace = {
  /** The guest's disk: makeDirectory() makes its directories here. */
  readonly disk: string
  /** The guest's memory-backed storage, below /dev/shm where there is one; programs see it as COLDFRAME_GUEST_DIRECTORY. */
  readonly memory: string
}

export type GuestCall = {
  readonly name: 'whoAmI' | 'run' | 'makeDirectory' | 'put' | 'get' | 'digest' | 'remove'
  /** Program and arguments of run(), the path of the others. */
  readonly words: readonly string[]
}

export type ChannelOptions = {
  readonly kind?: ChannelKind
  readonly address?: string | null
  /** Waited before each call. */
  readonly delayMs?: number
  /** Seen before each call; what it throws, the call throws. */
  readonly onCall?: (call: GuestCall) => void | Promise<void>
  /** Added to every program's environment; undefined takes a variable away. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Lines of shell that mount what this guest has elsewhere or not at all, in a mount namespace of its own. Needs root. */
  readonly mounts?: string
}

export type ProcessChannel = GuestChannel & {
  /** From now on every call throws `guest-unreachable`, also the one that runs; its program is killed or goes on. */
  cut(running: 'killed' | 'left'): void
}

export type ProcessGuest = AsyncDisposable & {
  readonly place: GuestPlace
  open(options?: ChannelOptions): ProcessChannel
  /** Ids of all living programs that were started in this guest and kept its environment. */
  processes(): Promise<readonly number[]>
}

/** Makes a guest; disposing kills what still runs in it and removes its directories. */
export async function openProcessGuest(): Promise<ProcessGuest> {
  const disk = await mkdtemp(join(tmpdir(), 'coldframe-guest-'))
  const memory = await mkdtemp(join(isWritable('/dev/shm') ? '/dev/shm' : tmpdir(), 'coldframe-guest-'))
  const place = { disk, memory }
  const processes = () => processesOf(place)
  return {
    place,
    open: (options = {}) => processChannel(place, options),
    processes,
    [Symbol.asyncDispose]: async () => {
      for (let round = 0, left = await processes(); left.length > 0 && round < 10; round++, left = await processes()) {
        killAll(left)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      await rm(disk, { recursive: true, force: true })
      await rm(memory, { recursive: true, force: true })
    },
  }
}

/** A way into a guest that exists. */
export function processChannel(place: GuestPlace, options: ChannelOptions = {}): ProcessChannel {
  const state: State = { place, options, cut: new AbortController(), running: 'left' }
  const call = <T>(name: GuestCall['name'], words: readonly string[], act: () => Promise<T>) => ({ name, words, act })
  const calling = <T>(made: ReturnType<typeof call<T>>, cancel: Cancel) => passThrough(state, made, cancel)
  return {
    kind: options.kind ?? 'ssh',
    family: 'linux',
    address: options.address === undefined ? '127.0.0.1' : options.address,
    whoAmI: (cancel) =>
      calling(
        call('whoAmI', [], async () => {
          const run = (args: readonly string[]) => runProgram(state, { ...plain, program: 'id', args }, cancel)
          const [user, uid] = [await run(['-un']), await run(['-u'])]
          const elevated = uid.stdout.trim() === '0'
          return { user: user.stdout.trim(), elevated, whyNot: elevated ? null : 'The account is not root' }
        }),
        cancel,
      ),
    run: (request, cancel) =>
      calling(
        call('run', [request.program, ...request.args], () => runProgram(state, request, cancel)),
        cancel,
      ),
    makeDirectory: (cancel) =>
      calling(
        call('makeDirectory', [], () => mkdtemp(join(place.disk, 'd-'))),
        cancel,
      ),
    put: ({ path, bytes, executable }, cancel) =>
      calling(
        call('put', [path], async () => {
          if (!(await isDirectory(dirname(path)))) throw missing(path)
          await rm(path, { force: true })
          await writeFile(path, bytes, { mode: executable ? 0o700 : 0o600 })
        }),
        cancel,
      ),
    get: ({ path, bytesMax }, cancel) =>
      calling(
        call('get', [path], () => getFile(path, bytesMax)),
        cancel,
      ),
    digest: (path, cancel) =>
      calling(
        call('digest', [path], async () => {
          const bytes = await getFile(path, Number.POSITIVE_INFINITY)
          return createHash('sha256').update(bytes).digest('hex')
        }),
        cancel,
      ),
    remove: (path, cancel) =>
      calling(
        call('remove', [path], () => rm(path, { recursive: true, force: true })),
        cancel,
      ),
    cut: (running) => {
      state.running = running
      state.cut.abort(unreachableGuest())
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

type State = {
  readonly place: GuestPlace
  readonly options: ChannelOptions
  readonly cut: AbortController
  /** What a cut does to the program that runs. */
  running: 'killed' | 'left'
}

const plain = { environment: {}, workingDirectory: null, timeoutMs: 10_000, elevated: false }

async function passThrough<T>(
  { options, cut }: State,
  { name, words, act }: GuestCall & { readonly act: () => Promise<T> },
  { signal }: Cancel,
): Promise<T> {
  const wait = options.delayMs ?? 0
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
  await options.onCall?.({ name, words })
  signal.throwIfAborted()
  cut.signal.throwIfAborted()
  return await act()
}

async function runProgram(state: State, request: ProgramRequest, { signal }: Cancel): Promise<ProgramResult> {
  if (request.elevated && process.getuid?.() !== 0)
    throw new BackupError(`Cannot run "${request.program}" elevated: the account is not root`, {
      code: 'guest-elevation-refused',
    })
  if (request.workingDirectory !== null && !(await isDirectory(request.workingDirectory)))
    throw missing(request.workingDirectory)
  const child = start(state, request)
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  const end = await endOf(child, { request, signal, cut: state.cut.signal })
  const isLeft = end === 'closed' || end === 'drained' || (end === 'cut' && state.running === 'left')
  if (!isLeft) await killTree(child)
  if (end !== 'closed') for (const stream of [child.stdout, child.stderr]) stream?.destroy()
  if (end === 'cancelled') signal.throwIfAborted()
  if (end === 'cut') throw unreachableGuest()
  const timedOut = end === 'limit'
  return { exitCode: timedOut ? null : child.exitCode, timedOut, stdout: stdout(), stderr: stderr() }
}

/** All of it is read, the first 64 KiB are kept. */
function collect(stream: Readable | null): () => string {
  const parts: Buffer[] = []
  let bytes = 0
  stream?.on('data', (part: Buffer) => {
    if (bytes < streamBytesMax) parts.push(part)
    bytes += part.length
  })
  return () => Buffer.concat(parts).subarray(0, streamBytesMax).toString('utf8')
}

type Limits = { readonly request: ProgramRequest; readonly signal: AbortSignal; readonly cut: AbortSignal }

function endOf(child: ChildProcess, { request, signal, cut }: Limits) {
  return new Promise<'closed' | 'drained' | 'limit' | 'cancelled' | 'cut'>((resolve, reject) => {
    const cancelled = () => resolve('cancelled')
    const wasCut = () => resolve('cut')
    const timer = setTimeout(() => resolve('limit'), request.timeoutMs)
    signal.addEventListener('abort', cancelled)
    cut.addEventListener('abort', wasCut)
    const leave = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', cancelled)
      cut.removeEventListener('abort', wasCut)
    }
    child.once('exit', () => {
      const late = setTimeout(() => {
        leave()
        resolve('drained')
      }, drainMs)
      child.once('close', () => clearTimeout(late))
    })
    child.once('close', () => {
      leave()
      resolve('closed')
    })
    child.once('error', (cause) => {
      leave()
      reject(
        new BackupError(`Cannot start "${request.program}" in the guest`, { code: 'guest-program-missing', cause }),
      )
    })
  })
}

function start({ place, options }: State, request: ProgramRequest): ChildProcess {
  const environment = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: place.disk,
    COLDFRAME_GUEST_DIRECTORY: place.memory,
    ...options.environment,
    ...request.environment,
  }
  const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined))
  const { mounts } = options
  const words = [request.program, ...request.args]
  const [program = '', ...args] =
    mounts === undefined
      ? words
      : ['unshare', '--mount', '/bin/sh', '-c', `set -e\n${mounts}\nexec "$@"`, 'mounts', ...words]
  // In a session of its own, as sshd starts programs.
  return spawn(program, args, {
    cwd: request.workingDirectory ?? place.disk,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function killTree(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return
  const ended = child.exitCode !== null || child.signalCode !== null ? undefined : once(child, 'exit')
  for (let found = await descendantsOf(child.pid); found.length > 0; found = await descendantsOf(child.pid)) {
    killAll(found)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await ended
}

/** By their environment: a program of the guest has the guest's directory in it. */
async function processesOf({ memory }: GuestPlace): Promise<readonly number[]> {
  const pids: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue
    const [environment, status] = await Promise.all([
      readFile(`/proc/${name}/environ`, 'utf8').catch(() => ''),
      readFile(`/proc/${name}/status`, 'utf8').catch(() => ''),
    ])
    if (environment.split('\0').includes(`COLDFRAME_GUEST_DIRECTORY=${memory}`) && !/^State:\s+[ZX]/m.test(status))
      pids.push(Number(name))
  }
  return pids.filter((pid) => pid !== process.pid)
}

async function getFile(path: string, bytesMax: number): Promise<Uint8Array> {
  const found = await stat(path).catch(() => null)
  if (found === null) throw missing(path)
  if (found.size > bytesMax)
    throw new BackupError(`Cannot get "${path}": it has ${found.size} bytes, at most ${bytesMax} are taken`, {
      code: 'guest-file-large',
    })
  return new Uint8Array(await readFile(path))
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function missing(path: string): BackupError {
  return new BackupError(`Cannot use "${path}" in the guest: it is not there`, { code: 'guest-path-missing' })
}

function unreachableGuest(): BackupError {
  return new BackupError('Cannot reach the guest: the connection is cut', { code: 'guest-unreachable', retry: 'later' })
}

/** A directory below the guest's disk, for what its scripts keep. */
export async function guestDirectory({ place }: ProcessGuest, name: string): Promise<string> {
  const path = join(place.disk, name)
  await mkdir(path, { recursive: true })
  return path
}
