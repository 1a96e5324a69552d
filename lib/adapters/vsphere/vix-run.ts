// Runs programs in a guest through VMware Tools: a script of ours runs the program, limits it, and leaves streams and exit
// code in one file, which is all that is looked at. Tools forget exit codes after minutes, and have no streams.
//
// Calls of vCenter a run: one to upload the script, one to start it, one a look until the file is there (after 100 ms, then
// rarer, up to one a second). The directory for all runs of a channel costs one or two more, and one at the end.

import type { Clock } from '../../base/clock.ts'
import { BackupError, hasCode } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { GuestFamily, GuestIdentity } from '../../model/guest.ts'
import type { ProgramRequest, ProgramResult } from '../../ports/guest.ts'
import { faultNameOf } from './faults.ts'
import { type Fields, numberAt, recordsOf, replyMalformed, textAt, typed } from './values.ts'
import type { GuestCalls } from './vix-calls.ts'
import type { GuestFiles } from './vix-files.ts'
import { parseRunResult, type RunOutcome } from './vix-result.ts'

export type RunPlace = { readonly script: string; readonly work: string; readonly former: string | null }

/** What differs between families of guests. */
export interface GuestShell {
  readonly family: GuestFamily
  readonly scriptName: string
  /** Memory-backed, where nothing blocks while the file systems are frozen; null: the guest's temporary directory. */
  readonly storage: string | null
  /** @throws BackupError `guest-argument-unfit` */
  write(request: ProgramRequest, place: RunPlace): string
  start(script: string): Fields
  /** How the script is told to kill the program, or never to begin it: by another program, or by a file. */
  stop(
    place: RunPlace,
  ): { readonly kind: 'program'; readonly spec: Fields } | { readonly kind: 'file'; readonly path: string }
  isAbsolute(path: string): boolean
  join(directory: string, name: string): string
  /** Prints who runs it. */
  readonly identify: Pick<ProgramRequest, 'program' | 'args'>
  identityOf(stdout: string, user: string): GuestIdentity
  /** Prints the digest of a file; exit codes 44: no file, 43: nothing that computes one. */
  digest(path: string): Pick<ProgramRequest, 'program' | 'args'>
}

export type RunNeed = {
  readonly calls: GuestCalls
  readonly files: GuestFiles
  readonly shell: GuestShell
  readonly clock: Clock
  /** Makes a private directory, in `storage` where that is possible. */
  readonly makeDirectory: (storage: string | null, cancel: Cancel) => Promise<string>
  readonly user: string
}

export interface GuestRuns {
  run(request: ProgramRequest, cancel: Cancel): Promise<ProgramResult>
  /** The directory that runs lie in, when there was one. */
  directory(): string | null
}

const RESULT_BYTES_MAX = 2 * 65_536 + 200
const FIRST_LOOK_MS = 100
const LOOKS_MS_MAX = 1_000
/** How often the process itself is looked for: its end without a result is an accident. */
const PROCESS_LOOK_MS = 5_000
/** Tools, a host or a vCenter that are away longer than this while a program runs are given up. */
const AWAY_MS_MAX = 5_000
/** The script ends this long after the program's limit at the latest, killing included. */
const SCRIPT_GRACE_MS = 30_000
/** Telling a script to stop, and seeing that it did. */
const STOP_LIMIT_MS = 15_000
const TERMINATE_LIMIT_MS = 5_000

