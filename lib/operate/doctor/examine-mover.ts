// The VM that the mover runs in, where a policy has disks attached to it.

import { quote } from '../../base/errors.ts'
import { PRIVILEGE_NEEDS } from '../../model/privileges.ts'
import type { VmSummary } from '../../model/vm.ts'
import { type Check, checkOf, failed, notChecked, type Topic, warning } from './check.ts'
import { ask, type Call, type Patient, type Patients } from './deps.ts'
import { isFatal, judgeRights } from './judge-site.ts'

/** What it lacks, every VM lacks for `hotadd`. */
export async function examineMover(
  known: readonly Patient[],
  { session, policy, inventory }: Patients,
  call: Call,
): Promise<readonly Check[]> {
  if (!policy.transport.includes('hotadd')) return []
  const { moverVm } = call.deps
  const topic: Topic = {
    id: 'mover.privileges',
    about: "the mover's VM",
    tried: 'ask for the privileges of the account',
  }
  // The transport itself says what is missing.
  if (moverVm === null) return [checkOf(topic, notChecked('COLDFRAME_MOVER_VM is not set'))]
  const vm = moverIn(inventory, moverVm)
  if (vm === undefined) {
    const lack = { feature: 'hotadd', words: `the mover's VM ${quote(moverVm)} is not in the inventory` } as const
    for (const patient of known) patient.lacks.push(lack)
    const next = 'Let COLDFRAME_MOVER_VM name the VM that this program runs in, by reference or instance uuid'
    const judge = isFatal([lack], policy) ? failed : warning
    return [checkOf(topic, judge(`vCenter lists no VM ${quote(moverVm)} to this account`, next))]
  }
  const about = `the mover's VM ${quote(vm.name)}`
  const needs = PRIVILEGE_NEEDS.filter(({ place, feature }) => place === 'mover-vm' && feature === 'hotadd')
  const entity = { kind: 'vm', moref: vm.moref } as const
  const ids = needs.map(({ id }) => id)
  const missing = await ask((within) => session.missingPrivileges({ entity, ids }, within), call)
  const { verdict, lacks } = judgeRights(missing, { needs, policy, where: about })
  for (const { facts, lacks: own } of known) {
    own.push(...lacks)
    // Its disks are in use by the very machine that they would be attached to.
    if (facts.vm.moref === vm.moref) own.push({ feature: 'hotadd', words: "it is the mover's own VM" })
  }
  return [checkOf({ ...topic, about }, verdict)]
}

function moverIn(inventory: readonly VmSummary[], moverVm: string): VmSummary | undefined {
  return inventory.find(({ moref, vmId }) => moref === moverVm || vmId === moverVm.toLowerCase())
}
