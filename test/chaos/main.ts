// `npm run test:chaos`: backups in a row of a simulated vCenter while everything that can fail does. Exit code 1 when a restored
// byte is wrong, a snapshot or a place is left, or anything else is not as it must be; the seed and the run's number replay it.

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { type AnyResult, carryOutRun } from './carry-out.ts'
import { carryOutMany, type Summary } from './many.ts'

const HELP = `Usage: npm run test:chaos -- [options]

Backs up simulated VMs, several times in a row, while faults strike at random; then looks at every point, snapshot and place.
One run in twenty goes over SOAP and HTTPS to the simulator: its plan is the seed's, and its timing is not.

  --runs N      how many runs (1000)
  --seed N      which runs (a new one each time; printed)
  --run K       carries out the run of this number alone, and prints its plan and what the product logged
  --at-once N   processes (one a processor)
  --json        prints one JSON document in the end, and nothing else
  --help        prints this
`

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    run: { type: 'string' },
    'at-once': { type: 'string', default: String(availableParallelism()) },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else process.exitCode = await main()

async function main(): Promise<number> {
  const [seed = 0, runs = 0, atOnce = 1] = [values.seed, values.runs, values['at-once']].map(Number)
  const only = values.run === undefined ? null : Number(values.run)
  if (![seed, runs, atOnce, only ?? 0].every((value) => Number.isSafeInteger(value) && value >= 0) || atOnce === 0) {
    process.stderr.write(HELP)
    return 2
  }
  if (only !== null) return await replay({ seed, run: only })
  const say = (text: string) => (values.json ? undefined : process.stdout.write(`${text}\n`))
  const startedMs = performance.now()
  const seconds = () => Math.round((performance.now() - startedMs) / 1000)
  say(`seed ${seed}`)
  const summary = await carryOutMany({
    ...{ seed, runs: Array.from({ length: runs }, (_, run) => run), atOnce },
    onResult: (result, done) => {
      if (result.faults.length > 0) say(failureText(result))
      if (done % 100 === 0) say(`${done} runs, ${seconds()} s`)
    },
  })
  const ok = summary.failed.length === 0
  if (values.json) process.stdout.write(`${JSON.stringify({ v: 1, ok, data: { seed, ...summary } })}\n`)
  else say(summaryText(summary, seed))
  return ok ? 0 : 1
}

async function replay(which: { readonly seed: number; readonly run: number }): Promise<number> {
  const result = await carryOutRun(which)
  const { faults, log, ...rest } = result
  if (values.json) process.stdout.write(`${JSON.stringify({ v: 1, ok: faults.length === 0, data: result })}\n`)
  else
    process.stdout.write(
      `${[...log, JSON.stringify(rest, null, 1), ...faults, `${faults.length} faults`].join('\n')}\n`,
    )
  return faults.length === 0 ? 0 : 1
}

function failureText({ plan, faults, struck }: AnyResult): string {
  const what = listOf(struck as Readonly<Record<string, number>>)
  return [`run ${plan.run}: ${what}`, ...faults.map((fault) => `  ${fault}`), `  ${replayOf(plan)}`].join('\n')
}

function replayOf({ seed, run }: { readonly seed: number; readonly run: number }): string {
  return `npm run test:chaos -- --seed ${seed} --run ${run}`
}

function summaryText(summary: Summary, seed: number): string {
  const { struck, wrongDisks, orphans, leakedPlaces, crowded } = summary
  return [
    `runs      ${summary.runs}, of which ${summary.failed.length} failed`,
    `faults    ${Object.values(struck).reduce((sum, count) => sum + count, 0)} of ${Object.keys(struck).length} kinds: ${listOf(struck)}`,
    `points    ${summary.points} with ${summary.disks} disks, each restored and compared with what its snapshot froze`,
    `outcomes  ${listOf(summary.outcomes)}`,
    `unproven  ${summary.unprovenDisks} disks hold older bytes where changes were left out, and their points say so; ${summary.unseenDisks} more were written over before an audit of less than all came by`,
    ...summary.failed.map(({ run }) => `failed    ${replayOf({ seed, run })}`),
    `${wrongDisks === 0 ? '0 wrong bytes' : `wrong bytes on ${wrongDisks} disks`}, ${orphans} orphaned snapshots, ${leakedPlaces} leaked tokens, ${crowded} snapshots out of their group's turn`,
  ].join('\n')
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}
