// What a job says when changed block tracking could not be used: one notice, whatever the number of disks. Pure.

import type { Notice } from '../model/outcome.ts'
import type { WholeCause } from '../model/point.ts'
import type { Whole } from './decide.ts'
import type { DiskReading } from './readings.ts'

type Told = Pick<DiskReading, 'disk' | 'reading'>

/** In the order of gravity: the first of them names the notice. */
const KINDS: readonly {
  readonly code: string
  readonly causes: readonly WholeCause[]
  readonly hint: string
}[] = [
  {
    code: 'cbt-mismatch',
    causes: ['audit-mismatch'],
    hint: 'This restore point is right; earlier ones are marked as unproven, and tracking is reset before the next one',
  },
  {
    code: 'cbt-reset',
    causes: ['change-id-unreadable', 'change-id-other-chain', 'change-id-went-back'],
    hint: 'Nothing is lost: unchanged chunks were recognised by their hash, and the next run can use changed areas again',
  },
  {
    code: 'cbt-unavailable',
    causes: ['tracking-off', 'no-change-id', 'query-unsupported', 'query-failed'],
    hint: 'Every backup reads this whole until changed block tracking works on it; this is said once, "coldframe points" goes on showing it',
  },
]

const DISKS_NAMED_MAX = 3

/**
 * A lasting state is said when it begins and then stands in each point alone: a notice that comes every night is read by
 * nobody. What the parent's disk was read whole for already is not new; a mismatch always is.
 * @returns null when there is nothing new to say
 */
export function trackingNotice(readings: readonly Told[]): Notice | null {
  const told = readings.flatMap((one) => {
    const why = newsOf(one)
    const kind = why === null ? -1 : KINDS.findIndex(({ causes }) => causes.includes(why.cause))
    return why === null || kind < 0 ? [] : [{ label: one.disk.label, why, kind }]
  })
  const kind = KINDS[Math.min(...told.map((one) => one.kind))]
  return kind === undefined ? null : { code: kind.code, message: sentence(told), hint: kind.hint }
}

function newsOf({ reading }: Told): Whole | null {
  if (reading.kind === 'incremental' || reading.why === null) return null
  const before = reading.kind === 'differential' ? reading.parent.readModeCode : null
  return before === reading.why.cause && reading.why.cause !== 'audit-mismatch' ? null : reading.why
}

function sentence(told: readonly { readonly label: string; readonly why: Whole }[]): string {
  const byReason = new Map<string, string[]>()
  for (const { label, why } of told) byReason.set(why.reason, [...(byReason.get(why.reason) ?? []), `"${label}"`])
  const parts = [...byReason].map(([reason, labels]) => {
    const more = labels.length > DISKS_NAMED_MAX ? ` and ${labels.length - DISKS_NAMED_MAX} more` : ''
    const named = `${labels.slice(0, DISKS_NAMED_MAX).join(', ')}${more}`
    return `${labels.length === 1 ? 'Disk' : 'Disks'} ${named} ${labels.length === 1 ? 'was' : 'were'} read whole: ${lowerFirst(reason)}`
  })
  const others = parts.length > DISKS_NAMED_MAX ? [`and ${parts.length - DISKS_NAMED_MAX} more reasons`] : []
  return [...parts.slice(0, DISKS_NAMED_MAX), ...others].join('; ')
}

/** Lowers a sentence's first letter, but not an acronym's. */
function lowerFirst(text: string): string {
  return /^[A-Z][a-z ]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text
}
