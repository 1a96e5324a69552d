// What a backup of a VM would be like: its grade, the transport of each disk, and how long reading takes. Pure.

import { MiB } from '../../base/bytes.ts'
import { formatBytes, formatDuration } from '../../base/text.ts'
import type { GuestState, ScriptStage } from '../../model/guest.ts'
import type { Moref } from '../../model/ids.ts'
import { type Ladder, ladderFor } from '../../model/ladder.ts'
import type { Policy, ScriptSet, TransportName } from '../../model/policy.ts'
import { isExcluded } from '../../model/preflight.ts'
import type { VmDisk, VmState } from '../../model/vm.ts'
import type { Transport } from '../../ports/transport.ts'

/** Whether scripts could be run in the guest, as far as can be told without entering it. */
export type GuestProspects = { readonly kind: 'likely' } | { readonly kind: 'none'; readonly why: string }

export type GradePrediction = {
  readonly grade: Ladder['rungs'][number]['grade'] | null
  /** Why it is not better. */
  readonly reasons: readonly string[]
}

/** @returns the grade of the first rung; null when the policy's requirement cannot be met */
export function predictGrade(
  vm: Pick<VmState, 'powerState' | 'guest'>,
  policy: Policy,
  prospects: GuestProspects,
): GradePrediction {
  const { rungs, fallbacks } = ladderFor({ vm, policy, guest: expectedGuest(vm, policy, prospects) })
  return { grade: rungs[0]?.grade ?? null, reasons: fallbacks }
}

/** What prepare would lay into the guest if all goes well. */
function expectedGuest(
  { guest: { family }, powerState }: Pick<VmState, 'powerState' | 'guest'>,
  { guest: { mode }, scripts }: Policy,
  prospects: GuestProspects,
): GuestState | null {
  if (mode === 'off' || powerState !== 'poweredOn' || (family !== 'linux' && family !== 'windows')) return null
  const stages = stagesOf(scripts[family])
  if (stages.length === 0) return null
  const rest = { attempts: [], postCommit: 'not-run' } as const
  if (prospects.kind === 'none') return { ...rest, workspace: null, fallback: prospects.why }
  const workspace = {
    channel: 'vix',
    address: null,
    family,
    user: '',
    elevated: false,
    path: '',
    scripts: stages,
  } as const
  return { ...rest, workspace, fallback: null }
}

function stagesOf(set: ScriptSet): readonly ScriptStage[] {
  return [
    ...(set.preFreeze === undefined ? [] : (['pre-freeze'] as const)),
    ...(set.postThaw === undefined ? [] : (['post-thaw'] as const)),
    ...(set.postCommit === undefined ? [] : (['post-commit'] as const)),
  ]
}

/** What keeps a transport from working, whatever the disk: "port 902 of …". */
export type Blockers = ReadonlyMap<TransportName, readonly string[]>

export type DiskPrediction = {
  readonly key: number
  readonly label: string
  readonly capacityBytes: number
  readonly transport: TransportName | null
  /** Why those before it in the policy's order are not used: "nbdssl: …". */
  readonly reasons: readonly string[]
}

export type Ways = {
  readonly transports: readonly Transport[]
  readonly blockers: Blockers
  /** Names of datastores that keep objects, and no files. */
  readonly objectStores: ReadonlySet<string>
}

/** @param vm with the disks as they will be under a snapshot of ours @returns the disks that the policy does not leave out */
export function predictTransports(
  vm: Pick<VmState, 'moref' | 'datacenter' | 'disks'>,
  policy: Policy,
  at: Ways,
): readonly DiskPrediction[] {
  return vm.disks
    .filter((disk) => !isExcluded(disk, policy))
    .map((disk) => {
      const { key, label, capacityBytes } = disk
      const reasons: string[] = []
      for (const name of policy.transport) {
        const why = whyNot(name, { vm, disk, ...at })
        if (why === null) return { key, label, capacityBytes, transport: name, reasons }
        reasons.push(`${name}: ${why}`)
      }
      return { key, label, capacityBytes, transport: null, reasons }
    })
}

