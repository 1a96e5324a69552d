// What commands about policies act through on one machine.

import { sqliteSchedules } from '../adapters/local/schedules.ts'
import { openVsphere } from '../adapters/vsphere/vsphere.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { ApplyDeps } from '../operate/policy-apply.ts'
import type { LookDeps } from '../operate/policy-look.ts'
import type { Repository } from '../repository/repository.ts'
import type { Settings } from '../wire/settings.ts'
import type { LocalState } from './local.ts'
import { type Surroundings, vsphereSettingsOf } from './vsphere-settings.ts'

/** Records and schedules: all that removing a policy needs. */
export function localPolicies(local: LocalState, { clock }: Pick<Surroundings, 'clock'>): Omit<ApplyDeps, 'scripts'> {
  const { state, jobStore } = local
  return { clock, jobStore, schedules: sqliteSchedules(state, { clock }), log: local.log.with({ command: 'policy' }) }
}

/** And vCenter, to see which VMs are meant. */
export async function lookAtPolicies(
  options: { readonly settings: Settings; readonly around: Surroundings; readonly local: LocalState },
  cancel: Cancel,
): Promise<Omit<LookDeps, 'scripts'>> {
  const { settings, around, local } = options
  const { vcenter } = settings
  if (vcenter === null)
    throw new BackupError('Cannot look at VMs: COLDFRAME_VCENTER is not set', {
      code: 'settings-faulty',
      kind: 'usage',
    })
  const { clock, schedules } = localPolicies(local, around)
  const vsphere = openVsphere(await vsphereSettingsOf(vcenter, around, cancel))
  return { clock, jobStore: local.jobStore, schedules, vsphere }
}

export function withScripts<Deps>(deps: Deps, { store }: Repository): Deps & { readonly scripts: Repository['store'] } {
  return { ...deps, scripts: store }
}
