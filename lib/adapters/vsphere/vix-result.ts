// What the script in a guest leaves of a run: one line, then both streams.
//
//   coldframe 1 <how> <exit code> <bytes of stdout> <bytes of stderr> LF, stdout, stderr

import { BackupError } from '../../base/errors.ts'

const ways = ['exited', 'late', 'stopped', 'no-program', 'no-directory', 'not-elevated'] as const

export type RunOutcome = {
  readonly how: (typeof ways)[number]
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** @throws BackupError `guest-file-damaged` unless everything fits to the byte */
export function parseRunResult(bytes: Uint8Array, what: string): RunOutcome {
  const end = bytes.indexOf(0x0a)
  const head = Buffer.from(bytes.subarray(0, Math.max(0, end))).toString('latin1')
  const match = /^coldframe 1 ([a-z-]+) (-?[0-9]{1,10}) ([0-9]{1,6}) ([0-9]{1,6})$/.exec(head)
  const how = ways.find((way) => way === match?.[1])
  const [exitCode, stdoutBytes, stderrBytes] = (match ?? []).slice(2).map(Number)
  if (how === undefined || exitCode === undefined || stdoutBytes === undefined || stderrBytes === undefined)
    throw damaged(what, `it begins with "${head.slice(0, 60)}"`)
  const body = bytes.subarray(end + 1)
  if (body.byteLength !== stdoutBytes + stderrBytes)
    throw damaged(what, `it has ${body.byteLength} bytes of output, not ${stdoutBytes} and ${stderrBytes}`)
  const text = (from: number, to: number) =>
    new TextDecoder('utf-8', { ignoreBOM: true }).decode(body.subarray(from, to))
  return { how, exitCode, stdout: text(0, stdoutBytes), stderr: text(stdoutBytes, body.byteLength) }
}

function damaged(what: string, reason: string): BackupError {
  return new BackupError(`${what}: its result cannot be read: ${reason}`, {
    code: 'guest-file-damaged',
    kind: 'integrity',
    facts: { reason },
  })
}
