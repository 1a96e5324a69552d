// What an alarm asks for: first by its own words and the rules of policies, then for the VM that it is about. Pure.

import type { Alarm } from './alarm.ts'
import { marksOf, ruleFor, startsBackup } from './alarm-rules.ts'
import { isOfOtherKind } from './alarm-target.ts'
import type { AlarmAction, Policy } from './policy.ts'
import { selectVms } from './selection.ts'
import type { VmSummary } from './vm.ts'

/** Nothing is done; why, as a code and a sentence. */
export type Recorded = { readonly code: string; readonly message: string }

export type Candidate = { readonly policy: Policy; readonly action: AlarmAction }

/** @param policies the active ones, by name */
export function judgeWords(
  alarm: Alarm,
  policies: readonly Policy[],
): Recorded | { readonly candidates: readonly Candidate[] } {
  const { alarmName, state, to, target } = alarm
  if (state === 'cleared') return { code: 'cleared', message: `Alarm "${alarmName}" is over: nothing is done` }
  if (state === 'unknown')
    return { code: 'state-unknown', message: `Alarm "${alarmName}" is in state "${to}", which says neither on nor off` }
  if (isOfOtherKind(alarm)) {
    const about = target.name ?? target.moref ?? ''
    return { code: 'not-a-vm', message: `Alarm "${alarmName}" is about ${target.kind} "${about}", not about a VM` }
  }
  const matches = policies.map((policy) => ({ policy, match: ruleFor(alarm, policy) }))
  const candidates = matches.flatMap(({ policy, match }) =>
    typeof match === 'string' ? [] : [{ policy, action: match.rule.action }],
  )
  if (candidates.length > 0) return { candidates }
  const [held] = matches.filter(({ match }) => match === 'storage')
  if (held === undefined)
    return { code: 'no-rule', message: `No rule of the ${policies.length} policies matches alarm "${alarmName}"` }
  return {
    code: 'storage-alarm',
    message: `Alarm "${alarmName}" is one of storage or snapshots, and the rule of policy "${held.policy.name}" does not say "storage: true"`,
  }
}

export type Asked = {
  /** Whose backup it is: the first by name whose rule asks for one. */
  readonly backup: Policy | null
  readonly quarantine: boolean
  readonly freeze: boolean
  /** The strongest word for all of it. */
  readonly action: AlarmAction
  /** Whose rule decides: that of the backup, or else the first. */
  readonly policy: Policy
}

/** What the policies that select the VM ask for, all together; null when none selects it. */
export function askedFor(vm: VmSummary, candidates: readonly Candidate[]): Asked | null {
  const selecting = candidates.filter(({ policy }) => selectVms([vm], policy.select).length > 0)
  const [first] = selecting
  if (first === undefined) return null
  const marks = selecting.map(({ action }) => marksOf(action))
  const quarantine = marks.some((mark) => mark.quarantine)
  const backup = selecting.find(({ action }) => startsBackup(action))?.policy ?? null
  return {
    backup,
    quarantine,
    freeze: marks.some((mark) => mark.freeze),
    action: quarantine ? 'backup+quarantine' : backup === null ? 'freeze-retention' : 'backup',
    policy: backup ?? first.policy,
  }
}
