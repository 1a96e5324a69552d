// coldframe hunt: looks for what of ours was left on VMs, and for disks that do not consolidate, and mends it.

import { BackupError } from '../lib/base/errors.ts'
import { openHuntDeps } from '../lib/compose/local-hunt.ts'
import { describeFound } from '../lib/operate/hunt-words.ts'
import { type HuntReport, hunt as huntNow } from '../lib/stages/hunt.ts'
import type { Answer } from './answer.ts'
import { openHome } from './context.ts'
import { readSettings } from './settings.ts'
import { printable } from './terminal.ts'
import type { World } from './world.ts'

export type HuntCommand = {
  readonly dryRun: boolean
  /** Also what stuns VMs whose policy's window is closed. */
  readonly anyTime: boolean
}

export async function hunt({ dryRun, anyTime }: HuntCommand, world: World): Promise<Answer> {
  const settings = await readSettings(world, ['vcenter'])
  using local = await openHome(settings, world)

  const deps = await openHuntDeps({ settings, around: world, local }, world)
  const report = await huntNow({ dryRun, vms: null, keepsWindows: !anyTime }, deps, world)
  return { data: report, text: textOf(report), fault: faultOf(report) }
}

function textOf({ looked, findings, unread }: HuntReport): string {
  const lines = [
    ...findings.flatMap(describeFound),
    ...unread.map(({ vm, reason }) => `${vm}: could not be read, ${reason}`),
    `${looked} VMs looked at, ${findings.length === 0 ? 'nothing to mend' : `${findings.length} with something to mend`}`,
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

/** What waits is no fault: the next hunt goes on with it. */
function faultOf({ findings, unread }: HuntReport): BackupError | null {
  const left = findings.filter(({ outcome }) => outcome === 'left').map(({ vm }) => vm.name)
  if (left.length === 0 && unread.length === 0) return null
  const names = [...left, ...unread.map(({ vm }) => vm)].map((name) => `"${name}"`).join(', ')
  return new BackupError(`${left.length + unread.length} VMs need somebody to look at them: ${names}`, {
    code: 'hunt-left',
    hint: 'What to do stands with each of them above; "coldframe hunt --json" has it, too',
  })
}
