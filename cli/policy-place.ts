// Where policies are kept: the state of this machine, or a stack's on AWS with the rights of its PolicyRole.

import { localPolicies, lookAtPolicies, withScripts } from '../lib/compose/local-policies.ts'
import type { ApplyDeps } from '../lib/operate/policy-apply.ts'
import type { LookDeps } from '../lib/operate/policy-look.ts'
import type { Repository } from '../lib/repository/repository.ts'
import { createRepository, isElsewhere, openHome } from './context.ts'
import { readSettings } from './settings.ts'
import type { World } from './world.ts'

export type PolicyPlace = Disposable & {
  readonly deps: ApplyDeps & LookDeps
  /** Null where nobody has its key: points are then those that the state has noted. */
  readonly repository: Repository | null
}

/** To see which VMs are meant, and to change policies. */
export async function openPolicyPlace(world: World): Promise<PolicyPlace> {
  if (isElsewhere(world)) return { deps: await awsPolicies(world), repository: null, [Symbol.dispose]: () => undefined }
  const settings = await readSettings(world, ['vcenter', 'repository'])
  const local = await openHome(settings, world)
  try {
    const repository = await createRepository(settings, world)
    const look = await lookAtPolicies({ settings, around: world, local }, world)
    const deps = withScripts({ ...localPolicies(local, world), ...look }, repository)
    return { deps, repository, [Symbol.dispose]: () => local[Symbol.dispose]() }
  } catch (error) {
    local[Symbol.dispose]()
    throw error
  }
}

/** Only records and schedules. */
export async function openPolicyRecords(
  world: World,
): Promise<Disposable & { readonly deps: Omit<ApplyDeps, 'scripts'> }> {
  if (isElsewhere(world)) return { deps: await awsPolicies(world), [Symbol.dispose]: () => undefined }
  const local = await openHome(await readSettings(world, []), world)
  return { deps: localPolicies(local, world), [Symbol.dispose]: () => local[Symbol.dispose]() }
}

/** Inventory, records and schedules, for a report. */
export async function openPolicyLook(world: World): Promise<Disposable & { readonly deps: Omit<LookDeps, 'scripts'> }> {
  if (isElsewhere(world)) return { deps: await awsPolicies(world), [Symbol.dispose]: () => undefined }
  const settings = await readSettings(world, ['vcenter'])
  const local = await openHome(settings, world)
  try {
    const deps = await lookAtPolicies({ settings, around: world, local }, world)
    return { deps, [Symbol.dispose]: () => local[Symbol.dispose]() }
  } catch (error) {
    local[Symbol.dispose]()
    throw error
  }
}

/** Loaded when it is needed: the clients of AWS take their time. */
async function awsPolicies({ environment }: World): Promise<ApplyDeps & LookDeps> {
  const { openAwsPolicies } = await import('../lib/compose/aws-policies.ts')
  return openAwsPolicies(environment)
}
