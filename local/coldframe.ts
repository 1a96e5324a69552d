// The coldframe command as a process of the demo: its progress goes through, its JSON document comes back.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import type { Cancel } from '../lib/base/time-limit.ts'

export type ColdframeCommand = {
  /** The launcher's path. */
  readonly program: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** Whether people see the command's progress. */
  readonly quiet: boolean
}

/**
 * Runs `coldframe … --json`.
 * @returns the document as printed
 * @throws Error when the exit code is not 0; its message holds what the command printed
 */
export async function runColdframe(command: ColdframeCommand, { signal }: Cancel): Promise<string> {
  const child = spawn(process.execPath, [command.program, ...command.args, '--json'], {
    env: { ...process.env, ...command.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  })
  const printed = text(child.stdout)
  if (!command.quiet) child.stderr.pipe(process.stderr)
  const told = text(child.stderr)
  const [code] = await once(child, 'close')
  if (code === 0) return printed
  throw new Error(
    `"coldframe ${command.args.join(' ')}" ended with exit code ${String(code)}: ${await printed}${await told}`,
  )
}
