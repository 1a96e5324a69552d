// What a backup of one VM would be like, as a report for programs and as checks for people. Pure.

import { unreachable } from '../../base/errors.ts'
import type { Policy, TransportName } from '../../model/policy.ts'
import { type DatastoreState, holdsObjects } from '../../model/site.ts'
import type { VmState, VmSummary } from '../../model/vm.ts'
import type { Transport } from '../../ports/transport.ts'
import { type Check, checkOf, failed, type Learned, ok, type Verdict, warning } from './check.ts'
import { isTransport, type Lack } from './judge-site.ts'
import {
  type DiskPrediction,
  type GradePrediction,
  type GuestProspects,
  type PastRead,
  predictGrade,
  predictTime,
  predictTransports,
  rangeText,
  type TimePrediction,
} from './predict.ts'

export type VmReport = {
  readonly name: string
  readonly moref: string
  readonly vmId: string
  readonly grade: GradePrediction
  readonly disks: readonly DiskPrediction[]
  readonly time: TimePrediction
}

export type VmOutlook = {
  readonly summary: VmSummary
  readonly vm: VmState
  readonly policy: Policy
  readonly prospects: GuestProspects
  readonly lacks: readonly Lack[]
  readonly datastores: Learned<readonly DatastoreState[]>
  readonly past: readonly PastRead[]
  readonly about: string
}

export function predictionOf(
  { summary, vm, policy, prospects, lacks, past, about, datastores }: VmOutlook,
  transports: readonly Transport[],
): { readonly checks: readonly Check[]; readonly report: VmReport } {
  const stores = datastores.kind === 'known' ? datastores.value : []
  const grade = predictGrade(vm, policy, prospects)
  const disks = predictTransports(vm, policy, {
    transports,
    blockers: blockersOf(lacks),
    objectStores: new Set(stores.filter(holdsObjects).map((store) => store.name)),
  })
  const time = predictTime(disks, { past, whole: whyWhole(vm, disks) })
  const { name, moref, vmId } = summary
  return {
    checks: [
      checkOf({ id: 'vm.grade', about, tried: 'predict the grade' }, gradeVerdict(grade, policy)),
      checkOf({ id: 'vm.transport', about, tried: 'predict the transport' }, transportVerdict(disks)),
      checkOf({ id: 'vm.time', about, tried: 'predict how long reading takes' }, timeVerdict(time)),
    ],
    report: { name, moref, vmId, grade, disks, time },
  }
}

/** @param vm without snapshots of ours @returns why changed areas are of no use; null: they are */
function whyWhole(vm: VmState, disks: readonly DiskPrediction[]): string | null {
  if (disks.some(({ transport }) => transport === 'lease')) return 'an export has no other way'
  if (vm.changeTrackingEnabled) return null
  if (vm.changeTrackingSupported === false) return 'its virtual hardware cannot track changed blocks'
  return vm.snapshots.length > 0 ? 'tracking cannot be turned on while snapshots of others exist' : null
}

function blockersOf(lacks: readonly Lack[]): ReadonlyMap<TransportName, readonly string[]> {
  const found = new Map<TransportName, readonly string[]>()
  for (const { feature, words } of lacks) {
    if (isTransport(feature)) found.set(feature, [...new Set([...(found.get(feature) ?? []), words])])
  }
  return found
}

function gradeVerdict({ grade, reasons }: GradePrediction, { consistency }: Policy): Verdict {
  const { want, require } = consistency
  const why = reasons.join('; ')
  if (grade === null) {
    return failed(
      `less than "${require}": ${why}`,
      'Mend what stands in the way, or require less',
      `at least "${require}"`,
    )
  }
  if (grade === want || grade === 'offline') return ok(grade)
  if (reasons.length === 0) return ok(`${grade}, ${want} was wanted`)
  return warning(`${grade}: ${why}`, 'Mend what stands in the way, or want less', `"${want}", as the policy wants`)
}

function transportVerdict(disks: readonly DiskPrediction[]): Verdict {
  const none = disks.filter(({ transport }) => transport === null)
  if (none.length > 0) {
    const found = none.map(({ label, reasons }) => `${label}: ${reasons.join('; ')}`).join('. ')
    return failed(
      found,
      'Mend what stands in the way, or name a transport in the policy that can read this disk',
      'a transport for each disk',
    )
  }
  const found = [...Map.groupBy(disks, ({ transport }) => transport)].map(([transport, of]) => {
    const labels = of.map(({ label }) => label).join(', ')
    const why = [...new Set(of.flatMap(({ reasons }) => reasons))]
    return `${transport} for ${labels}${why.length === 0 ? '' : ` (${why.join('; ')})`}`
  })
  const isFirst = disks.every(({ reasons }) => reasons.length === 0)
  if (isFirst) return ok(found.join('; '))
  return warning(found.join('; '), 'Mend why earlier ones are passed over, or leave them out of the policy')
}

function timeVerdict({ full, incremental, basis }: TimePrediction): Verdict {
  if (full === null || incremental === null) return { state: 'not-checked', found: basis }
  return ok(`full ${rangeText(full)}, incremental ${rangeText(incremental)}; ${basis}`)
}

/** One line each, in the order in which people read them. */
export function stateText(state: Check['state']): string {
  switch (state) {
    case 'ok':
      return 'ok'
    case 'warning':
      return 'warning'
    case 'failed':
      return 'FAILED'
    case 'not-checked':
      return 'unknown'
    default:
      return unreachable(state)
  }
}
