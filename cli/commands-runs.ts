// Commands about runs and jobs: start them, follow them, what they cost.

import type { CostOptions } from './cost.ts'
import type { JobsOptions } from './jobs.ts'
import { type AddCommand, type CommandEnds, collect, type Json, wholeNumber } from './option-values.ts'

const backupHelp = `
Without --vm, what the policy selects is backed up. A name that several VMs have is refused: name one by its reference
or instance uuid. Without --policy, quiescing is tried and a crash-consistent point accepted, nothing is run in guests, and
disks are read by transport "datastore".

Ctrl-C ends the command, not the job: "coldframe resume", or the next backup, goes on with it.
`

type BackupFlags = {
  readonly vm?: readonly string[]
  readonly policy?: string
  readonly full?: true
  readonly key?: string
}

export function addRunCommands(command: AddCommand, { finish, world }: CommandEnds): void {
  command('backup', 'back VMs up and wait for the end')
    .option('--vm <name>', 'a VM by name, reference (vm-101) or instance uuid; repeatable', collect)
    .option('--policy <name>', 'how, and without --vm also what, to back up: a policy that was applied, or a file')
    .option('--full', 'read and store everything anew, for example after "verify" found damage')
    .option('--key <text>', 'the same key asks for the same run again instead of a new one')
    .addHelpText('after', backupHelp)
    .action(async ({ json, vm, ...options }: Json & BackupFlags) => {
      const { backup } = await import('./backup.ts')
      finish(await backup({ ...options, vm: vm ?? [] }, world), { json: json === true })
    })
  command('resume', 'go on with interrupted jobs until nothing is left to do').action(async ({ json }: Json) => {
    const { resume } = await import('./resume.ts')
    finish(await resume(world), { json: json === true })
  })
  command('cancel', 'end a backup, a restore or a check that is not wanted any more; everything is given back')
    .argument('<id>', 'of a job or a run (its beginning is enough), of a restore or a check')
    .action(async (id: string, { json }: Json) => {
      const { cancel } = await import('./cancel.ts')
      finish(await cancel(id, world), { json: json === true })
    })
  command('jobs', 'what runs and what ran, and what it waits for')
    .option('--job <id>', 'everything about one job; the beginning of its id is enough')
    .option('--limit <count>', 'how many, newest first', wholeNumber, 20)
    .action(async ({ json, ...options }: Json & JobsOptions) => {
      const { jobs } = await import('./jobs.ts')
      finish(await jobs(options, world), { json: json === true })
    })
  command('cost', 'what backups have used, and what that costs')
    .option('--by <group>', 'vm, policy, run, job or day', 'vm')
    .option('--since <time>', 'how far back, for example 12h or 30d', '30d')
    .option('--vm <name>', "only this VM's, by name, reference or instance uuid")
    .option('--policy <name>', 'only those of this policy')
    .option('--run <id>', 'only those of this run; the beginning of its id is enough')
    .option(
      '--prices <file>',
      'JSON with prices of your region and contract (default: COLDFRAME_PRICES, else on-demand prices of us-east-1)',
    )
    .action(async ({ json, ...options }: Json & CostOptions) => {
      const { cost } = await import('./cost.ts')
      finish(await cost(options, world), { json: json === true })
    })
}
