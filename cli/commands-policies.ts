// Commands about policies: check, plan, apply them; how well they are kept; the daemon that starts them.

import type { Command } from 'commander'
import type { AddCommand, CommandEnds, Json } from './option-values.ts'

const policyHelp = `
Exit codes: check 2 when a file has a fault; plan and apply 4 when a script is missing or another one than the policy pins, or
nobody agreed to the change. A policy that was applied is used by its name: coldframe backup --policy gold
`

const reportHelp = `
Exit code 1 when a VM has missed its RPO or a start of its schedule, or when the scheduler does not have what was applied.
What else is told (VMs in no policy, or in several, grades below what is wanted, quarantine) is exit code 0.
`

const daemonHelp = `
Starts applied policies by their schedules and does all work of this COLDFRAME_HOME until it is stopped (Ctrl-C, SIGTERM). What
was missed while none ran is made up for once: of many times the newest. Other commands can be used beside it.
`

type Apply = Json & { readonly prune?: true; readonly yes?: true }

export function addPolicyCommands(command: AddCommand, ends: CommandEnds): void {
  const { finish, world } = ends
  const policy = command('policy', 'policies as code: check, plan, apply, list, show, remove')
  addFileCommands(policy, ends)
  addStoredCommands(policy, ends)
  policy.addHelpText('after', policyHelp)
  command('report', 'VMs in no policy, missed backups, grades below what is wanted, schedules that are gone')
    .addHelpText('after', reportHelp)
    .action(async ({ json }: Json) => {
      const { report } = await import('./report.ts')
      finish(await report(world), { json: json === true })
    })
  command('daemon', 'start applied policies by their schedules, until stopped')
    .addHelpText('after', daemonHelp)
    .action(async ({ json }: Json) => {
      const { daemon } = await import('./daemon.ts')
      finish(await daemon(world), { json: json === true })
    })
}

function addFileCommands(policy: Command, { finish, world }: CommandEnds): void {
  sub(policy, 'check', 'every fault of every file, with its line')
    .argument('<file...>', 'policies, one a file')
    .action(async (files: readonly string[], { json }: Json) => {
      const { check } = await import('./policy.ts')
      finish(await check(files), { json: json === true })
    })
  sub(policy, 'plan', 'what applying would change; changes nothing')
    .argument('<file...>', 'policies, one a file')
    .option('--prune', 'as if applied policies that are not among these were removed')
    .action(async (files: readonly string[], { json, prune }: Apply) => {
      const { plan } = await import('./policy.ts')
      finish(await plan({ files, prune: prune === true }, world), { json: json === true })
    })
  sub(policy, 'apply', 'store policies and schedule them; prints the plan first')
    .argument('<file...>', 'policies, one a file')
    .option('--prune', 'remove applied policies that are not among these')
    .option('--yes', 'do not ask')
    .action(async (files: readonly string[], { json, prune, yes }: Apply) => {
      const { apply } = await import('./policy.ts')
      finish(await apply({ files, prune: prune === true, yes: yes === true }, world), { json: json === true })
    })
  sub(policy, 'schema', 'the JSON Schema of a policy, for editors').action(async ({ json }: Json) => {
    const { schema } = await import('./policy.ts')
    finish(schema(), { json: json === true })
  })
}

function addStoredCommands(policy: Command, { finish, world }: CommandEnds): void {
  sub(policy, 'list', 'policies that were applied').action(async ({ json }: Json) => {
    const { list } = await import('./policy.ts')
    finish(await list(world), { json: json === true })
  })
  sub(policy, 'show', 'a policy as it was applied')
    .argument('<name>')
    .action(async (name: string, { json }: Json) => {
      const { show } = await import('./policy.ts')
      finish(await show(name, world), { json: json === true })
    })
  sub(policy, 'remove', 'nothing starts it any more; its restore points stay')
    .argument('<name>')
    .option('--yes', 'do not ask')
    .action(async (name: string, { json, yes }: Apply) => {
      const { remove } = await import('./policy.ts')
      finish(await remove({ name, yes: yes === true }, world), { json: json === true })
    })
}

function sub(policy: Command, name: string, description: string): Command {
  return policy.command(name).description(description).option('--json', 'print one JSON document on stdout')
}
