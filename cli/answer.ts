// How a command ends: results on stdout, bad news on stderr or in the one JSON document, and an exit code.

import { BackupError, exitCodeOf, type Facts, messageOf } from '../lib/base/errors.ts'
import { isAbort } from '../lib/base/time-limit.ts'
import { printable } from './terminal.ts'

/** What a command found out. */
export type Answer = {
  /** For --json. */
  readonly data: unknown
  /** For people: whole lines for stdout. */
  readonly text: string
  /** The command did its work and this is the bad news: it decides the exit code. */
  readonly fault: BackupError | null
}

export type Printed = { readonly stdout: string; readonly stderr: string; readonly exitCode: number }

export function printAnswer({ data, text, fault }: Answer, { json }: { readonly json: boolean }): Printed {
  if (fault === null) return { stdout: json ? document({ v: 1, ok: true, data }) : text, stderr: '', exitCode: 0 }
  const exitCode = exitCodeOf(fault.kind)
  if (json) return { stdout: document({ v: 1, ok: false, data, error: errorOf(fault) }), stderr: '', exitCode }
  return { stdout: text, stderr: sentences(fault), exitCode }
}

/** Anything that was thrown: an error of the world, a cancel, or broken code. */
export function printError(thrown: unknown, options: { readonly json: boolean; readonly debug: boolean }): Printed {
  const fault = faultOf(thrown)
  const exitCode = exitCodeOf(fault.kind)
  const stack = options.debug && thrown instanceof Error ? `${thrown.stack ?? ''}\n` : ''
  if (!options.json) return { stdout: '', stderr: `${sentences(fault)}${stack}`, exitCode }
  return { stdout: document({ v: 1, ok: false, error: errorOf(fault) }), stderr: stack, exitCode }
}

/** The error that speaks for whatever was thrown. */
export function faultOf(thrown: unknown): BackupError {
  if (thrown instanceof BackupError) return thrown
  if (thrown instanceof AggregateError) {
    const member = thrown.errors.find((one) => one instanceof BackupError)
    if (member !== undefined) return member
  }
  if (isAbort(thrown)) return new BackupError('Interrupted', { code: 'interrupted', kind: 'interrupted' })
  return new BackupError(`This is a fault of Coldframe itself: ${messageOf(thrown)}`, {
    code: 'internal',
    hint: 'Set COLDFRAME_DEBUG=1 for the details; the log lies under COLDFRAME_HOME (default .coldframe)',
    cause: thrown,
  })
}

function errorOf({ code, message, hint, facts }: BackupError) {
  return { code, message, hint: hint ?? null, facts }
}

function document(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** The sentence, each listed fault, the hint. */
function sentences({ message, hint, facts }: BackupError): string {
  const lines = [
    message,
    ...faultsOf(facts).map((fault) => `  ${fault}`),
    ...(hint === undefined ? [] : [`hint: ${hint}`]),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function faultsOf({ faults }: Facts): readonly string[] {
  return Array.isArray(faults) ? faults.map(String) : []
}
