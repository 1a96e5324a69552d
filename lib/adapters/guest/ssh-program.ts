// Programs, and scripts of ours, in a guest's shell: the same for POSIX shells and PowerShell, which differ in their texts.

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { ProgramRequest, ProgramResult } from '../../ports/guest.ts'
import type { Mark } from './posix-script.ts'
import type { SshConnection } from './ssh-connection.ts'
import { OWN_DRAIN_MS, PROGRAM_DRAIN_MS, type ScriptEnd, type SshShell, STREAM_BYTES_MAX } from './ssh-shell.ts'
import { unreachable } from './unreachable.ts'

/** Digests of large files take the longest. */
const OWN_SCRIPT_MS = 600_000

export type OwnScript = (
  commands: string,
  options: Cancel & { readonly elevated?: boolean; readonly input?: Uint8Array; readonly stdoutBytesMax?: number },
) => Promise<ScriptEnd>

/** @param options.text the script around the commands of a call; with `input`, it leaves its standard input to them */
export function ownScripts(
  shell: SshShell,
  options: {
    readonly connection: SshConnection
    readonly text: (commands: string, options: { readonly mark: Mark; readonly input: boolean }) => string
  },
): OwnScript {
  const { connection, text } = options
  return async (commands, { signal, elevated = false, input, stdoutBytesMax = STREAM_BYTES_MAX }) => {
    const end = await shell.run(
      {
        text: (mark) => text(commands, { mark, input: input !== undefined }),
        elevated,
        input: input ?? null,
        stdoutBytesMax,
        timeoutMs: OWN_SCRIPT_MS,
        drainMs: OWN_DRAIN_MS,
      },
      { signal },
    )
    if (!end.timedOut) return end
    throw unreachable(connection.door, { reason: `a command did not end within ${OWN_SCRIPT_MS} ms`, cause: undefined })
  }
}

/** @param call.refusals what a script that did not start the program begins with, and what it means */
export async function runProgram(
  shell: SshShell,
  call: {
    readonly request: ProgramRequest
    readonly text: (mark: Mark) => string
    readonly refusals: Readonly<Record<string, () => BackupError>>
  },
  { signal }: Cancel,
): Promise<ProgramResult> {
  const { elevated, timeoutMs } = call.request
  const limits = { stdoutBytesMax: STREAM_BYTES_MAX, timeoutMs, drainMs: PROGRAM_DRAIN_MS }
  const end = await shell.run({ text: call.text, elevated, input: null, ...limits }, { signal })
  const refusal = call.refusals[end.word]
  if (refusal !== undefined) throw refusal()
  const { exitCode, timedOut, stdout, stderr } = end
  return { exitCode, timedOut, stdout: decodeStream(stdout), stderr: decodeStream(stderr) }
}

export function programMissing(program: string): BackupError {
  return new BackupError(`Cannot run "${program}" in the guest: there is no such program, or it may not be run`, {
    code: 'guest-program-missing',
    facts: { program },
  })
}

/** A character that the cut at 64 KiB halved is left out. */
export function decodeStream(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: bytes.byteLength >= STREAM_BYTES_MAX })
}
