// Which VM an alarm is about: by reference, by instance uuid, or by a name that only one VM has. Pure; in doubt none.

import type { Alarm } from './alarm.ts'
import type { VmSummary } from './vm.ts'

export type Resolved = { readonly vm: VmSummary } | { readonly code: string; readonly message: string }

/** Candidates that are named in a sentence; the rest is counted. */
const NAMED_MAX = 5

/** Whether it says that it is about something else. Kinds are those of the vSphere API, or words that people use for them. */
export function isOfOtherKind({ target }: Pick<Alarm, 'target'>): boolean {
  if (target.kind === null) return false
  return !['virtualmachine', 'virtual machine', 'vm'].includes(target.kind.toLowerCase())
}

/**
 * References are unique in one vCenter only: where the source does not say which vCenter it speaks of, a name that it tells as well
 * must be the VM's. What is not told is not held against it.
 * @param vcenterId of the vCenter that `vms` are of
 */
export function resolveTarget(
  alarm: Pick<Alarm, 'vcenterId' | 'target' | 'alarmName'>,
  { vcenterId, vms }: { readonly vcenterId: string | null; readonly vms: readonly VmSummary[] },
): Resolved {
  const { moref, instanceUuid, name } = alarm.target
  const own = vcenterId?.toLowerCase() ?? null
  const told = alarm.vcenterId?.toLowerCase() ?? null
  if (told !== null && told !== own) {
    return {
      code: 'other-vcenter',
      message: `Alarm "${alarm.alarmName}" is of vCenter "${told}"; this installation works with "${own ?? 'one without an id'}"`,
    }
  }
  if (isOfOtherKind(alarm)) return notVm(alarm.target.kind ?? '', name ?? moref ?? '')
  if (instanceUuid !== null) return oneOf(vms, (vm) => vm.vmId === instanceUuid.toLowerCase(), instanceUuid)
  if (moref === null)
    return name === null ? untold(alarm.alarmName) : oneOf(vms, (vm) => vm.name === decoded(name), name)
  const found = oneOf(vms, (vm) => vm.moref === moref, moref)
  if (!('vm' in found) || told !== null || name === null || found.vm.name === decoded(name)) return found
  return {
    code: 'target-mismatch',
    message: `Alarm "${alarm.alarmName}" is about "${moref}" named "${name}"; here "${moref}" is "${found.vm.name}"`,
  }
}

/** vCenter writes '%', '/' and '\' in names as "%25", "%2f" and "%5c". */
function decoded(name: string): string {
  return name.replace(/%2f/gi, '/').replace(/%5c/gi, '\\').replace(/%25/g, '%')
}

function oneOf(vms: readonly VmSummary[], isMeant: (vm: VmSummary) => boolean, what: string): Resolved {
  const [vm, ...others] = vms.filter(isMeant)
  if (vm === undefined) return { code: 'vm-not-found', message: `vCenter lists no VM "${what}"` }
  if (others.length > 0) {
    const all = [vm, ...others]
    const named = all.slice(0, NAMED_MAX).map(({ moref, folder }) => `"${moref}" in "${folder}"`)
    const more = all.length > NAMED_MAX ? ` and ${all.length - NAMED_MAX} more` : ''
    return { code: 'vm-ambiguous', message: `${all.length} VMs are named "${what}": ${named.join(', ')}${more}` }
  }
  if (vm.template) return { code: 'vm-template', message: `"${vm.name}" is a template: there is nothing to back up` }
  return { vm }
}

function notVm(kind: string, name: string): Resolved {
  return { code: 'not-a-vm', message: `It is about ${kind} "${name}", not about a VM` }
}

function untold(alarmName: string): Resolved {
  return { code: 'target-unknown', message: `Alarm "${alarmName}" does not say what it is about` }
}
