// The ladder: the ways to snapshot a VM, most consistent first, down to what the policy requires. Pure.

import type { GradeRecord } from '../model/grade.ts'
import type { Grade, Policy } from '../model/policy.ts'
import type { VmState } from '../model/vm.ts'
import type { Quiesce } from '../ports/vsphere.ts'

/** One rung: a way to snapshot and the grade it gives when the snapshot says that it was quiesced. */
export type Rung = {
  readonly quiesce: Quiesce
  readonly grade: Grade | 'offline'
  readonly method: GradeRecord['method']
}

/** @returns the rungs to try in this order (none: the requirement cannot be met), and why better ones are left out */
export function ladderFor(
  vm: Pick<VmState, 'powerState' | 'guest'>,
  policy: Pick<Policy, 'consistency'>,
): { readonly rungs: readonly Rung[]; readonly fallbacks: readonly string[] } {
  const plain: Rung = { quiesce: { kind: 'none' }, grade: 'crash', method: 'none' }
  if (vm.powerState === 'poweredOff') return { rungs: [{ ...plain, grade: 'offline' }], fallbacks: [] }
  const fallbacks: string[] = []
  const rungs: Rung[] = []
  const { want, require } = policy.consistency
  if (want === 'application')
    fallbacks.push('Grade "application" needs guest processing, which this release does not have')
  if (want !== 'crash') {
    if (vm.powerState === 'suspended') fallbacks.push('The VM is suspended: its guest cannot be quiesced')
    else if (!vm.guest.toolsRunning) fallbacks.push('VMware Tools does not run in the guest: it cannot be quiesced')
    else rungs.push({ quiesce: { kind: 'tools' }, grade: 'filesystem', method: 'tools' })
  }
  if (require === 'crash') rungs.push(plain)
  return { rungs, fallbacks }
}
