// The winrm channel: what a GuestChannel does, by the scripts of winrm-scripts.ts.

import { createHash } from 'node:crypto'
import { hexOf } from '../../base/bytes.ts'
import { BackupError, malformed } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestIdentity } from '../../model/guest.ts'
import type { GuestChannel, ProgramRequest, ProgramResult } from '../../ports/guest.ts'
import { damaged, pathMissing, refuseRemoval, tooLarge } from './guest-path.ts'
import { commandLineOf } from './winrm-arguments.ts'
import type { Script, WinrmShell } from './winrm-shell.ts'
import { readGuest } from './wsman-replies.ts'

/** An operation of ours in a busy guest; starting PowerShell is most of it. */
const OPERATION_MS = 120_000
/** What starting PowerShell may add to the time of a program before it is stopped from outside. */
const START_MS = 60_000
/** The least speed of a file that is not yet given up, either way. */
const TRANSFER_BYTES_PER_MS = 50
const STREAM_BYTES_MAX = 65_536
const ANSWER_BYTES_MAX = 1_048_576
/** Integrity levels are the last number of S-1-16-…; from this one on a token is elevated (MS-DTYP 2.4.2.4). */
const HIGH_INTEGRITY = 12_288

type Answer = Readonly<Record<string, unknown>>

/** @param address of the guest, for the record. The shell is disposed with the channel. */
export function winrmChannel(shell: WinrmShell, address: string): GuestChannel {
  let known: GuestIdentity | null = null
  const read = <Result>(from: () => Result): Result => readGuest(shell.place, from)
  const ask = async (script: Pick<Script, 'name' | 'data'> & Partial<Script>, cancel: Cancel) => {
    const whole = { payload: null, limitMs: OPERATION_MS, outputBytesMax: ANSWER_BYTES_MAX, ...script }
    const found = await repeatedOnce(() => shell.execute(whole, cancel), cancel)
    if (found.kind === 'late') throw late(script.name, { place: shell.place, limitMs: whole.limitMs })
    refuseFailure(found.answer, { ...script, place: shell.place })
    return found
  }
  const whoAmI = async (cancel: Cancel): Promise<GuestIdentity> => {
    cancel.signal.throwIfAborted()
    if (known !== null) return known
    const { answer } = await ask({ name: 'whoAmI', data: {} }, cancel)
    known = read(() => identityOf(answer))
    return known
  }

  return {
    kind: 'winrm',
    family: 'windows',
    address,
    whoAmI,
    run: async (request, cancel) => {
      cancel.signal.throwIfAborted()
      const { program, arguments: line } = commandLineOf(request.program, request.args)
      if (request.elevated) refuseUnlessElevated(await whoAmI(cancel), request.program)
      const { workingDirectory, timeoutMs } = request
      const environment = Object.entries(request.environment).map(([name, value]) => ({ name, value }))
      const data = { program, arguments: line, workingDirectory, timeoutMs, environment }
      const limitMs = timeoutMs + START_MS
      const script = { name: 'run', data, payload: null, limitMs, outputBytesMax: ANSWER_BYTES_MAX } as const
      // Never twice: whether the program has run is not known when its shell is lost.
      const found = await shell.execute(script, cancel)
      if (found.kind === 'late') return { exitCode: null, timedOut: true, stdout: '', stderr: '' }
      if (found.answer['code'] === 'program-missing') throw programMissing(request, shell.place)
      refuseFailure(found.answer, { ...script, place: shell.place })
      const result = read(() => resultOf(found.answer))
      // What the guest's own kill has not found, a descendant without a parent, is still in the shell's job.
      if (result.timedOut) await shell.reset()
      return result
    },
    makeDirectory: async (cancel) => {
      const data = { name: `coldframe-${hexOf(systemRandom.bytes(16))}` }
      const { answer } = await ask({ name: 'makeDirectory', data }, cancel)
      return read(() => textIn(answer, 'path'))
    },
    put: async ({ path, bytes }, cancel) => {
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      const data = { path, sha256 }
      await ask({ name: 'put', data, payload: bytes, limitMs: transferMs(bytes.byteLength) }, cancel)
    },
    get: async ({ path, bytesMax }, cancel) => {
      const outputBytesMax = Math.ceil(bytesMax * 1.5) + ANSWER_BYTES_MAX
      const limitMs = transferMs(bytesMax)
      const { lines, answer } = await ask({ name: 'get', data: { path, bytesMax }, limitMs, outputBytesMax }, cancel)
      return wholeFile(path, { lines, needed: read(() => textIn(answer, 'sha256')) })
    },
    digest: async (path, cancel) => {
      const { answer } = await ask({ name: 'digest', data: { path } }, cancel)
      return read(() => textIn(answer, 'sha256'))
    },
    remove: async (path, cancel) => {
      // A leading slash is the root of the guest's current drive.
      refuseRemoval(path, path.startsWith('/') ? 'linux' : 'windows')
      await ask({ name: 'remove', data: { path } }, cancel)
    },
    [Symbol.asyncDispose]: () => shell[Symbol.asyncDispose](),
  }
}

