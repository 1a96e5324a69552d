// Commands about alarms: what came in, and what they have put on VMs.

import { BackupError } from '../lib/base/errors.ts'
import { type AddCommand, type CommandEnds, type Json, wholeNumber } from './option-values.ts'

type QuarantineFlags = { readonly vm: string; readonly lift?: true; readonly reason?: string }

export function addAlarmCommands(command: AddCommand, { finish, world }: CommandEnds): void {
  command('alarms', 'alarms that came in, newest first, and what was decided about each')
    .option('--limit <n>', 'how many', wholeNumber, 50)
    .action(async ({ json, limit }: Json & { readonly limit: number }) => {
      const { alarms } = await import('./alarms.ts')
      finish(await alarms({ limit }, world), { json: json === true })
    })
  command('quarantine', 'what alarms have put on a VM: quarantine, frozen retention, points under suspicion')
    .requiredOption('--vm <name>', 'the VM by name or instance uuid')
    .option('--lift', 'take all of it off again, and clear its points of suspicion')
    .option('--reason <text>', 'why it is lifted; kept with who did it and when')
    .action(async ({ json, vm, lift, reason }: Json & QuarantineFlags) => {
      if ((lift === true) !== (reason !== undefined && reason.trim() !== '')) throw halfALift()
      const { quarantine } = await import('./quarantine.ts')
      finish(await quarantine({ vm, lift: reason?.trim() ?? null }, world), { json: json === true })
    })
}

function halfALift(): BackupError {
  return new BackupError('Cannot lift a quarantine: "--lift" and "--reason" go together', {
    code: 'usage',
    kind: 'usage',
    hint: 'Say what was looked at: coldframe quarantine --vm NAME --lift --reason "…"',
  })
}
