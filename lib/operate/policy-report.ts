// How well the applied policies are kept: VMs in none, missed starts and RPOs, grades below what is wanted, schedules that are gone. Pure.

import { isoTime } from '../base/clock.ts'
import { lastTime } from '../model/cron-times.ts'
import type { PolicyName, VmId } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import { type Grade, gradeSatisfies, type Policy } from '../model/policy.ts'
import type { StoredPolicy } from '../model/stored-policy.ts'
import type { VmSummary } from '../model/vm.ts'
import type { AlarmMark, VmHistory } from '../model/vm-history.ts'
import {
  countPolicies,
  type Drift,
  driftOf,
  membersOf,
  refOf,
  type Several,
  severalOf,
  type VmRef,
} from './policy-plan.ts'

export type ReportSeen = {
  readonly nowMs: number
  readonly vms: readonly VmSummary[]
  readonly policies: readonly StoredPolicy[]
  readonly scheduled: readonly PolicyName[]
  readonly histories: ReadonlyMap<VmId, VmHistory>
  /** Jobs that are not done. */
  readonly openJobs: readonly Job[]
}

/** A VM that should have a newer restore point than it has. */
export type Missed = {
  readonly policy: PolicyName
  readonly vm: VmRef
  /** Its RPO has passed, or a start of its schedule brought no point. */
  readonly kind: 'rpo' | 'start'
  /** The newest point; null: none is known. */
  readonly lastSuccessAt: string | null
  /** Since when it has been missed: ISO 8601, UTC. */
  readonly since: string
  readonly byMs: number
  /** How many backups in a row failed since. */
  readonly failures: number
}

export type PolicyReport = {
  readonly at: string
  readonly vms: number
  /** Longest first. */
  readonly missed: readonly Missed[]
  /** VMs of scheduled policies that have no point of which anything is known. */
  readonly never: readonly { readonly vm: VmRef; readonly policies: readonly PolicyName[] }[]
  readonly lower: readonly {
    readonly policy: PolicyName
    readonly vm: VmRef
    readonly grade: Grade | 'offline'
    readonly want: Grade
  }[]
  readonly unprotected: readonly VmRef[]
  readonly several: readonly Several[]
  readonly quarantined: readonly (AlarmMark & { readonly vm: VmRef })[]
  readonly retentionFrozen: readonly (AlarmMark & { readonly vm: VmRef })[]
  readonly drift: readonly { readonly policy: PolicyName; readonly drift: NonNullable<Drift> }[]
}

/** A start is given so long, beyond its jitter, before it counts: its VMs are still being planned. */
const START_GRACE_MS = 15 * 60_000

export function reportPolicies(seen: ReportSeen): PolicyReport {
  const active = seen.policies.filter(({ state }) => state === 'active')
  const members = membersOf(new Map(active.map(({ name, policy }) => [name, policy])), seen.vms)
  const policiesOf = countPolicies(members)
  const eligible = seen.vms.filter(({ template }) => !template)
  const each = active.flatMap((stored) =>
    [...(members.get(stored.name)?.values() ?? [])].map((vm) => ({ stored, vm, history: seen.histories.get(vm.vmId) })),
  )
  const busy = new Set(seen.openJobs.map(({ policy, vm }) => `${policy.name} ${vm.vmId}`))
  const scheduledOnes = new Set(active.filter(({ policy }) => policy.schedule !== null).map(({ name }) => name))
  const marksOf = (pick: (history: VmHistory) => AlarmMark | null) =>
    seen.vms.flatMap((vm) => {
      const history = seen.histories.get(vm.vmId)
      const mark = history === undefined ? null : pick(history)
      return mark === null ? [] : [{ vm: refOf(vm), ...mark }]
    })
  return {
    at: isoTime(seen.nowMs),
    vms: eligible.length,
    missed: each
      .flatMap(({ stored, vm, history }) => missedOf({ stored, vm, history, busy, nowMs: seen.nowMs }))
      .toSorted((a, b) => b.byMs - a.byMs),
    never: eligible.flatMap((vm) => {
      const policies = (policiesOf.get(vm.vmId) ?? []).filter((name) => scheduledOnes.has(name))
      const isKnown = (seen.histories.get(vm.vmId)?.lastSuccess ?? null) !== null
      return isKnown || policies.length === 0 ? [] : [{ vm: refOf(vm), policies }]
    }),
    lower: each.flatMap(({ stored, vm, history }) => {
      const grade = history?.lastSuccess?.grade
      const { want } = stored.policy.consistency
      if (grade === undefined || gradeSatisfies(grade, want)) return []
      return [{ policy: stored.name, vm: refOf(vm), grade, want }]
    }),
    unprotected: eligible.filter(({ vmId }) => !policiesOf.has(vmId)).map(refOf),
    several: severalOf(eligible, policiesOf),
    quarantined: marksOf(({ quarantine }) => quarantine),
    retentionFrozen: marksOf(({ retentionFreeze }) => retentionFreeze),
    drift: driftsOf(seen),
  }
}

