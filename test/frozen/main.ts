// `npm run test:frozen`: backups whose capture is killed at every call between freeze and thaw, whose network is cut, and whose
// watch is dead. Exit code 1 when a guest was frozen for too long, or anything else was not as it must be.

import { parseArgs } from 'node:util'
import { nameOf } from './calls.ts'
import { carryOutMany, type Summary } from './many.ts'
import type { Plan } from './plan.ts'
import type { RunResult } from './run.ts'

const HELP = `Usage: npm run test:frozen -- [options]

Kills, stops and cuts off backups of a simulated guest that is really frozen by a script, with a freeze limit of 2 s.

  --runs N      how many runs (200)
  --at-once N   how many of them side by side (8)
  --seed N      which runs (a new one each time; printed)
  --only N      carries out the run of this number alone, and prints what the product logged
  --json        prints one JSON document in the end, and nothing else
  --help        prints this
`

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '200' },
    'at-once': { type: 'string', default: '8' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else process.exitCode = await main()

async function main(): Promise<number> {
  const [seed, runs, atOnce] = [values.seed, values.runs, values['at-once']].map(Number)
  const only = values.only === undefined ? null : Number(values.only)
  for (const value of [seed, runs, atOnce, only ?? 0]) {
    if (value === undefined || !Number.isSafeInteger(value) || value < 0) {
      process.stderr.write(HELP)
      return 2
    }
  }
  const say = (text: string) => (values.json ? undefined : process.stdout.write(`${text}\n`))
  const startedMs = performance.now()
  say(`seed ${seed}`)
  const summary = await carryOutMany({
    ...{ seed: seed ?? 0, runs: runs ?? 0, atOnce: atOnce ?? 1, only },
    onResult: (result, done) => {
      if (result.faults.length > 0) say(failureText(result))
      if (only !== null) say(result.log.join('\n'))
      if (done % 20 === 0) say(`${done} runs, ${Math.round((performance.now() - startedMs) / 1000)} s`)
    },
  })
  const isGood = summary.failed.length === 0 && summary.strikes.missed.length === 0
  if (values.json)
    process.stdout.write(`${JSON.stringify({ v: 1, ok: isGood, data: { seed, ...shortened(summary) } })}\n`)
  else say(summaryText(summary))
  return isGood ? 0 : 1
}

function summaryText({ runs, freezes, thawedBy, longestMs, longestHoldMs, grades, strikes, ...rest }: Summary): string {
  const all = strikes.struck.length + strikes.missed.length
  return [
    `runs            ${runs}, of which ${rest.failed.length} failed`,
    `freezes         ${freezes}`,
    `thawed by       ${listOf(thawedBy)}`,
    `longest freeze  ${longestMs} ms on the guest's clock (writes were held for ${longestHoldMs} ms at most)`,
    `points          ${listOf(grades)}`,
    `outcomes        ${listOf(rest.outcomes)}`,
    `strikes         ${strikes.struck.length} of ${all} (calls between freeze and thaw, before and after)`,
    ...strikes.missed.map((one) => `                missed: ${one}`),
    ...rest.failed.map(({ plan }) => `failed          ${replay(plan)}`),
    `${rest.leftFrozen} left frozen`,
  ].join('\n')
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}

function failureText({ plan, faults, freezes, outcome }: RunResult): string {
  const { strike } = plan
  const struck = strike === null ? 'nobody' : `${strike.blow} ${strike.when} ${nameOf(strike.point)}`
  const seen = freezes.map(({ number, frozenMs, thawedBy }) => `${number}: ${frozenMs} ms, ${thawedBy}`).join('; ')
  return [
    `run ${plan.number}: ${struck}; ${outcome}; freezes ${seen}`,
    ...faults.map((fault) => `  ${fault}`),
    `  ${JSON.stringify(plan)}`,
    `  ${replay(plan)}`,
  ].join('\n')
}

function replay({ seed, number }: Plan): string {
  return `npm run test:frozen -- --seed ${seed} --only ${number}`
}

function shortened({ failed, ...summary }: Summary) {
  return { ...summary, failed: failed.map(({ plan, faults }) => ({ plan, faults, replay: replay(plan) })) }
}
