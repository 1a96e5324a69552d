// The `coldframe` command as people run it: a process, without --json, its streams kept apart.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { programPath } from '../../lib/compose/programs.ts'
import type { Environment } from '../flow/kit.ts'

/** Where Node keeps compiled sources between the many short commands of these tests. */
const compiled = join(import.meta.dirname, '../../node_modules/.cache/coldframe-tests')

export type Printed = { readonly exitCode: number | null; readonly stdout: string; readonly stderr: string }

export type Place = { readonly folder: string; readonly environment?: Environment }

/** Nothing of ours is inherited: the command sees only the settings that a test gives it. */
export async function coldframe(args: readonly string[], place: Place): Promise<Printed> {
  const outside = Object.entries(process.env).filter(([name]) => !name.startsWith('COLDFRAME_'))
  const child = spawn(process.execPath, [programPath('cli'), ...args], {
    cwd: place.folder,
    env: { ...Object.fromEntries(outside), NODE_COMPILE_CACHE: compiled, ...place.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { exitCode: child.exitCode, stdout, stderr }
}

/** What acts on a terminal instead of being shown; line breaks are meant. */
export function controlCharactersOf({ stdout, stderr }: Printed): readonly string[] {
  return `${stdout}${stderr}`.match(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g) ?? []
}