type OneVm = {
  readonly stored: StoredPolicy
  readonly vm: VmSummary
  readonly history: VmHistory | undefined
  readonly busy: ReadonlySet<string>
  readonly nowMs: number
}

function missedOf({ stored, vm, history, busy, nowMs }: OneVm): readonly Missed[] {
  const lastSuccessAt = history?.lastSuccess?.at ?? null
  const expected = expectedOf(stored, lastSuccessAt, nowMs)
  if (expected === null || nowMs <= expected.sinceMs) return []
  // What is being made is not missed, unless it has taken longer than the RPO allows.
  if (expected.kind === 'start' && busy.has(`${stored.name} ${vm.vmId}`)) return []
  return [
    {
      policy: stored.name,
      vm: refOf(vm),
      kind: expected.kind,
      lastSuccessAt,
      since: isoTime(expected.sinceMs),
      byMs: nowMs - expected.sinceMs,
      failures: history?.failures?.inRow ?? 0,
    },
  ]
}

/** Since when a newer point has been missing, or will be; null when nothing says that there should be one. */
function expectedOf(
  { policy, appliedAt }: Pick<StoredPolicy, 'policy' | 'appliedAt'>,
  lastSuccessAt: string | null,
  nowMs: number,
): { readonly kind: Missed['kind']; readonly sinceMs: number } | null {
  const { schedule } = policy
  if (schedule === null) return null
  const appliedMs = Date.parse(appliedAt)
  const lastMs = lastSuccessAt === null ? null : Date.parse(lastSuccessAt)
  // What was applied a moment ago is given its time.
  if (schedule.rpoMs !== null) return { kind: 'rpo', sinceMs: (lastMs ?? appliedMs) + schedule.rpoMs }
  const startMs = lastStart(schedule, nowMs - START_GRACE_MS - schedule.jitterMs)
  if (startMs === null || startMs < appliedMs) return null
  return lastMs !== null && lastMs >= startMs ? null : { kind: 'start', sinceMs: startMs }
}

/** The newest start at or before a time. A rate has no times of its own here: what is older than twice its interval, or than a closed window, counts. */
function lastStart(schedule: NonNullable<Policy['schedule']>, atMs: number): number | null {
  const { cron, rateMs, timeZone, windowClose } = schedule
  if (cron !== null) return lastTime({ fields: cron, timeZone }, atMs)
  if (rateMs === null) return null
  return atMs - 2 * rateMs - (windowClose === null ? 0 : 86_400_000)
}

function driftsOf({ policies, scheduled }: ReportSeen): PolicyReport['drift'] {
  const known = policies.flatMap(({ name, policy, state }) => {
    const drift = driftOf(state === 'active' ? policy : null, scheduled.includes(name))
    return drift === null ? [] : [{ policy: name, drift }]
  })
  const names = new Set(policies.map(({ name }) => name))
  const strangers = scheduled.filter((name) => !names.has(name))
  return [...known, ...strangers.map((policy) => ({ policy, drift: 'left-over' as const }))]
}
