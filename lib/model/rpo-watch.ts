// The VMs of a policy whose RPO ends first: what watch looks at between two starts of the policy, also while vCenter is away. Pure.

import { isoTime } from '../base/clock.ts'
import { ascending } from '../base/text.ts'
import type { VmId } from './ids.ts'
import type { VmHistory } from './vm-history.ts'

export type WatchedVm = {
  readonly vmId: VmId
  readonly name: string
  /** When its newest point becomes older than the RPO, or the time of one without a point is over: ISO 8601, UTC. */
  readonly missedAt: string
  /** Whether the miss of that time was told. */
  readonly told: boolean
}

export type RpoWatch = { readonly kind: 'rpo'; readonly at: string; readonly watched: readonly WatchedVm[] }

/** A missed RPO comes with others: the first of them are enough to be woken by, "coldframe report" knows all. */
export const WATCHED_MAX = 20

export type RpoSeen = {
  readonly vms: readonly { readonly vmId: VmId; readonly name: string }[]
  readonly histories: ReadonlyMap<VmId, Pick<VmHistory, 'lastSuccess'>>
  readonly rpoMs: number
  readonly nowMs: number
  /** What was watched until now: a VM without a point keeps its time. */
  readonly before: RpoWatch | null
}

export function rpoWatchOf({ vms, histories, rpoMs, nowMs, before }: RpoSeen): RpoWatch {
  const known = new Map(before?.watched.map((each) => [each.vmId, each]))
  const each = vms.map(({ vmId, name }): WatchedVm => {
    const earlier = known.get(vmId)
    const lastAt = histories.get(vmId)?.lastSuccess?.at
    const missedAt =
      lastAt === undefined ? (earlier?.missedAt ?? isoTime(nowMs + rpoMs)) : isoTime(Date.parse(lastAt) + rpoMs)
    return { vmId, name, missedAt, told: earlier?.missedAt === missedAt && earlier.told }
  })
  const first = each.toSorted((a, b) => ascending(a.missedAt, b.missedAt))
  return { kind: 'rpo', at: isoTime(nowMs), watched: first.slice(0, WATCHED_MAX) }
}
