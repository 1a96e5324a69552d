// Which rule of a policy an alarm meets, what that asks for, and how urgent it is. Pure.

import type { Alarm } from './alarm.ts'
import { type AlarmAction, type AlarmRule, matchesPattern, type Policy } from './policy.ts'

/**
 * Alarms that our own snapshots may raise: of snapshots, of consolidation, of storage and its latency. They start no backup unless
 * the rule says `storage: true`, or each backup would call for the next one.
 */
export const STORAGE_ALARM_PATTERNS: readonly string[] = [
  '*snapshot*',
  '*consolidat*',
  '*datastore*',
  '*storage*',
  '*vsan*',
  '*vvol*',
  '*vmfs*',
  '*nfs*',
  '*lun *',
  '*usage on disk*',
  '*disk usage*',
  '*disk space*',
  '*disk latency*',
  '*disk i/o*',
  '*latency*',
  '*thin-provisioned*',
  '*out of space*',
]

const STORAGE_KINDS: readonly string[] = ['Datastore', 'StoragePod', 'HostDatastoreSystem', 'VirtualDisk']

export function isStorageAlarm({ alarmName, target }: Pick<Alarm, 'alarmName' | 'target'>): boolean {
  return (
    (target.kind !== null && STORAGE_KINDS.includes(target.kind)) ||
    STORAGE_ALARM_PATTERNS.some((pattern) => matchesPattern(alarmName, pattern))
  )
}

/** What rules look at. */
type Worded = Pick<Alarm, 'alarmName' | 'criticality' | 'to' | 'target'>

/** 'storage': the only rules that match would start a backup for an alarm of storage, and do not say that they may. */
export type RuleMatch = { readonly rule: AlarmRule } | 'storage' | 'none'

/** The first rule that matches. */
export function ruleFor(alarm: Worded, { alarms }: Pick<Policy, 'alarms'>): RuleMatch {
  const matching = alarms.rules.filter((rule) => meets(alarm, rule))
  const rule = matching.find((each) => mayDecide(alarm, each))
  if (rule !== undefined) return { rule }
  return matching.length > 0 ? 'storage' : 'none'
}

function mayDecide(alarm: Worded, { action, storage }: AlarmRule): boolean {
  return storage === true || !startsBackup(action) || !isStorageAlarm(alarm)
}

function meets({ alarmName, criticality, to }: Worded, rule: AlarmRule): boolean {
  if (!matchesPattern(alarmName, rule.alarm)) return false
  if (rule.criticality === undefined) return true
  const told = [criticality, to].flatMap((word) => (word === null ? [] : [plainWord(word)]))
  return rule.criticality.some((word) => told.includes(plainWord(word)))
}

/** "ALERT_CRITICALITY_LEVEL_CRITICAL" of the Operations API is the "Critical" of its pages. */
function plainWord(word: string): string {
  return word.toLowerCase().replace(/^alert_criticality_level_/, '')
}

export function startsBackup(action: AlarmAction): boolean {
  return action !== 'freeze-retention'
}

/** Whether points of the VM are to be marked from now on, and whether none of it may be let go. */
export function marksOf(action: AlarmAction): { readonly quarantine: boolean; readonly freeze: boolean } {
  const quarantine = action === 'backup+quarantine'
  return { quarantine, freeze: quarantine || action === 'freeze-retention' }
}

const URGENT = ['critical', 'immediate', 'fatal', 'emergency', 'red']
const LESS_URGENT = ['info', 'information', 'none', 'low', 'yellow']

/** 0 goes before 1 and 1 before 2, where not all can go at once. */
export function rankOf(alarm: Pick<Alarm, 'criticality' | 'to'>, action: AlarmAction): number {
  if (action === 'backup+quarantine') return 0
  const word = plainWord(alarm.criticality ?? alarm.to ?? '')
  if (URGENT.includes(word)) return 0
  return LESS_URGENT.includes(word) ? 2 : 1
}
