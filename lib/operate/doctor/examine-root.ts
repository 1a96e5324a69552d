// The account's privileges at the root of vCenter, where a transport of the policy needs some there.

import { featuresOf, PRIVILEGE_NEEDS } from '../../model/privileges.ts'
import { type Check, checkOf } from './check.ts'
import { ask, type Call, type Patient, type Patients } from './deps.ts'
import { judgeRights } from './judge-site.ts'

/** What is missing there, every VM lacks. */
export async function examineRoot(
  known: readonly Patient[],
  { session, policy }: Patients,
  call: Call,
): Promise<readonly Check[]> {
  const features = featuresOf(policy)
  const needs = PRIVILEGE_NEEDS.filter(({ place, feature }) => place === 'root' && features.includes(feature))
  if (needs.length === 0) return []
  const about = 'the root of vCenter'
  const question = { entity: { kind: 'root' }, ids: [...new Set(needs.map(({ id }) => id))] } as const
  const missing = await ask((within) => session.missingPrivileges(question, within), call)
  const { verdict, lacks } = judgeRights(missing, { needs, policy, where: about })
  for (const patient of known) patient.lacks.push(...lacks)
  return [checkOf({ id: 'vcenter.privileges', about, tried: 'ask for the privileges of the account' }, verdict)]
}
