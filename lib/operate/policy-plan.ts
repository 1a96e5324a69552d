// What applying policies would change: VMs gained and lost, schedules, alarm rules, scripts, points that the keep rules would let go.
// Pure: nothing is written, and nothing is deleted by it.

import { isDeepStrictEqual } from 'node:util'
import type { PolicyName, VmId } from '../model/ids.ts'
import { type KeepablePoint, letGo } from '../model/keep-rules.ts'
import type { AlarmRule, Policy } from '../model/policy.ts'
import { selectVms } from '../model/selection.ts'
import type { StoredPolicy } from '../model/stored-policy.ts'
import type { VmSummary } from '../model/vm.ts'
import { scheduleFor } from './policy-schedule.ts'
import type { ScriptFault } from './policy-scripts.ts'

export type VmRef = { readonly vmId: VmId; readonly name: string; readonly moref: string }

export type PlanPoint = KeepablePoint & { readonly policyName: string }

export type PlanRequest = {
  readonly policies: readonly Policy[]
  /** Whether active policies that are not among these would be removed. */
  readonly prune: boolean
}

export type PlanSeen = {
  readonly stored: readonly StoredPolicy[]
  /** The policies that the scheduler starts. */
  readonly scheduled: readonly PolicyName[]
  readonly vms: readonly VmSummary[]
  readonly points: readonly PlanPoint[]
  readonly scripts: readonly ScriptFault[]
}

/** Whether the scheduler starts a policy that it should not, or does not start one that it should; null when neither. */
export type Drift = 'missing' | 'left-over' | null

export type PolicyChange = {
  readonly name: PolicyName
  readonly change: 'create' | 'change' | 'same' | 'remove'
  readonly vms: { readonly count: number; readonly gained: readonly VmRef[]; readonly lost: readonly VmRef[] }
  readonly schedule: {
    readonly before: Policy['schedule']
    readonly after: Policy['schedule']
    readonly isChanged: boolean
    readonly drift: Drift
  }
  readonly alarms: { readonly added: readonly AlarmRule[]; readonly removed: readonly AlarmRule[] }
  /** Points that the rules would let go afterwards; `more` are those that the rules of now would keep. */
  readonly letGo: { readonly count: number; readonly more: number; readonly vms: number }
}

export type PolicyPlan = {
  /** Those given, in their order, then those that would be removed. */
  readonly policies: readonly PolicyChange[]
  /** VMs that an active policy selects now and none would afterwards. */
  readonly losing: readonly VmRef[]
  /** VMs that no active policy would select. */
  readonly unprotected: readonly VmRef[]
  readonly several: readonly Several[]
  readonly scripts: readonly ScriptFault[]
  /** Whether applying would write anything. */
  readonly isChanging: boolean
}

export function planPolicies({ policies, prune }: PlanRequest, seen: PlanSeen): PolicyPlan {
  const active = new Map(seen.stored.filter(({ state }) => state === 'active').map((each) => [each.name, each.policy]))
  const wanted = new Map(policies.map((policy) => [policy.name, policy]))
  const removed = prune ? [...active.keys()].filter((name) => !wanted.has(name)) : []
  const after = new Map([...active, ...wanted])
  for (const name of removed) after.delete(name)

  const before = membersOf(active, seen.vms)
  const then = membersOf(after, seen.vms)
  const pointsOf = Map.groupBy(seen.points, ({ policyName }) => policyName)
  const around: Around = { before, then, seen, pointsOf, newest: newestProven(seen.points) }
  const change = (name: PolicyName): PolicyChange =>
    changeOf({ name, before: active.get(name) ?? null, after: after.get(name) ?? null }, around)
  const changes = [...wanted.keys(), ...removed].map(change)
  const protectedBefore = countPolicies(before)
  const protectedThen = countPolicies(then)
  const eligible = seen.vms.filter(({ template }) => !template)
  const unprotected = eligible.filter(({ vmId }) => !protectedThen.has(vmId))
  return {
    policies: changes,
    losing: unprotected.filter(({ vmId }) => protectedBefore.has(vmId)).map(refOf),
    unprotected: unprotected.map(refOf),
    several: severalOf(eligible, protectedThen),
    scripts: seen.scripts,
    isChanging: changes.some((each) => each.change !== 'same' || each.schedule.drift !== null),
  }
}

export type Members = ReadonlyMap<PolicyName, ReadonlyMap<VmId, VmSummary>>

/** Which VMs each policy selects. */
export function membersOf(policies: ReadonlyMap<PolicyName, Policy>, vms: readonly VmSummary[]): Members {
  return new Map(
    [...policies].map(([name, { select }]) => [name, new Map(selectVms(vms, select).map((vm) => [vm.vmId, vm]))]),
  )
}

