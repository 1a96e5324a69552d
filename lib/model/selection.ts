// Which VMs a policy means now: pure, against a listed inventory.

import type { Selection, Selector } from './policy.ts'
import { matchesPattern } from './policy.ts'
import type { VmSummary } from './vm.ts'

/** The selected VMs in the inventory's order. Templates are never selected: they cannot be snapshotted. */
export function selectVms(vms: readonly VmSummary[], selection: Selection): readonly VmSummary[] {
  return vms.filter(
    (vm) =>
      !vm.template &&
      selection.any.some((selector) => matches(vm, selector)) &&
      selection.all.every((selector) => matches(vm, selector)) &&
      !selection.none.some((selector) => matches(vm, selector)),
  )
}

/** Whether all conditions of a selector hold for a VM. */
export function matches(vm: VmSummary, selector: Selector): boolean {
  const { name, tag, folder, cluster, resourcePool, datastore } = selector
  return (
    (name === undefined || matchesPattern(vm.name, name)) &&
    (tag === undefined || vm.tags.some((own) => matchesPattern(own, tag))) &&
    (folder === undefined || isInFolder(vm.folder, folder)) &&
    (cluster === undefined || matchesPattern(vm.cluster ?? '', cluster)) &&
    (resourcePool === undefined || matchesPattern(vm.resourcePool ?? '', resourcePool)) &&
    (datastore === undefined || vm.datastores.some((own) => matchesPattern(own, datastore)))
  )
}

function isInFolder(own: string, wanted: string): boolean {
  const folder = wanted.replace(/\/+$/, '')
  return matchesPattern(own, folder) || matchesPattern(own, `${folder}/*`)
}