function whyNot(
  name: TransportName,
  at: {
    readonly vm: Pick<VmState, 'moref' | 'datacenter'>
    readonly disk: VmDisk
  } & Ways,
): string | null {
  const transport = at.transports.find((one) => one.name === name)
  if (transport === undefined) return 'not available here'
  const { moref, datacenter } = at.vm
  // There is no snapshot yet, and a description is judged without one.
  const snapshot: Moref = moref
  const refusal = transport.refusal({ vm: moref, snapshot, datacenter, disk: at.disk })
  if (refusal !== null) return refusal
  const store = /^\[([^\]]*)\]/.exec(at.disk.fileName)?.[1] ?? ''
  if (name === 'datastore' && at.objectStores.has(store)) return `its datastore "${store}" keeps objects, not files`
  return at.blockers.get(name)?.join('; ') ?? null
}

/** One backup of before: how much was read, and how long it took. */
export type PastRead = { readonly readBytes: number; readonly elapsedMs: number }

export type Range = { readonly fromMs: number; readonly toMs: number }

export type TimePrediction = {
  readonly full: Range | null
  readonly incremental: Range | null
  /** What both rest on, one sentence. */
  readonly basis: string
}

/** MiB a second where nothing was measured: from a busy 1 GbE management network to a fast one. */
const ASSUMED: Readonly<Record<TransportName, readonly [number, number]>> = {
  datastore: [20, 100],
  lease: [20, 80],
  nbdssl: [40, 140],
  nbd: [40, 200],
  hotadd: [80, 400],
  san: [100, 500],
}
const ASSUMED_CHANGED = [0.01, 0.1] as const
/** A smaller read says nothing of a rate: opening took longer. */
const TELLING_BYTES = 64 * MiB
/** What reads this much of a VM was a full. */
const FULL_SHARE = 0.9
const PAST_MAX = 10

/**
 * @param past newest first
 * @param whole why every backup reads whole disks; null: changed areas are asked for
 */
export function predictTime(
  disks: readonly DiskPrediction[],
  { past, whole }: { readonly past: readonly PastRead[]; readonly whole: string | null },
): TimePrediction {
  const bytes = disks.reduce((sum, disk) => sum + disk.capacityBytes, 0)
  const names = disks.flatMap(({ transport }) => transport ?? [])
  if (bytes === 0 || names.length < disks.length) {
    return { full: null, incremental: null, basis: 'not every disk can be read' }
  }
  const recent = past.slice(0, PAST_MAX).filter(({ elapsedMs }) => elapsedMs > 0)
  const { full, basis } = measured(bytes, recent) ?? assumed(bytes, names)
  if (whole !== null) return { full, incremental: full, basis: `${basis}; each backup reads whole disks: ${whole}` }
  const changed = recent.filter(({ readBytes }) => readBytes < bytes * FULL_SHARE).map(({ elapsedMs }) => elapsedMs)
  if (changed.length > 0) return { full, incremental: rangeOf(changed), basis }
  const incremental = scaled(full, ASSUMED_CHANGED)
  return { full, incremental, basis: `${basis}; 1 % to 10 % of the disks change, as is assumed` }
}

type Rate = { readonly full: Range; readonly basis: string }

function measured(bytes: number, recent: readonly PastRead[]): Rate | null {
  const rates = recent.filter(({ readBytes }) => readBytes >= TELLING_BYTES).map((one) => one.readBytes / one.elapsedMs)
  if (rates.length === 0) return null
  const full = { fromMs: bytes / Math.max(...rates), toMs: bytes / Math.min(...rates) }
  const [slow, fast] = [Math.min(...rates) * 1000, Math.max(...rates) * 1000].map(formatBytes)
  const which = recent.length === 1 ? "this VM's last backup" : `this VM's last ${recent.length} backups`
  return { full, basis: `measured: ${which} read ${slow === fast ? slow : `${slow} to ${fast}`} a second` }
}

function assumed(bytes: number, names: readonly TransportName[]): Rate {
  const slowest = Math.min(...names.map((name) => ASSUMED[name][0]))
  const fastest = Math.max(...names.map((name) => ASSUMED[name][1]))
  const full = { fromMs: (bytes / (fastest * MiB)) * 1000, toMs: (bytes / (slowest * MiB)) * 1000 }
  return { full, basis: `assumed, not measured: ${slowest} to ${fastest} MiB a second` }
}

export function rangeText({ fromMs, toMs }: Range): string {
  const [from, to] = [formatDuration(fromMs), formatDuration(toMs)]
  return from === to ? from : `${from} to ${to}`
}

function rangeOf(values: readonly number[]): Range {
  return { fromMs: Math.min(...values), toMs: Math.max(...values) }
}

function scaled({ fromMs, toMs }: Range, [low, high]: readonly [number, number]): Range {
  return { fromMs: fromMs * low, toMs: toMs * high }
}