export function guestRuns(need: RunNeed): GuestRuns {
  let directory: string | null = null
  let number = 0
  const placeIn = (folder: string): RunPlace => ({
    script: need.shell.join(folder, `${number}-${need.shell.scriptName}`),
    work: need.shell.join(folder, `${number}`),
    former: number > 1 ? need.shell.join(folder, `${number - 1}`) : null,
  })
  const prepare = async (request: ProgramRequest, cancel: Cancel): Promise<RunPlace> => {
    for (let attempt = 1; ; attempt++) {
      directory ??= await need.makeDirectory(need.shell.storage, cancel)
      number++
      const place = placeIn(directory)
      const bytes = Buffer.from(need.shell.write(request, place), 'utf8')
      try {
        await need.files.upload({ path: place.script, bytes, executable: false }, cancel)
        return place
      } catch (error) {
        // The guest may have been restarted: what lay in memory is gone.
        if (attempt > 1 || !hasCode(error, 'guest-path-missing')) throw error
        directory = null
        number = 0
      }
    }
  }
  return {
    directory: () => directory,
    run: async (request, cancel) => {
      cancel.signal.throwIfAborted()
      const what = `Cannot run "${request.program}" in the guest`
      const place = await prepare(request, cancel)
      return resultOf(await begun({ need, request, place, what }, cancel), { need, request, what })
    },
  }
}

type Run = {
  readonly need: RunNeed
  readonly request: ProgramRequest
  readonly place: RunPlace
  readonly what: string
}

/** From the start on, an error leaves nothing running: also when it is not known whether the start was carried out. */
async function begun(run: Run, cancel: Cancel): Promise<RunOutcome> {
  let pid: number | null = null
  try {
    pid = await start(run, run.need.shell.start(run.place.script), cancel)
    return await outcomeOf(run, pid, cancel)
  } catch (error) {
    // vCenter's own refusal of the start: nothing was begun.
    if (pid === null && faultNameOf(error) !== null) throw error
    await stop(run, pid)
    cancel.signal.throwIfAborted()
    throw error
  }
}

async function start({ need, what }: Run, spec: Fields, cancel: Cancel): Promise<number> {
  const type = need.shell.family === 'windows' ? 'GuestWindowsProgramSpec' : 'GuestProgramSpec'
  const method = 'StartProgramInGuest'
  const args = { spec: typed(type, spec) }
  try {
    const pid = await need.calls({ to: 'processManager', method, args, what, repeat: 'never' }, cancel)
    if (typeof pid !== 'number') throw replyMalformed('it has no process id')
    return pid
  } catch (error) {
    if (!hasCode(error, 'guest-path-missing')) throw error
    const program = String(spec['programPath'])
    throw new BackupError(`${what}: the guest has no "${program}"`, {
      code: 'guest-program-missing',
      kind: 'not-found',
      facts: { program, fault: faultNameOf(error) },
      cause: error,
    })
  }
}

async function outcomeOf(run: Run, pid: number, cancel: Cancel): Promise<RunOutcome> {
  const { clock } = run.need
  const startedMs = clock.monotonicMs()
  const endMs = startedMs + run.request.timeoutMs + SCRIPT_GRACE_MS
  const ended = processWatch(run, pid)
  let answeredMs = startedMs
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(LOOKS_MS_MAX, pauseMs * 1.5)) {
    await clock.sleep(pauseMs, cancel)
    try {
      // In this order: a process that ended between two looks has left its result before.
      const gone = await ended(cancel)
      const outcome = await readOutcome(run, cancel)
      if (outcome !== null) return outcome
      if (gone !== null) throw resultLost(run, gone)
      answeredMs = clock.monotonicMs()
    } catch (error) {
      if (!mayPass(error) || clock.monotonicMs() - answeredMs > AWAY_MS_MAX) throw error
    }
    if (clock.monotonicMs() > endMs) throw resultLost(run, `process ${pid} should have ended by itself`)
  }
}

function mayPass(error: unknown): boolean {
  return error instanceof BackupError && error.retry === 'later' && error.code !== 'guest-result-lost'
}

/** @returns null while the process lives, else how it went; looked at now and then only */
function processWatch({ need, what }: Run, pid: number): (cancel: Cancel) => Promise<string | null> {
  let lookedMs = need.clock.monotonicMs()
  return async (cancel) => {
    if (need.clock.monotonicMs() - lookedMs < PROCESS_LOOK_MS) return null
    lookedMs = need.clock.monotonicMs()
    const args = { pids: [pid] }
    const method = 'ListProcessesInGuest'
    const reply = await need.calls({ to: 'processManager', method, args, what, repeat: 'here' }, cancel)
    const own = recordsOf(reply === null ? undefined : reply).find((process) => numberAt(process, 'pid') === pid)
    if (own === undefined) return `process ${pid} is not known any more`
    const exitCode = numberAt(own, 'exitCode')
    return textAt(own, 'endTime') === null && exitCode === null ? null : `process ${pid} ended with code ${exitCode}`
  }
}

