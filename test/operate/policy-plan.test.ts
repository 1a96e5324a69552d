// What applying would change, and how well what was applied is kept: pure, on inventories made for it, small and large.

import { describe, expect, it } from 'vitest'
import { isoTime } from '../../lib/base/clock.ts'
import { parseMoref, parsePointId, parsePolicyName, parseVmId } from '../../lib/model/ids.ts'
import type { StoredPolicy } from '../../lib/model/stored-policy.ts'
import type { VmSummary } from '../../lib/model/vm.ts'
import { newVmHistory, type VmHistory } from '../../lib/model/vm-history.ts'
import { policyDigest } from '../../lib/operate/policy-apply.ts'
import { type PlanPoint, type PlanSeen, planPolicies } from '../../lib/operate/policy-plan.ts'
import { type ReportSeen, reportPolicies } from '../../lib/operate/policy-report.ts'
import { describePlan } from '../../lib/operate/policy-words.ts'
import { sampleJob } from '../kit/record-samples.ts'
import { wanted } from './policy-kit.ts'

const HOUR_MS = 3_600_000
const NOW_MS = Date.parse('2026-03-10T12:00:00Z')

function vmOf(number: number, change: Partial<VmSummary> = {}): VmSummary {
  return {
    moref: parseMoref(`vm-${number}`),
    vmId: parseVmId(`00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`),
    name: `vm-${number}`,
    folder: '/DC1/prod',
    datacenter: 'DC1',
    cluster: 'c1',
    host: 'esx-1',
    resourcePool: 'Resources',
    datastores: ['ds1'],
    tags: [],
    template: false,
    powerState: 'poweredOn',
    ...change,
  }
}

function named(...names: readonly string[]): readonly VmSummary[] {
  return names.map((name, index) => vmOf(index + 1, { name }))
}

function stored(text: string, change: Partial<StoredPolicy> = {}): StoredPolicy {
  const { policy } = wanted(text)
  const appliedAt = '2026-01-01T00:00:00.000Z'
  return {
    name: policy.name,
    policy,
    text,
    sha256: policyDigest(text),
    appliedAt,
    appliedBy: 'x',
    state: 'active',
    ...change,
  }
}

function planOf(texts: readonly string[], seen: Partial<PlanSeen>, prune = false) {
  const all = { stored: [], scheduled: [], vms: [], points: [], scripts: [], ...seen }
  return planPolicies({ policies: texts.map((text) => wanted(text).policy), prune }, all)
}

const namesOf = (vms: readonly { readonly name: string }[]) => vms.map(({ name }) => name)

