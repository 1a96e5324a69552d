// The `coldframe` program: parses its arguments, runs one command, prints how it ended. Started by coldframe.mjs.

import { readFileSync } from 'node:fs'
import { type Command, CommanderError } from 'commander'
import { systemClock } from '../lib/base/clock.ts'
import { BackupError } from '../lib/base/errors.ts'
import { systemRandom } from '../lib/base/random.ts'
import { type Printed, printAnswer, printError } from './answer.ts'
import { listenForInterrupts } from './interrupt.ts'
import { coldframeProgram } from './program.ts'
import type { World } from './world.ts'

const args = process.argv.slice(2)
const json = args.includes('--json')
const world: World = {
  environment: process.env,
  folder: process.cwd(),
  progress: process.stderr,
  clock: systemClock,
  random: systemRandom,
  signal: listenForInterrupts(),
  version: versionOf(),
}

// A reader that stops reading ("| head") is not a fault.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? process.exitCode : 1))
}
try {
  await main()
} catch (error) {
  print(printError(endOf(error), { json, debug: isDebugging() }))
}
// Nothing is left to do: whatever still holds the process open is not waited for.
process.stdout.write('', () => process.exit())

async function main(): Promise<void> {
  const program = coldframeProgram({ finish: (answer, options) => print(printAnswer(answer, options)), world })
  for (const command of withBelow(program)) throwInsteadOfExiting(command)
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // Help and version have been printed.
    if (error.exitCode === 0) return
    throw usageError(error, program)
  }
}

/** Commander's words, without its own prefix; what it suggests becomes part of the hint. */
function usageError({ code, message }: CommanderError, program: Command): BackupError {
  const [first = '', ...more] = message.replace(/^error: /, '').split('\n')
  const sentence =
    code === 'commander.help' ? 'No command given' : `${first.slice(0, 1).toUpperCase()}${first.slice(1)}`
  const suggestion = more.join(' ').replace(/^\((.*)\)$/, '$1 ')
  return new BackupError(sentence, { code: 'usage', kind: 'usage', hint: `${suggestion}${usageHint(program)}` })
}

/** A command and all below it. */
function withBelow(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(withBelow)]
}

function throwInsteadOfExiting(command: Command): void {
  command.exitOverride().configureOutput({ writeErr: () => undefined })
}

function usageHint(program: Command): string {
  const named = program.commands.find((command) => command.name() === args[0])
  return named === undefined ? 'Run "coldframe --help"' : `Run "coldframe ${named.name()} --help"`
}

function print({ stdout, stderr, exitCode }: Printed): void {
  process.exitCode = exitCode
  if (stdout !== '') process.stdout.write(stdout)
  if (stderr !== '') process.stderr.write(stderr)
}

/** After Ctrl-C, whatever broke is an interruption; a command that knows more of what it leaves has said so. */
function endOf(error: unknown): unknown {
  if (!world.signal.aborted) return error
  if (error instanceof BackupError && error.code === 'interrupted') return error
  return new BackupError('Interrupted', { code: 'interrupted', kind: 'interrupted', cause: error })
}

function isDebugging(): boolean {
  return !['', '0', undefined].includes(process.env['COLDFRAME_DEBUG'])
}

function versionOf(): string {
  const manifest: { readonly version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  return manifest.version
}
