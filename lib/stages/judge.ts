// Whether a VM, as it is now, may be backed up by a job: asked by prepare, and once more by capture. Pure.

import type { Job } from '../model/job.ts'
import type { Outcome } from '../model/outcome.ts'
import { type Preflight, preflight } from '../model/preflight.ts'
import type { VmState } from '../model/vm.ts'

/** @param vm as it is after our own snapshots were removed @returns why not, or what preflight found */
export function judgeVm(vm: VmState, job: Job): { readonly outcome: Outcome } | Preflight {
  const stranger = whyAnotherVm(vm, job)
  if (stranger !== null) return { outcome: stranger }
  const judged = preflight(vm, job.policy)
  const [fault] = judged.faults
  if (fault === undefined) return judged
  const message = judged.faults.map((each) => each.message).join('; ')
  return { outcome: { kind: 'failed', code: fault.code, message, hint: fault.hint } }
}

function whyAnotherVm(vm: VmState, job: Job): Outcome | null {
  if (vm.vmId === job.vm.vmId) return null
  const message = `"${job.vm.moref}" is now VM "${vm.name}" (${vm.vmId}), not "${job.vm.name}" (${job.vm.vmId})`
  return { kind: 'failed', code: 'vm-replaced', message, hint: 'Start the backup again: it looks the VM up anew' }
}