/** The policies that select each VM; VMs that none selects are missing. */
export function countPolicies(members: Members): ReadonlyMap<VmId, readonly PolicyName[]> {
  const policies = new Map<VmId, PolicyName[]>()
  for (const [name, vms] of members) {
    for (const vmId of vms.keys()) {
      const known = policies.get(vmId)
      if (known === undefined) policies.set(vmId, [name])
      else known.push(name)
    }
  }
  return policies
}

export type Several = { readonly vm: VmRef; readonly policies: readonly PolicyName[] }

/** VMs that more than one policy selects. */
export function severalOf(
  vms: readonly VmSummary[],
  policiesOf: ReadonlyMap<VmId, readonly PolicyName[]>,
): readonly Several[] {
  return vms.flatMap((vm) => {
    const policies = policiesOf.get(vm.vmId) ?? []
    return policies.length > 1 ? [{ vm: refOf(vm), policies }] : []
  })
}

export function refOf({ vmId, name, moref }: VmSummary): VmRef {
  return { vmId, name, moref }
}

/** @param policy null for one that is not active */
export function driftOf(policy: Policy | null, isScheduled: boolean): Drift {
  const isDue = policy !== null && scheduleFor(policy) !== null
  if (isDue === isScheduled) return null
  return isDue ? 'missing' : 'left-over'
}

type Sides = { readonly name: PolicyName; readonly before: Policy | null; readonly after: Policy | null }
type Around = {
  readonly before: Members
  readonly then: Members
  readonly seen: PlanSeen
  readonly pointsOf: ReadonlyMap<string, readonly PlanPoint[]>
  /** Each VM's newest proven point, whatever its policy. */
  readonly newest: ReadonlySet<PlanPoint>
}

function changeOf({ name, before, after }: Sides, around: Around): PolicyChange {
  const { seen } = around
  const was = around.before.get(name) ?? new Map<VmId, VmSummary>()
  const will = around.then.get(name) ?? new Map<VmId, VmSummary>()
  const rulesBefore = before?.alarms.rules ?? []
  const rulesAfter = after?.alarms.rules ?? []
  return {
    name,
    change: kindOf(before, after),
    vms: {
      count: will.size,
      gained: [...will.values()].filter(({ vmId }) => !was.has(vmId)).map(refOf),
      lost: [...was.values()].filter(({ vmId }) => !will.has(vmId)).map(refOf),
    },
    schedule: {
      before: before?.schedule ?? null,
      after: after?.schedule ?? null,
      isChanged: !isDeepStrictEqual(before?.schedule ?? null, after?.schedule ?? null),
      drift: before === null && after !== null ? null : driftOf(before, seen.scheduled.includes(name)),
    },
    alarms: { added: without(rulesAfter, rulesBefore), removed: without(rulesBefore, rulesAfter) },
    letGo: letGoOf({ name, before, after }, around),
  }
}

function kindOf(before: Policy | null, after: Policy | null): PolicyChange['change'] {
  if (after === null) return 'remove'
  if (before === null) return 'create'
  return isDeepStrictEqual(before, after) ? 'same' : 'change'
}

function without(rules: readonly AlarmRule[], others: readonly AlarmRule[]): readonly AlarmRule[] {
  return rules.filter((rule) => !others.some((other) => isDeepStrictEqual(other, rule)))
}

/** Points of a policy that is removed have nobody who would let them go. */
function letGoOf({ name, before, after }: Sides, { pointsOf, newest }: Around): PolicyChange['letGo'] {
  if (after === null) return { count: 0, more: 0, vms: 0 }
  const own = pointsOf.get(name) ?? []
  const goes = (rules: Policy['retention']) => letGo(own, rules).filter((point) => !newest.has(point))
  const going = goes(after.retention)
  const isSame = isDeepStrictEqual(before?.retention ?? null, after.retention)
  const already = new Set(isSame ? going : goes(before?.retention ?? null))
  return {
    count: going.length,
    more: going.filter((point) => !already.has(point)).length,
    vms: new Set(going.map(({ vmId }) => vmId)).size,
  }
}

function newestProven(points: readonly PlanPoint[]): ReadonlySet<PlanPoint> {
  const newest = new Map<VmId, PlanPoint>()
  for (const point of points) {
    const known = newest.get(point.vmId)
    if (point.isProven && (known === undefined || known.sequence < point.sequence)) newest.set(point.vmId, point)
  }
  return new Set(newest.values())
}
