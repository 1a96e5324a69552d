// What a command hunts with on one machine: vCenter and the state of its home, beside whatever engine is at work there.

import { logMetrics } from '../adapters/local/log.ts'
import { openVsphere } from '../adapters/vsphere/vsphere.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { HuntDeps } from '../stages/hunt-mend.ts'
import type { Settings } from '../wire/settings.ts'
import { type LocalState, localStageLimits, localTellers } from './local.ts'
import { type Surroundings, vsphereSettingsOf } from './vsphere-settings.ts'

export async function openHuntDeps(
  {
    settings,
    around,
    local,
  }: { readonly settings: Settings; readonly around: Surroundings; readonly local: LocalState },
  cancel: Cancel,
): Promise<HuntDeps> {
  const { vcenter, home } = settings
  if (vcenter === null)
    throw new BackupError('Cannot hunt: COLDFRAME_VCENTER is not set', { code: 'settings-faulty', kind: 'usage' })
  const { clock, random } = around
  const log = local.log.with({ command: 'hunt' })
  return {
    clock,
    random,
    log,
    metrics: logMetrics(log),
    ...localTellers(home, clock),
    jobStore: local.jobStore,
    vsphere: openVsphere(await vsphereSettingsOf(vcenter, around, cancel)),
    limits: localStageLimits,
  }
}
