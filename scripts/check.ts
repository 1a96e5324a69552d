// `npm run check`: format and lint (biome), types (tsc), the import table and the rules of style. Prints one line for
// each that is kept, and all faults of those that are not. Exit code 1 when there are any.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { checkImports } from './check-imports.ts'
import { formatFaults, readSources } from './sources.ts'
import { checkTidiness } from './tidy.ts'

type Outcome = { readonly ok: boolean; readonly output: string }

const root = dirname(import.meta.dirname)
const sources = readSources(root)

const checks: readonly { readonly name: string; readonly run: () => Promise<Outcome> }[] = [
  { name: 'format, lint', run: () => tool('biome', ['check', '--max-diagnostics=200', '--error-on-warnings']) },
  { name: 'types', run: () => tool('tsc', ['-p', root]) },
  { name: 'imports', run: async () => outcomeOf(formatFaults(checkImports(sources))) },
  { name: 'tidy', run: async () => outcomeOf(formatFaults(checkTidiness(sources))) },
]

const outcomes = await Promise.all(checks.map(({ run }) => run()))
for (const [index, { name }] of checks.entries()) {
  const { ok, output } = outcomes[index] ?? { ok: false, output: 'did not run\n' }
  process.stdout.write(ok ? `ok      ${name}\n` : `${output}FAILED  ${name}\n`)
}
process.exitCode = outcomes.every(({ ok }) => ok) ? 0 : 1

function outcomeOf(faults: string): Outcome {
  return { ok: faults === '', output: faults }
}

async function tool(name: string, args: readonly string[]): Promise<Outcome> {
  const child = spawn(join(root, 'node_modules', '.bin', name), args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => output.push(text))
  const [code] = await once(child, 'close')
  return { ok: code === 0, output: output.join('') }
}