/** @throws BackupError `guest-file-damaged` */
function wholeFile(
  path: string,
  { lines, needed }: { readonly lines: readonly string[]; readonly needed: string },
): Uint8Array {
  const bytes = Buffer.concat(lines.map((line) => Buffer.from(line, 'base64')))
  const found = createHash('sha256').update(bytes).digest('hex')
  if (found !== needed) throw damaged(path, { needed, found })
  return new Uint8Array(bytes)
}

/** What the script itself says went wrong. */
function refuseFailure(
  answer: Answer,
  { name, data, place }: Pick<Script, 'name' | 'data'> & { readonly place: string },
) {
  const { path = '', bytesMax = 0, sha256 = '' } = data
  switch (answer['code']) {
    case undefined:
      return
    case 'path-missing':
      throw pathMissing(String(answer['path'] ?? path))
    case 'large':
      throw tooLarge(String(path), Number(bytesMax))
    case 'damaged':
      throw damaged(String(path), { needed: String(sha256), found: String(answer['sha256']) })
    default: {
      const about = path === '' ? '' : ` of "${String(path)}"`
      throw new BackupError(
        `Cannot do "${name}"${about} in the guest at "${place}": ${String(answer['message'] ?? 'it gave no reason')}`,
        { code: 'guest-failed', retry: 'later', facts: { place, script: name } },
      )
    }
  }
}

/** A shell that was lost while a script ran that may run twice. */
async function repeatedOnce<Result>(action: () => Promise<Result>, { signal }: Cancel): Promise<Result> {
  try {
    return await action()
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof BackupError) || error.facts['shellLost'] !== true) throw error
    return action()
  }
}

function identityOf(answer: Answer): GuestIdentity {
  const user = textIn(answer, 'user')
  const { administrator, member, integrity } = answer
  if (administrator === true && Number(integrity) >= HIGH_INTEGRITY) return { user, elevated: true, whyNot: null }
  const whyNot =
    member === true
      ? `The account "${user}" is an administrator whose token User Account Control filters over the network: only the built-in Administrator, a domain account, or LocalAccountTokenFilterPolicy=1 in the guest gives a full one`
      : `The account "${user}" is not a member of the guest's Administrators`
  return { user, elevated: false, whyNot }
}

function refuseUnlessElevated({ elevated, whyNot }: GuestIdentity, program: string): void {
  if (elevated) return
  throw new BackupError(`Cannot run "${program}" elevated in the guest: ${whyNot}`, {
    code: 'guest-elevation-refused',
    kind: 'refused',
    hint: 'Use an account that has what the message names, or mark the script as one that needs no elevation',
    facts: { program },
  })
}

function resultOf(answer: Answer): ProgramResult {
  const { exitCode, timedOut } = answer
  if (timedOut !== true && typeof exitCode !== 'number')
    throw malformed('answer of the guest', answer, 'must have an exit code')
  return {
    exitCode: timedOut === true || typeof exitCode !== 'number' ? null : exitCode,
    timedOut: timedOut === true,
    stdout: streamOf(answer, 'stdout'),
    stderr: streamOf(answer, 'stderr'),
  }
}

/** A character that the cut at 64 KiB has split is left out. */
function streamOf(answer: Answer, name: string): string {
  const bytes = Buffer.from(textIn(answer, name), 'base64').subarray(0, STREAM_BYTES_MAX)
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: bytes.byteLength === STREAM_BYTES_MAX })
}

function textIn(answer: Answer, name: string): string {
  const value = answer[name]
  if (typeof value !== 'string') throw malformed('answer of the guest', answer, `must have the text "${name}"`)
  return value
}

function transferMs(bytes: number): number {
  return OPERATION_MS + Math.ceil(bytes / TRANSFER_BYTES_PER_MS)
}

function late(script: string, { place, limitMs }: { readonly place: string; readonly limitMs: number }): BackupError {
  return new BackupError(`Cannot finish "${script}" in the guest at "${place}": it took longer than ${limitMs} ms`, {
    code: 'guest-unreachable',
    retry: 'later',
    facts: { place, script, limitMs },
  })
}

function programMissing({ program }: ProgramRequest, place: string): BackupError {
  return new BackupError(`Cannot find the program "${program}" in the guest at "${place}"`, {
    code: 'guest-program-missing',
    kind: 'not-found',
    hint: 'Give its whole path; without one only PATH is searched, and only for names ending in .exe',
    facts: { place, program },
  })
}
