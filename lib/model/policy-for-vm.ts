// What a policy means for one VM: its overrides applied, once, when the VM is planned. Pure.

import type { GuestOverride, Policy } from './policy.ts'
import { matches } from './selection.ts'
import type { VmSummary } from './vm.ts'

/**
 * For each part (credentials, scripts of Linux, scripts of Windows) the first override that matches the VM and names the part
 * decides it; what none decides stays the policy's own.
 * @returns a policy without overrides
 */
export function policyForVm(policy: Policy, vm: VmSummary): Policy {
  const matching = policy.guest.overrides.filter(({ match }) => matches(vm, match))
  const first = <Part extends keyof GuestOverride>(part: Part): GuestOverride[Part] | undefined =>
    matching.find((override) => override[part] !== undefined)?.[part]
  return {
    ...policy,
    guest: { ...policy.guest, credentials: first('credentials') ?? policy.guest.credentials, overrides: [] },
    scripts: {
      ...policy.scripts,
      linux: first('linux') ?? policy.scripts.linux,
      windows: first('windows') ?? policy.scripts.windows,
    },
  }
}
