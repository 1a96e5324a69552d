// Which VMs are meant, by name, reference or uuid, or by a policy's selection. Pure.

import { nearNames } from '../base/text.ts'
import type { Outcome } from './outcome.ts'
import type { Run } from './run.ts'
import { selectVms } from './selection.ts'
import type { VmSummary } from './vm.ts'

export type Choice = { readonly vms: readonly VmSummary[] } | { readonly refusal: Outcome }

/** The VMs that a run means, by name, reference or uuid, or by the policy's selection. Pure. */
export function chooseVms(run: Pick<Run, 'vms' | 'policy'>, inventory: readonly VmSummary[]): Choice {
  if (run.vms === null) {
    const vms = selectVms(inventory, run.policy.select)
    if (vms.length > 0) return { vms }
    return refusal(
      'nothing-selected',
      `Policy "${run.policy.name}" selects none of the ${inventory.length} VMs`,
      "Check the policy's select section against the names, tags and folders in vCenter",
    )
  }
  const chosen = new Map<string, VmSummary>()
  for (const wanted of run.vms) {
    const matches = inventory.filter(
      (vm) => vm.name === wanted || vm.moref === wanted || vm.vmId === wanted.toLowerCase(),
    )
    const [vm] = matches
    if (vm === undefined) return unknownVm(wanted, inventory)
    if (matches.length > 1) return ambiguousVm(wanted, matches)
    if (vm.template)
      return refusal('vm-template', `"${wanted}" is a template: templates cannot be snapshotted`, 'Name a VM')
    chosen.set(vm.vmId, vm)
  }
  return { vms: [...chosen.values()] }
}

function unknownVm(wanted: string, inventory: readonly VmSummary[]): Choice {
  const near = nearNames(wanted, [...new Set(inventory.map((vm) => vm.name))])
  const hint =
    near.length > 0
      ? `Did you mean ${near.map((name) => `"${name}"`).join(' or ')}?`
      : `vCenter lists ${inventory.length} VMs to this account`
  return refusal('vm-not-found', `Cannot find VM "${wanted}"`, hint)
}

function ambiguousVm(wanted: string, matches: readonly VmSummary[]): Choice {
  const list = matches.map((vm) => `"${vm.moref}" in "${vm.folder}"`).join(', ')
  return refusal(
    'vm-ambiguous',
    `${matches.length} VMs are named "${wanted}": ${list}`,
    'Name the VM by its reference (for example --vm vm-101) or instance uuid',
  )
}

function refusal(code: string, message: string, hint: string): Choice {
  return { refusal: { kind: 'failed', code, message, hint } }
}