describe('planPolicies()', () => {
  const vms = [...named('db-1', 'db-2', 'web-1', 'web-2'), vmOf(9, { name: 'db-template', template: true })]
  const dbs = 'name: dbs\nselect: {any: [{name: "db-*"}]}\nschedule: {cron: "0 22 * * *"}\n'

  it('tells VMs gained and lost, those in no policy and in several, and never a template', () => {
    const before = [stored(dbs), stored('name: all\nselect: {any: [{name: "*-1"}]}\n')]
    const plan = planOf(['name: dbs\nselect: {any: [{name: "db-2"}, {name: "web-*"}]}\nschedule: {every: 1h}\n'], {
      vms,
      stored: before,
      scheduled: [parsePolicyName('dbs')],
    })
    const [change] = plan.policies
    expect(change).toMatchObject({ name: 'dbs', change: 'change', schedule: { isChanged: true, drift: null } })
    expect([namesOf(change?.vms.gained ?? []), namesOf(change?.vms.lost ?? [])]).toEqual([['web-1', 'web-2'], ['db-1']])
    expect(plan.several.map(({ vm, policies }) => `${vm.name} ${policies.join()}`)).toEqual(['web-1 dbs,all'])
    expect([plan.losing, plan.unprotected]).toEqual([[], []])
  })

  it('with prune names what would be removed and who would be in no policy any more', () => {
    const before = [stored(dbs), stored('name: webs\nselect: {any: [{name: "web-*"}]}\n')]
    const plan = planOf([dbs], { vms, stored: before, scheduled: [parsePolicyName('dbs')] }, true)
    expect(plan.policies.map(({ name, change }) => `${name} ${change}`)).toEqual(['dbs same', 'webs remove'])
    expect(namesOf(plan.losing)).toEqual(['web-1', 'web-2'])
    expect(describePlan(plan)).toContain('2 VMs would be in no policy any more: "web-1", "web-2"')
    const without = planOf([dbs], { vms, stored: before, scheduled: [parsePolicyName('dbs')] })
    expect(without).toMatchObject({ isChanging: false, losing: [] })
    expect(describePlan(without)).toContain('Nothing would change')
  })

  it('sees a schedule that is gone, or left over, as something to do', () => {
    expect(planOf([dbs], { vms, stored: [stored(dbs)] })).toMatchObject({
      isChanging: true,
      policies: [{ change: 'same', schedule: { drift: 'missing' } }],
    })
    const removed = stored(dbs, { state: 'removed' })
    const plan = planOf([dbs], { vms, stored: [removed] })
    expect(plan.policies).toMatchObject([{ change: 'create', schedule: { drift: null } }])
  })

  it('tells alarm rules that come and go', () => {
    const rules = (action: string) =>
      `name: a\nalarms: {rules: [{alarm: "x*", action: ${action}}, {alarm: y, action: backup}]}\n`
    const plan = planOf([rules('backup')], { stored: [stored(rules('backup+quarantine'))] })
    expect(plan.policies[0]?.alarms).toEqual({
      added: [{ alarm: 'x*', action: 'backup' }],
      removed: [{ alarm: 'x*', action: 'backup+quarantine' }],
    })
  })

  it('tells points that the rules would let go, those because of the change, and keeps what is held and the newest proven', () => {
    const [vm] = vms
    if (vm === undefined) throw new Error('vm')
    const points = [1, 2, 3, 4, 5].map(
      (sequence): PlanPoint => ({
        pointId: parsePointId(sequence.toString(16).padStart(32, '0')),
        vmId: vm.vmId,
        sequence,
        takenAt: isoTime(NOW_MS - (10 - sequence) * 24 * HOUR_MS),
        isProven: sequence < 4,
        isHeld: sequence === 1,
        policyName: sequence === 3 ? 'other' : 'dbs',
      }),
    )
    const keep = (count: number) => `${dbs}retention: {last: ${count}}\n`
    const letGo = (before: string, after: string) =>
      planOf([after], { vms, stored: [stored(before)], points }).policies[0]?.letGo
    expect(letGo(keep(3), keep(1))).toEqual({ count: 1, more: 1, vms: 1 })
    expect(letGo(keep(1), keep(1))).toEqual({ count: 1, more: 0, vms: 1 })
    expect(letGo(dbs, dbs)).toEqual({ count: 0, more: 0, vms: 0 })
    expect(letGo(keep(1), keep(9))).toEqual({ count: 0, more: 0, vms: 0 })
  })
})

