// Other products' snapshots: which are waited for, and which were left behind.

import { describe, expect, it } from 'vitest'
import { temporarySnapshots, waitsForProducts } from '../../lib/model/foreign-snapshots.ts'
import { parseMoref } from '../../lib/model/ids.ts'
import type { VmSnapshot } from '../../lib/model/vm.ts'

const NOW_MS = Date.parse('2026-03-04T12:00:00.000Z')

function snapshot(name: string, createdAt = '2026-03-04T11:00:00.000Z', children: readonly VmSnapshot[] = []) {
  const text = { name, description: '', createdAt, quiesced: false, backupManifest: null }
  return { moref: parseMoref(`snapshot-${name.length}`), ...text, children }
}

describe('temporarySnapshots()', () => {
  it.each([
    ['VEEAM BACKUP TEMPORARY SNAPSHOT', 'Veeam Backup & Replication'],
    ['NBU_SNAPSHOT db-1 1772625600', 'Veritas NetBackup'],
    ['__GX_BACKUP__', 'Commvault'],
    ['BareosTmpSnap_jobId_17', 'Bareos'],
    ['ghettoVCB-snapshot-2026-03-04', 'ghettoVCB'],
    ['_VCB-BACKUP_', 'VMware Consolidated Backup'],
    ['Consolidate Helper- 0', "vSphere's consolidation"],
  ])('knows "%s"', (name, product) => {
    expect(temporarySnapshots([snapshot('mine', undefined, [snapshot(name)])])).toMatchObject([{ product }])
  })

  it('knows no snapshot that people made, whatever they write about it', () => {
    const names = ['before the update', 'after VEEAM BACKUP TEMPORARY SNAPSHOT', 'consolidate', 'backup', '']
    expect(temporarySnapshots(names.map((name) => snapshot(name)))).toEqual([])
  })
})

describe('waitsForProducts()', () => {
  it('names the product and since when', () => {
    expect(waitsForProducts([snapshot('__GX_BACKUP__')], NOW_MS)).toBe(
      'snapshot "__GX_BACKUP__" of Commvault since 2026-03-04T11:00:00.000Z',
    )
  })

  it('does not wait for one of the day before, but for one whose time cannot be read', () => {
    expect(waitsForProducts([snapshot('__GX_BACKUP__', '2026-03-03T11:59:59.000Z')], NOW_MS)).toBeNull()
    expect(waitsForProducts([snapshot('__GX_BACKUP__', 'unset')], NOW_MS)).not.toBeNull()
  })
})
