// What hunt looks for in a VM, and how it mends it: in which order, how often, and when. Pure.

import type { VmId } from './ids.ts'
import { flattenSnapshots, type VmSnapshot, type VmState } from './vm.ts'
import type { VmHistory } from './vm-history.ts'
import { disksOnLostDeltas } from './vm-layers.ts'

/** The rungs: ask for consolidation; make a snapshot and remove all; the same with a quiesced one. The later ones need a tree without snapshots. */
export type HuntRung = 'consolidate' | 'snapshot' | 'quiesced-snapshot'

export const HUNT_TRIES_MAX = 4
/** As Snapshot Hunter of Veeam Backup & Replication has it: four tries, four hours apart. */
export const HUNT_PAUSE_MS = 4 * 3_600_000

/** @param tries how many came before */
export function huntRung(tries: number): HuntRung {
  if (tries === 0) return 'consolidate'
  return tries === 1 ? 'snapshot' : 'quiesced-snapshot'
}

/**
 * Under 80 characters, vSphere's limit. Known as ours by the VM's history alone, where it stands before it is made.
 * @param of.mark random: another installation that hunts on the same VM never makes the same name
 */
export function huntSnapshotName(of: { readonly vmId: VmId; readonly tries: number; readonly mark: string }): string {
  return `${HUNT_PREFIX}${of.vmId}-${of.tries}-${of.mark}`
}

const HUNT_PREFIX = 'coldframe-hunt-'

/** Whether a snapshot is named as those of hunt are, whoever made it. */
export function isHuntSnapshotName(name: string): boolean {
  return name.startsWith(HUNT_PREFIX)
}

/** Snapshots of hunt's own that are in the tree: the VM's history names them. */
export function madeByHunt(
  { snapshots }: Pick<VmState, 'snapshots'>,
  { hunt }: Pick<VmHistory, 'hunt'>,
): readonly VmSnapshot[] {
  const name = hunt?.snapshot ?? null
  return name === null ? [] : flattenSnapshots(snapshots).filter((snapshot) => snapshot.name === name)
}

/** What of a VM's disks is to be mended, in words; null when nothing is. */
export function whatToMend(vm: Pick<VmState, 'consolidationNeeded' | 'disks' | 'snapshots'>): string | null {
  const lost = disksOnLostDeltas(vm).map(({ label, fileName }) => `"${label}" ("${fileName}")`)
  if (lost.length > 0) return `no snapshot accounts for the delta of ${lost.join(', ')}`
  return vm.consolidationNeeded ? 'its disks need consolidation' : null
}

/** Why nothing is tried now, and whether it ever will be again without somebody; null when a try is due. */
export function huntWait(
  { hunt }: Pick<VmHistory, 'hunt'>,
  nowMs: number,
): { readonly reason: string; readonly givenUp: boolean } | null {
  if (hunt === null) return null
  if (hunt.tries >= HUNT_TRIES_MAX) return { reason: `${hunt.tries} tries did not mend it`, givenUp: true }
  const nextMs = Date.parse(hunt.triedAt) + HUNT_PAUSE_MS
  if (nextMs <= nowMs) return null
  return {
    reason: `try ${hunt.tries + 1} of ${HUNT_TRIES_MAX} is due at ${new Date(nextMs).toISOString()}`,
    givenUp: false,
  }
}