/** @returns null while there is none */
async function readOutcome({ need, place, what }: Run, cancel: Cancel): Promise<RunOutcome | null> {
  const path = need.shell.join(place.work, 'result')
  try {
    return parseRunResult(await need.files.download({ path, bytesMax: RESULT_BYTES_MAX }, cancel), what)
  } catch (error) {
    if (hasCode(error, 'guest-path-missing')) return null
    throw error
  }
}

/** Best effort, with its own time: the caller's may be over. The script's own time limit holds in any case. */
async function stop(run: Run, pid: number | null): Promise<void> {
  try {
    const cancel = limited(STOP_LIMIT_MS)
    const way = run.need.shell.stop(run.place)
    if (way.kind === 'program') await start(run, way.spec, cancel)
    else await run.need.files.upload({ path: way.path, bytes: new Uint8Array(), executable: false }, cancel)
    while ((await readOutcome(run, cancel)) === null) await run.need.clock.sleep(FIRST_LOOK_MS, cancel)
  } catch {
    if (pid === null) return
    const what = `Cannot end "${run.request.program}" in the guest`
    const call = { method: 'TerminateProcessInGuest', args: { pid }, what, repeat: 'here' } as const
    await run.need.calls({ to: 'processManager', ...call }, limited(TERMINATE_LIMIT_MS)).catch(() => undefined)
  }
}

function limited(ms: number): Cancel {
  return { signal: withTimeLimit(new AbortController().signal, ms) }
}

function resultOf(
  { how, exitCode, stdout, stderr }: RunOutcome,
  { need, request, what }: Omit<Run, 'place'>,
): ProgramResult {
  switch (how) {
    case 'exited':
      return { exitCode, timedOut: false, stdout, stderr }
    case 'late':
      return { exitCode: null, timedOut: true, stdout, stderr }
    case 'stopped':
      return { exitCode: null, timedOut: false, stdout, stderr }
    case 'no-program':
      throw new BackupError(`${what}: there is no such program`, {
        code: 'guest-program-missing',
        kind: 'not-found',
        facts: { program: request.program },
      })
    case 'no-directory':
      throw new BackupError(
        `${what}: it cannot run in "${request.workingDirectory}", which is no directory it may enter`,
        {
          code: 'guest-path-missing',
          kind: 'not-found',
          facts: { path: request.workingDirectory },
        },
      )
    case 'not-elevated':
      throw new BackupError(`${what} elevated: ${lowered(whyNotElevated(need.shell.family, need.user))}`, {
        code: 'guest-elevation-refused',
        kind: 'refused',
        hint: 'Use the network, or give the policy an account for VMware Tools that is elevated by itself',
        facts: { user: need.user },
      })
  }
}

/** A request that no program of this kind of guest can be given; values may be secrets and are not shown. */
export function argumentUnfit(reason: string): BackupError {
  return new BackupError(`Cannot run a program in the guest: it ${reason}`, {
    code: 'guest-argument-unfit',
    kind: 'usage',
  })
}

/** One sentence for the operator. */
export function whyNotElevated(family: GuestFamily, user: string): string {
  return family === 'linux'
    ? `Nothing elevates over VMware Tools: the account "${user}" must be root itself`
    : `Nothing elevates over VMware Tools: the account "${user}" has no token of high integrity, which with UAC only the built-in Administrator has`
}

function lowered(sentence: string): string {
  return `${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`
}

function resultLost({ what, need, place }: Run, reason: string): BackupError {
  return new BackupError(`${what}: how it ended is not known: ${reason}, and it left no result`, {
    code: 'guest-result-lost',
    retry: 'later',
    hint: `Look whether the guest was restarted, and whether "${need.shell.join(place.work, '')}" can be written`,
    facts: { reason },
  })
}
