// Calls the wrapper in the guest over a channel.

import type { Cancel } from '../../base/time-limit.ts'
import type { GuestFamily, ScriptRun } from '../../model/guest.ts'
import type { GuestChannel, ProgramRequest } from '../../ports/guest.ts'
import { posixStart } from './posix-wrapper.ts'
import { windowsStart } from './windows-start.ts'
import type { WrapperPlace } from './wrapper.ts'
import { decode, parseReply, runOf, type ToldRun, type WrapperReply } from './wrapper-reply.ts'

export type WrapperCall = {
  readonly family: GuestFamily
  /** The wrapper's own path. */
  readonly program: string
  readonly elevated: boolean
  /** The command and its arguments. */
  readonly words: readonly string[]
  /** Completes the sentence "Cannot … in the guest". */
  readonly what: string
  readonly timeoutMs: number
}

/** The wrapper that lies in a workspace. */
export function wrapperAt({
  family,
  path,
  elevated,
}: WrapperPlace): Pick<WrapperCall, 'family' | 'program' | 'elevated'> {
  return { family, program: pathIn(family, { directory: path, name: `wrapper${wrapperSuffix(family)}` }), elevated }
}

export function wrapperSuffix(family: GuestFamily): '.sh' | '.ps1' {
  return family === 'windows' ? '.ps1' : '.sh'
}

export function pathIn(
  family: GuestFamily,
  { directory, name }: { readonly directory: string; readonly name: string },
): string {
  return `${directory}${family === 'windows' ? '\\' : '/'}${name}`
}

/** A script may take ten minutes (lib/wire/policy.ts); what is left of earlier freezes comes first. */
export const scriptCallMs = 20 * 60_000
/** For calls that do little; a busy guest may take long to start a program. */
export const shortCallMs = 60_000

const stderrBytesMax = 64 * 1024

/** @throws BackupError `guest-wrapper-reply`, `guest-workspace-missing`, and whatever code the wrapper refuses with */
export async function callWrapper(channel: GuestChannel, call: WrapperCall, cancel: Cancel): Promise<WrapperReply> {
  const request = call.family === 'windows' ? windowsRequest(call) : posixRequest(call)
  return parseReply(await channel.run(request, cancel), call.what)
}

/**
 * The run that a reply tells of, with the first 64 KiB of stderr: what the reply has no room for is asked for.
 * @returns null where the reply tells of none
 */
export async function completeRun(
  channel: GuestChannel,
  { reply, place }: { readonly reply: WrapperReply; readonly place: WrapperPlace },
  cancel: Cancel,
): Promise<ScriptRun | null> {
  const told = runOf(reply)
  if (told === null || told.stderr.byteLength >= told.stderrBytes) return told?.run ?? null
  return { ...told.run, stderr: decode(await restOfStderr(channel, { told, place }, cancel)) }
}

async function restOfStderr(
  channel: GuestChannel,
  { told, place }: { readonly told: ToldRun; readonly place: WrapperPlace },
  cancel: Cancel,
): Promise<Uint8Array> {
  const parts = [told.stderr]
  let bytes = told.stderr.byteLength
  while (bytes < Math.min(told.stderrBytes, stderrBytesMax)) {
    const words = ['stderr', told.path, String(bytes)]
    const what = 'read what a script wrote to stderr'
    const call = { ...wrapperAt(place), words, what, timeoutMs: shortCallMs }
    const part = (await callWrapper(channel, call, cancel)).bytes('stderr')
    if (part.byteLength === 0) break
    parts.push(part)
    bytes += part.byteLength
  }
  return Buffer.concat(parts).subarray(0, stderrBytesMax)
}

function posixRequest({ program, elevated, words, timeoutMs }: WrapperCall): ProgramRequest {
  return {
    program: '/bin/sh',
    args: ['-c', posixStart, 'coldframe', program, ...words],
    environment: {},
    workingDirectory: null,
    timeoutMs,
    elevated,
  }
}

/** Words travel as JSON in the environment: no rule of quoting on the way can change them. */
function windowsRequest({ program, elevated, words, timeoutMs }: WrapperCall): ProgramRequest {
  const escaped = JSON.stringify({ words }).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return {
    program: 'powershell.exe',
    args: [
      ...['-NoLogo', '-NoProfile', '-NonInteractive', '-ExecutionPolicy', 'Bypass', '-EncodedCommand'],
      Buffer.from(windowsStart, 'utf16le').toString('base64'),
    ],
    environment: { COLDFRAME_PROGRAM: program, COLDFRAME_WORDS: escaped },
    workingDirectory: null,
    timeoutMs,
    elevated,
  }
}
