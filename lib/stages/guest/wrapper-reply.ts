// What the wrapper answers, as values. Only a whole reply counts: unknown never becomes a success.

import { BackupError, quote } from '../../base/errors.ts'
import type { ScriptRun, ScriptStage, ThawedBy } from '../../model/guest.ts'
import type { ProgramResult } from '../../ports/guest.ts'

export type WrapperReply = {
  /** The words of the first line with this key. @throws BackupError `guest-wrapper-reply` when there is none */
  words(key: string, count: number): readonly string[]
  /** The rest of the first line with this key, with its spaces; null when there is none. */
  text(key: string): string | null
  /** The bytes of all lines with this key, which hold hexadecimal digits. */
  bytes(key: string): Uint8Array
  has(key: string): boolean
  /** An error that shows what came. */
  odd(why: string): BackupError
}

/** A run as the wrapper tells it, and where the rest of what it wrote to stderr is to be asked for. */
export type ToldRun = {
  readonly run: ScriptRun
  readonly path: string
  readonly stderr: Uint8Array
  readonly stderrBytes: number
}

const firstLine = 'coldframe-wrapper 1'
const lastLine = 'end'

/** @throws BackupError `guest-wrapper-reply`; or, where the wrapper refuses, with the code and the reason that it gives */
export function parseReply(result: ProgramResult, what: string): WrapperReply {
  const odd = (why: string): BackupError =>
    new BackupError(`Cannot ${what} in the guest: ${why}; it said ${quote(said(result))}`, {
      code: 'guest-wrapper-reply',
      retry: 'later',
      facts: { exitCode: result.exitCode, timedOut: result.timedOut },
    })
  const all = result.stdout.split(/\r?\n/)
  const begin = all.indexOf(firstLine)
  const end = all.indexOf(lastLine, begin)
  if (begin < 0) throw odd(result.timedOut ? 'it took too long' : 'the wrapper did not answer')
  if (end < 0) throw odd('the answer is not complete')
  const lines = all.slice(begin + 1, end).map((line) => {
    const at = line.indexOf(' ')
    return at < 0 ? { key: line, rest: '' } : { key: line.slice(0, at), rest: line.slice(at + 1) }
  })
  const text = (key: string): string | null => lines.find((line) => line.key === key)?.rest ?? null
  const refused = text('refused')
  if (refused !== null) throw refusal(refused, what, text('reason') ?? 'it gave no reason')
  return {
    text,
    odd,
    has: (key) => text(key) !== null,
    words: (key, count) => {
      const words = text(key)?.split(' ')
      if (words?.length !== count) throw odd(`"${key}" is not followed by ${count} words`)
      return words
    },
    bytes: (key) => {
      const digits = lines.filter((line) => line.key === key).map(({ rest }) => rest.replaceAll(' ', ''))
      if (!digits.every((line) => /^([0-9a-f]{2})*$/.test(line))) throw odd(`"${key}" is no hexadecimal text`)
      return new Uint8Array(Buffer.from(digits.join(''), 'hex'))
    },
  }
}

/** @returns null where the reply tells of no script */
export function runOf(reply: WrapperReply): ToldRun | null {
  if (!reply.has('script')) return null
  const [stage = '', path = '', code = '', timed = '', good = '', elapsed = '', bytes = ''] = reply.words('script', 7)
  const stderr = reply.bytes('stderr')
  const exitCode = code === '-' ? null : wholeNumber(code, reply)
  const succeeded = flag(good, reply)
  const timedOut = flag(timed, reply)
  if (succeeded && (exitCode === null || timedOut)) throw reply.odd('a script succeeded without an end of its own')
  const run: ScriptRun = {
    stage: stageOf(stage, reply),
    exitCode,
    timedOut,
    succeeded,
    elapsedMs: Math.max(0, wholeNumber(elapsed, reply)),
    stderr: decode(stderr),
  }
  return { run, path, stderr, stderrBytes: wholeNumber(bytes, reply) }
}

export function wholeNumber(word: string, reply: WrapperReply): number {
  const value = Number(word)
  if (!/^-?[0-9]{1,15}$/.test(word)) throw reply.odd(`${quote(word)} is no whole number`)
  return value
}

export function thawedBy(word: string, reply: WrapperReply): ThawedBy {
  switch (word) {
    case 'capture':
    case 'timer':
    case 'watch':
    case 'release':
    case 'next-freeze':
      return word
    default:
      throw reply.odd(`${quote(word)} is nobody who thaws`)
  }
}

/** As UTF-8; what is none, and a character cut at the end, is shown by U+FFFD. */
export function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
}

function stageOf(word: string, reply: WrapperReply): ScriptStage {
  if (word === 'pre-freeze' || word === 'post-thaw' || word === 'post-commit') return word
  throw reply.odd(`${quote(word)} is no stage of a script`)
}

function flag(word: string, reply: WrapperReply): boolean {
  if (word !== '0' && word !== '1') throw reply.odd(`${quote(word)} is neither 0 nor 1`)
  return word === '1'
}

function said({ stdout, stderr }: ProgramResult): string {
  return stdout.trim() === '' ? stderr.trim() : stdout.trim()
}

/** Refusals that an operator can do something about; each has a hint. */
const hints: Readonly<Record<string, string>> = {
  'guest-no-memory-place':
    'Set COLDFRAME_GUEST_DIRECTORY in the environment of the account to a writable directory on tmpfs, or let the account use sudo',
  'guest-script-damaged': 'Compare the bundle in the object store with the SHA-256 in the policy',
  'guest-script-unfit': 'Pack the bundle anew as .tgz, with relative names, without links, and with the entry in it',
  'guest-script-missing': 'Give the policy a script for this stage',
  'guest-workspace-missing': 'The guest was restarted or somebody removed the directory; the next run makes a new one',
}

function refusal(code: string, what: string, reason: string): BackupError {
  const known = /^guest-[a-z-]{1,40}$/.test(code) ? code : 'guest-wrapper-refused'
  const hint = hints[known]
  return new BackupError(`Cannot ${what} in the guest: ${reason}`, {
    code: known,
    ...(hint === undefined ? {} : { hint }),
  })
}
