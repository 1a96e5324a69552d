// `npm run test:cloud`: the generated template at work on this machine, in a calm and in trouble. Exit code 1 when anything is not as it
// must be; the seed and the trouble's name replay it. docs/CLOUD-TEST.md says what this proves and what it cannot.

import { parseArgs } from 'node:util'
import { messageOf } from '../../lib/base/errors.ts'
import { runCloud } from './run-cloud.ts'
import { summaryText } from './summary.ts'

const HELP = `Usage: npm run test:cloud -- [options]

Packages the stack, deploys its template on this machine, makes a full and an incremental backup of the demo's VMs with it, and then backs
up a small VM in one trouble after another.

  --short        small VMs and few troubles
  --all          every write of every program, in all three ways
  --only NAME    this trouble alone (repeatable); the names are those that are printed
  --seed N       decides all chance (a new one each time; printed)
  --keep         leaves the folder with the stack and its logs
  --json         prints one JSON document in the end, and nothing else
  --help         prints this
`

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else process.exitCode = await main()

async function main(): Promise<number> {
  const seed = Number(values.seed)
  if (!Number.isSafeInteger(seed) || seed < 0) {
    process.stderr.write(HELP)
    return 2
  }
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error(`Ended by ${name}`)))
  const say = (text: string) => (values.json ? undefined : process.stdout.write(`${text}\n`))
  const startedMs = performance.now()
  say(`seed ${seed}`)
  const extent = values.short ? 'short' : values.all || values.only !== undefined ? 'all' : 'usual'
  const run = { extent, seed, only: values.only ?? null, keep: values.keep, say } as const
  try {
    const { faults, summary, troubles } = await runCloud(run, { signal: stop.signal })
    say(summaryText(summary, performance.now() - startedMs))
    for (const fault of faults) say(`FAULT ${fault}`)
    if (values.json)
      process.stdout.write(
        `${JSON.stringify({ v: 1, ok: faults.length === 0, data: { seed, summary, troubles, faults } })}\n`,
      )
    return faults.length === 0 ? 0 : 1
  } catch (error) {
    const told = { code: 'cloud-failed', message: messageOf(error), hint: null, facts: {} }
    if (values.json) process.stdout.write(`${JSON.stringify({ v: 1, ok: false, error: told })}\n`)
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    return stop.signal.aborted ? 130 : 1
  }
}
