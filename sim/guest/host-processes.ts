// Processes of this machine that belong to a simulated guest, as Linux's /proc shows them, and their end. Where there is no /proc (macOS),
// only those that the simulator started are known, and each is ended with its process group.

import { readdirSync, readFileSync, statSync } from 'node:fs'

export type HostProcess = {
  readonly pid: number
  readonly parentPid: number
  readonly sessionId: number
  /** Ended, and not yet taken note of by its parent. */
  readonly zombie: boolean
  readonly name: string
}

const ROUNDS_MAX = 400
const ROUND_MS = 5

/**
 * Processes that carry the mark in their environment, the given ones, everything in sessions of these, and all descendants.
 * @param options.mark "NAME=VALUE"
 * @param options.pids of children of this process that have not been reaped, so that no pid can have been given anew
 */
export function processesOf(options: {
  readonly mark: string
  readonly pids: ReadonlySet<number>
}): readonly HostProcess[] {
  const all = everyProcess()
  if (all === null) return [...options.pids].map(startedHere)
  const own = new Set(
    all
      .filter(
        ({ pid, sessionId }) => options.pids.has(pid) || options.pids.has(sessionId) || isMarked(pid, options.mark),
      )
      .map(({ pid }) => pid),
  )
  for (let before = -1; before !== own.size; ) {
    before = own.size
    for (const { pid, parentPid } of all) if (own.has(parentPid)) own.add(pid)
  }
  return all.filter(({ pid }) => own.has(pid))
}

/** Kills them until none is left, also those that are forked meanwhile. Waits for that, without giving way to anything else. */
export function killAll(find: () => readonly HostProcess[]): void {
  // What has ended cannot be told from what lives then: one round has to do.
  if (everyProcess() === null) return find().forEach(({ pid }) => killOne(-pid, 'SIGKILL'))
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const alive = find().filter(({ zombie }) => !zombie)
    if (alive.length === 0) return
    for (const { pid } of alive) killOne(pid, 'SIGKILL')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ROUND_MS)
  }
}

/** A negative pid is that of a process group. False when there is no such process any more. */
export function killOne(pid: number, signal: 'SIGTERM' | 'SIGKILL'): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

/** The command line as it was given, or the name where a process has none. */
export function commandLineOf({ pid, name }: HostProcess): string {
  return textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() || name
}

/** Whose a process is; null when it has gone, or cannot be seen. */
export function ownerOf({ pid }: HostProcess): number | null {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? null
}

/** Null where there is no /proc. */
function everyProcess(): readonly HostProcess[] | null {
  const entries = entriesOfProc()?.filter((entry) => /^[0-9]+$/.test(entry)) ?? []
  // Where it is shown, this process is in it.
  return entries.length === 0 ? null : entries.flatMap((entry) => readProcess(Number(entry)) ?? [])
}

function entriesOfProc(): readonly string[] | null {
  try {
    return readdirSync('/proc')
  } catch {
    return null
  }
}

/** A child that has not been reaped, of whom no more is known; each is the first of a session of its own. */
function startedHere(pid: number): HostProcess {
  return { pid, parentPid: process.pid, sessionId: pid, zombie: false, name: '' }
}

/** proc(5), /proc/pid/stat: the name stands in brackets and may hold brackets and blanks itself. */
function readProcess(pid: number): HostProcess | null {
  const text = textOf(`/proc/${pid}/stat`)
  const open = text.indexOf('(')
  const close = text.lastIndexOf(')')
  if (open < 0 || close < open) return null
  const [state = '', parent = '', , session = ''] = text.slice(close + 2).split(' ')
  const zombie = state === 'Z' || state === 'X'
  return {
    pid,
    parentPid: Number(parent),
    sessionId: Number(session),
    zombie,
    name: text.slice(open + 1, close),
  }
}

function isMarked(pid: number, mark: string): boolean {
  return `\0${textOf(`/proc/${pid}/environ`)}`.includes(`\0${mark}\0`)
}

/** Empty for a process that has gone, or that is not ours to look into. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
