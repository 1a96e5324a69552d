// npm run bench:fleet: hundreds of simulated VMs through the whole pipeline of one machine, with random faults. Exit code 1 when a
// limit of vSphere was violated or a snapshot was left.

import { parseArgs } from 'node:util'
import { runFleet } from './fleet/fleet.ts'
import { reportOf, reportText } from './fleet/report.ts'

const HELP = `Usage: npm run bench:fleet -- [options]

Backs up a simulated fleet twice (everything, then what changed), and reports what the control plane cost.

  --vms N       how many VMs (500)
  --rounds N    how many backups of each (2)
  --seed N      of the fleet and its faults (1)
  --movers N    movers at once (32); each is a function of one process
  --handlers N  messages handled side by side (16)
  --calm        no faults
  --json        prints one JSON document in the end, and nothing else
  --help        prints this
`

const { values } = parseArgs({
  options: {
    vms: { type: 'string', default: '500' },
    rounds: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    movers: { type: 'string', default: '32' },
    handlers: { type: 'string', default: '16' },
    calm: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else process.exitCode = await main()

async function main(): Promise<number> {
  const [vms = 0, rounds = 0, seed = 0, moversMax = 0, handledMax = 0] = [
    ...[values.vms, values.rounds, values.seed, values.movers, values.handlers].map(Number),
  ]
  if (![vms, rounds, seed, moversMax, handledMax].every((one) => Number.isSafeInteger(one) && one >= 0) || vms === 0) {
    process.stderr.write(HELP)
    return 2
  }
  const say = (text: string) => (values.json ? undefined : process.stdout.write(`${text}\n`))
  const result = await runFleet({ vms, rounds, seed, moversMax, handledMax, calm: values.calm, say })
  const report = reportOf(result)
  if (values.json)
    process.stdout.write(`${JSON.stringify({ v: 1, ok: report.ok, data: { vms, rounds, seed, ...report } })}\n`)
  else say(reportText(report))
  return report.ok ? 0 : 1
}