describe('reportPolicies()', () => {
  const vms = named('db-1', 'db-2', 'web-1')
  const rpo = 'name: dbs\nselect: {any: [{name: "db-*"}]}\nschedule: {rpo: 4h}\nconsistency: {want: application}\n'

  function history(
    vm: VmSummary,
    agoMs: number | null,
    change: Partial<VmHistory> = {},
  ): readonly [VmSummary['vmId'], VmHistory] {
    const lastSuccess =
      agoMs === null
        ? null
        : { at: isoTime(NOW_MS - agoMs), pointId: parsePointId('a'.repeat(32)), grade: 'crash' as const, tookMs: 1 }
    return [vm.vmId, { ...newVmHistory(vm), lastSuccess, ...change }]
  }

  function reportOf(policies: readonly StoredPolicy[], change: Partial<ReportSeen> = {}) {
    const scheduled = policies.map(({ name }) => name)
    return reportPolicies({ nowMs: NOW_MS, vms, policies, scheduled, histories: new Map(), openJobs: [], ...change })
  }

  it('lists a missed RPO with how long, a VM without any point, grades below what is wanted, and quarantine', () => {
    const mark = { since: isoTime(NOW_MS), alarmId: 'ab'.repeat(16) as never, alarmName: 'Ransomware' }
    const [one, two, web] = vms
    if (one === undefined || two === undefined || web === undefined) throw new Error('vms')
    const failures = { inRow: 3, at: isoTime(NOW_MS) }
    const histories = new Map([
      history(one, 5 * HOUR_MS, { failures }),
      history(two, 3 * HOUR_MS, { quarantine: mark, retentionFreeze: mark }),
    ])
    const report = reportOf([stored(rpo)], { histories })
    expect(report.missed).toMatchObject([{ vm: { name: 'db-1' }, kind: 'rpo', byMs: HOUR_MS, failures: 3 }])
    expect(report.lower.map(({ vm, grade, want }) => `${vm.name} ${grade} ${want}`)).toEqual([
      'db-1 crash application',
      'db-2 crash application',
    ])
    expect([namesOf(report.unprotected), report.never, report.drift]).toEqual([['web-1'], [], []])
    expect(report.quarantined).toMatchObject([{ vm: { name: 'db-2' }, alarmName: 'Ransomware' }])
    expect(report.retentionFrozen).toHaveLength(1)
  })

  it('counts a VM without a point as missed once its policy has had time', () => {
    const applied = (agoMs: number) => stored(rpo, { appliedAt: isoTime(NOW_MS - agoMs) })
    const young = reportOf([applied(HOUR_MS)])
    expect([young.missed.length, young.never.length]).toEqual([0, 2])
    const old = reportOf([applied(6 * HOUR_MS)])
    expect(old.missed).toMatchObject([{ lastSuccessAt: null, byMs: 2 * HOUR_MS }, { lastSuccessAt: null }])
  })

  it('a start that brought no point is missed, unless it was just now, is at work, or was before the policy', () => {
    const cron = stored('name: dbs\nselect: {any: [{name: db-1}]}\nschedule: {cron: "0 11 * * *"}\n')
    const [one] = vms
    if (one === undefined) throw new Error('vms')
    const histories = new Map([history(one, 24 * HOUR_MS)])
    expect(reportOf([cron], { histories }).missed).toMatchObject([{ kind: 'start', since: '2026-03-10T11:00:00.000Z' }])
    expect(reportOf([cron], { histories: new Map([history(one, HOUR_MS / 2)]) }).missed).toEqual([])
    expect(reportOf([cron], { histories, nowMs: Date.parse('2026-03-10T11:10:00Z') }).missed).toEqual([])
    const job = { ...sampleJob(), vm: { ...sampleJob().vm, vmId: one.vmId }, policy: cron.policy }
    expect(reportOf([cron], { histories, openJobs: [job] }).missed).toEqual([])
    expect(reportOf([{ ...cron, appliedAt: '2026-03-10T11:30:00.000Z' }], { histories }).missed).toEqual([])
  })

  it('a rate is missed after two intervals', () => {
    const rate = stored('name: dbs\nselect: {any: [{name: db-1}]}\nschedule: {every: 1h}\n')
    const [one] = vms
    if (one === undefined) throw new Error('vms')
    const missed = (hours: number) =>
      reportOf([rate], { histories: new Map([history(one, hours * HOUR_MS)]) }).missed.length
    expect([missed(1.5), missed(2.1), missed(2.5)]).toEqual([0, 0, 1])
  })

  it('tells what the scheduler has not, or has and should not', () => {
    const gone = stored('name: gone\nschedule: {every: 1h}\n', { state: 'removed' })
    const report = reportOf([stored(rpo), gone], { scheduled: [parsePolicyName('gone'), parsePolicyName('stranger')] })
    expect(report.drift).toEqual([
      { policy: 'dbs', drift: 'missing' },
      { policy: 'gone', drift: 'left-over' },
      { policy: 'stranger', drift: 'left-over' },
    ])
  })
})

it('a plan and a report of 10,000 VMs, 40 policies and 100,000 points come to an end, with every VM in it', () => {
  const vms = Array.from({ length: 10_000 }, (_, index) =>
    vmOf(index + 1, { folder: `/DC1/team-${index % 50}`, tags: [`backup/tier-${index % 20}`, `os/linux`] }),
  )
  const texts = Array.from(
    { length: 40 },
    (_, index) =>
      `name: p${index}\nselect: {any: [{tag: backup/tier-${index % 20}}, {folder: /DC1/team-${index}}], none: [{name: "lab-*"}]}\nschedule: {rpo: 4h}\nretention: {last: 3, daily: 5, weekly: 2, timeZone: Europe/Berlin}\n`,
  )
  const points = vms.flatMap((vm, index) =>
    Array.from(
      { length: 10 },
      (_, turn): PlanPoint => ({
        pointId: parsePointId((index * 10 + turn).toString(16).padStart(32, '0')),
        vmId: vm.vmId,
        sequence: turn + 1,
        takenAt: isoTime(NOW_MS - (10 - turn) * 12 * HOUR_MS),
        isProven: true,
        isHeld: false,
        policyName: `p${index % 20}`,
      }),
    ),
  )
  const before = texts.map((text) => stored(text.replace('daily: 5', 'daily: 6')))
  const plan = planOf(texts, { vms, stored: before, points, scheduled: before.map(({ name }) => name) })
  expect(plan.policies.every(({ vms: { count } }) => count >= 500)).toBe(true)
  expect(plan.policies[0]?.letGo.count).toBeGreaterThan(0)
  const report = reportPolicies({
    nowMs: NOW_MS,
    vms,
    policies: before,
    scheduled: [],
    histories: new Map(),
    openJobs: [],
  })
  expect(report.never).toHaveLength(10_000)
})
