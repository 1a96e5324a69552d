// What a point's own record says of changed block tracking: whether it left changes out, or a reset may mend it. Pure.

import type { PointBody, WholeCause } from './point.ts'

/** 'lied': the audit found changes that it left out. 'broken': it could not be used, and may be after a reset. */
export type TrackingFault = { readonly kind: 'lied' | 'broken'; readonly reason: string }

/** A reset that somebody else made, a new disk and the like mend themselves: from the next point on tracking counts. */
const BROKEN: readonly WholeCause[] = ['no-change-id', 'query-failed', 'change-id-unreadable', 'change-id-went-back']

export function trackingFaultOf({ disks }: Pick<PointBody, 'disks'>): TrackingFault | null {
  const of = (kind: TrackingFault['kind'], codes: readonly string[]): TrackingFault | null => {
    const disk = disks.find(({ readModeCode }) => readModeCode !== null && codes.includes(readModeCode))
    return disk === undefined ? null : { kind, reason: `disk "${disk.label}": ${disk.readModeReason}` }
  }
  return of('lied', ['audit-mismatch', 'tracking-distrusted']) ?? of('broken', BROKEN)
}
