// Policies in words, for people. Pure.

import type { AlarmRule, Policy } from '../model/policy.ts'
import type { PolicyChange, PolicyPlan, VmRef } from './policy-plan.ts'

/** For example "cron 0 22 * * * (Europe/Berlin), window 22:00 to 06:00"; "none" for null. */
export function describeSchedule(schedule: Policy['schedule']): string {
  if (schedule === null) return 'none'
  const { cron, rateMs, rpoMs, timeZone, windowOpen, windowClose, jitterMs } = schedule
  const when =
    cron !== null
      ? `cron ${cron} (${timeZone})`
      : rateMs !== null
        ? `every ${describeMs(rateMs)}`
        : `RPO ${describeMs(rpoMs ?? 0)}`
  const opens = windowOpen === null ? '' : `from ${windowOpen} `
  const zone = cron === null ? ` (${timeZone})` : ''
  const window = windowClose === null ? '' : `, window ${opens}to ${windowClose}${zone}`
  return `${when}${window}${jitterMs === 0 ? '' : `, jitter ${describeMs(jitterMs)}`}`
}

/** "90s", "5m", "4h", "1d": the largest unit that says it whole. */
export function describeMs(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const
  const [unit, size] = units.find(([, each]) => ms >= each && ms % each === 0) ?? (['s', 1_000] as const)
  return `${Math.round(ms / size)}${unit}`
}

const NAMES_MAX = 20

/** For example `"db-1", "db-2" and 3 more`. */
export function describeVms(vms: readonly VmRef[]): string {
  const shown = vms.slice(0, NAMES_MAX).map(({ name }) => `"${name}"`)
  return `${shown.join(', ')}${vms.length > NAMES_MAX ? ` and ${vms.length - NAMES_MAX} more` : ''}`
}

/** Lines without their ends. */
export function describePlan(plan: PolicyPlan): readonly string[] {
  return [
    ...plan.policies.flatMap(changeLines),
    ...(plan.losing.length === 0
      ? []
      : [`${countOf(plan.losing.length, 'VM')} would be in no policy any more: ${describeVms(plan.losing)}`]),
    ...(plan.unprotected.length === 0
      ? []
      : [`${countOf(plan.unprotected.length, 'VM')} in no policy: ${describeVms(plan.unprotected)}`]),
    ...plan.several
      .slice(0, NAMES_MAX)
      .map(({ vm, policies }) => `"${vm.name}" is in ${policies.length} policies: ${policies.join(', ')}`),
    ...(plan.several.length > NAMES_MAX ? [`and ${plan.several.length - NAMES_MAX} more VMs in several policies`] : []),
    ...plan.scripts.map(({ message }) => message),
    ...(plan.isChanging ? [] : ['Nothing would change']),
  ]
}

const signs = { create: '+', change: '~', same: '=', remove: '-' } as const

function changeLines({ name, change, vms, schedule, alarms, letGo }: PolicyChange): readonly string[] {
  const lines = [`${signs[change]} ${name}: ${wordsOf(change)}, ${countOf(vms.count, 'VM')}`]
  const say = (text: string) => lines.push(`    ${text}`)
  if (vms.gained.length > 0) say(`gains ${countOf(vms.gained.length, 'VM')}: ${describeVms(vms.gained)}`)
  if (vms.lost.length > 0) say(`loses ${countOf(vms.lost.length, 'VM')}: ${describeVms(vms.lost)}`)
  if (schedule.isChanged) say(`schedule: ${describeSchedule(schedule.before)} → ${describeSchedule(schedule.after)}`)
  if (schedule.drift !== null) say(`schedule in the scheduler: ${driftWords[schedule.drift]}; applying mends it`)
  for (const rule of alarms.added) say(`alarm rule added: ${ruleWords(rule)}`)
  for (const rule of alarms.removed) say(`alarm rule removed: ${ruleWords(rule)}`)
  if (letGo.count > 0) {
    const more = letGo.more === letGo.count ? '' : `, ${letGo.more} of them because of this change`
    say(
      `keep rules would let ${countOf(letGo.count, 'point')} of ${countOf(letGo.vms, 'VM')} go${more}; nothing is deleted`,
    )
  }
  return lines
}

export const driftWords = {
  missing: 'missing',
  'left-over': 'there, although the policy has none',
} as const

function wordsOf(change: PolicyChange['change']): string {
  switch (change) {
    case 'create':
      return 'new'
    case 'change':
      return 'changed'
    case 'remove':
      return 'would be removed'
    default:
      return 'unchanged'
  }
}

function ruleWords({ alarm, criticality, action, storage }: AlarmRule): string {
  const rated = criticality === undefined ? '' : ` rated ${criticality.join(' or ')}`
  return `"${alarm}"${rated} → ${action}${storage === true ? ', storage alarms as well' : ''}`
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
