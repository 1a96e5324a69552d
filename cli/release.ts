// coldframe release: gives back by hand what jobs that are done left on one VM.

import { BackupError } from '../lib/base/errors.ts'
import { openHuntDeps } from '../lib/compose/local-hunt.ts'
import { chooseVms } from '../lib/model/choose-vms.ts'
import { defaultPolicy } from '../lib/model/policy.ts'
import type { VmSummary } from '../lib/model/vm.ts'
import { describeFound } from '../lib/operate/hunt-words.ts'
import { describeDebt } from '../lib/operate/job-words.ts'
import type { HuntDeps } from '../lib/stages/hunt-mend.ts'
import { releaseVm, type VmRelease } from '../lib/stages/release-vm.ts'
import type { Answer } from './answer.ts'
import { openHome } from './context.ts'
import { readSettings } from './settings.ts'
import { printable } from './terminal.ts'
import type { World } from './world.ts'

export type ReleaseCommand = { readonly vm: string; readonly dryRun: boolean }

export async function release({ vm: name, dryRun }: ReleaseCommand, world: World): Promise<Answer> {
  const settings = await readSettings(world, ['vcenter'])
  using local = await openHome(settings, world)

  const deps = await openHuntDeps({ settings, around: world, local }, world)
  const vm = await findVm(name, deps, world)
  const done = await releaseVm({ vm, dryRun }, { deps, cancel: world })
  return { data: { dryRun, ...done }, text: textOf(done, dryRun), fault: faultOf(done, dryRun) }
}

async function findVm(name: string, { vsphere }: HuntDeps, world: World): Promise<VmSummary> {
  await using session = await vsphere.open(world)

  const choice = chooseVms({ vms: [name], policy: defaultPolicy() }, await session.listVms(world))
  if ('refusal' in choice) {
    const { message, code, hint } = choice.refusal
    throw new BackupError(message, { code, kind: 'not-found', ...(hint === null ? {} : { hint }) })
  }
  const [vm] = choice.vms
  if (vm === undefined) throw new BackupError(`Cannot find VM "${name}"`, { code: 'vm-not-found', kind: 'not-found' })
  return vm
}

function textOf({ vm, finding, debts }: VmRelease, dryRun: boolean): string {
  const lines = [
    ...(finding === null ? [] : describeFound(finding)),
    ...debts.map(
      ({ job, debt, kept }) =>
        `job ${job.slice(0, 8)} owed ${describeDebt(debt)}: ${kept === null ? 'given back' : `kept, ${kept}`}`,
    ),
  ]
  if (lines.length === 0) lines.push(`VM "${vm.name}" (${vm.moref}) has nothing of ours`)
  if (dryRun) lines.push('Nothing was changed')
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function faultOf({ vm, finding, debts }: VmRelease, dryRun: boolean): BackupError | null {
  const isLeft = finding !== null && finding.outcome !== 'mended' && finding.snapshots.length > 0
  if (dryRun || !(isLeft || debts.some(({ kept }) => kept !== null))) return null
  return new BackupError(`VM "${vm.name}" still has something of ours`, {
    code: 'release-incomplete',
    hint: 'Why stands with each thing above; try again later',
  })
}
