// What is remembered of a VM, changed by conditional writes. Losing it loses no backup: it is measurements and what is due.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import { newVmHistory, type VmHistory } from '../model/vm-history.ts'
import type { StageDeps } from './deps.ts'

const WRITES_MAX = 10

export async function vmHistoryOf(
  vm: Pick<Job['vm'], 'vmId' | 'name'>,
  deps: Deps,
  cancel: Cancel,
): Promise<VmHistory> {
  return (await deps.jobStore.vms.get(vm.vmId, cancel))?.value ?? newVmHistory(vm)
}

/**
 * Writes `change(history)`; the same history means that there is nothing to write.
 * @throws BackupError `vm-history-contended` when others write it all the time
 */
export async function rememberVm(
  vm: Pick<Job['vm'], 'vmId' | 'name'>,
  change: (history: VmHistory) => VmHistory,
  { deps, cancel }: { readonly deps: Deps; readonly cancel: Cancel },
): Promise<void> {
  const { vms } = deps.jobStore
  for (let write = 1; write <= WRITES_MAX; write++) {
    const found = await vms.get(vm.vmId, cancel)
    const before = found?.value ?? newVmHistory(vm)
    const value = change(before)
    if (value === before) return
    const answer =
      found === null
        ? await vms.create(vm.vmId, value, cancel)
        : await vms.replace(vm.vmId, { value, version: found.version }, cancel)
    if (answer === 'created' || answer === 'replaced') return
  }
  throw new BackupError(`Cannot note what became of VM "${vm.name}": ${WRITES_MAX} writes were overtaken by others`, {
    code: 'vm-history-contended',
    retry: 'later',
  })
}

type Deps = Pick<StageDeps, 'jobStore'>
