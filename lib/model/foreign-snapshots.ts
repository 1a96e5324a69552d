// Snapshots that are not ours: which of them another backup makes for a while and takes away again, and is waited for.

import { flattenSnapshots, type VmSnapshot } from './vm.ts'

type Product = { readonly product: string; readonly pattern: RegExp }

/**
 * Names of temporary snapshots, as their makers document them:
 * Veeam KB 1790; NetBackup and Commvault as vCheck-vSphere lists them (Backup Garbage) and Commvault's cvpysdk has it; Bareos
 * and ghettoVCB in their sources; "_VCB-BACKUP_" in the manuals of VMware Consolidated Backup and CA ARCserve; "Consolidate
 * Helper" is vSphere's own, there while it consolidates.
 */
const TEMPORARY: readonly Product[] = [
  { product: 'Veeam Backup & Replication', pattern: /^VEEAM BACKUP TEMPORARY SNAPSHOT/i },
  { product: 'Veritas NetBackup', pattern: /^NBU_SNAPSHOT/i },
  { product: 'Commvault', pattern: /^__GX_BACKUP__/i },
  { product: 'Bareos', pattern: /^BareosTmpSnap_jobId/i },
  { product: 'ghettoVCB', pattern: /^ghettoVCB-snapshot-/i },
  { product: 'VMware Consolidated Backup', pattern: /^_VCB-BACKUP_/i },
  { product: "vSphere's consolidation", pattern: /^Consolidate Helper/i },
]

/** A temporary snapshot of this age was left behind: waiting for it would never end. */
const LEFT_BEHIND_MS = 24 * 3_600_000

export type TemporarySnapshot = { readonly snapshot: VmSnapshot; readonly product: string }

/** Those of a tree that a backup product makes for a while; those that people made are not among them. */
export function temporarySnapshots(roots: readonly VmSnapshot[]): readonly TemporarySnapshot[] {
  return flattenSnapshots(roots).flatMap((snapshot) => {
    const known = TEMPORARY.find(({ pattern }) => pattern.test(snapshot.name))
    return known === undefined ? [] : [{ snapshot, product: known.product }]
  })
}

/** For example: snapshot "VEEAM BACKUP TEMPORARY SNAPSHOT" of Veeam Backup & Replication since 2026-01-02T03:04:05.000Z. */
export function describeTemporary({ snapshot, product }: TemporarySnapshot): string {
  return `snapshot "${snapshot.name}" of ${product} since ${snapshot.createdAt}`
}

/** What other products at work on the VM are waited for, in words; null when none is. */
export function waitsForProducts(roots: readonly VmSnapshot[], nowMs: number): string | null {
  const working = temporarySnapshots(roots).filter(({ snapshot: { createdAt } }) => {
    const createdMs = Date.parse(createdAt)
    return Number.isNaN(createdMs) || nowMs - createdMs <= LEFT_BEHIND_MS
  })
  return working.length === 0 ? null : working.map(describeTemporary).join(', ')
}
