// Deltas that no snapshot accounts for are told from those that are as they should be.

import { describe, expect, it } from 'vitest'
import { parseMoref } from '../../lib/model/ids.ts'
import type { VmDisk } from '../../lib/model/vm.ts'
import { disksOnLostDeltas, keepsLayer } from '../../lib/model/vm-layers.ts'
import { sampleDisk } from '../kit/record-samples.ts'

function disk(change: Partial<VmDisk> = {}): VmDisk {
  return { ...sampleDisk(), fileName: '[ds1] db/db-000002.vmdk', parents: ['[ds1] db/db.vmdk'], ...change }
}

const tree = [
  {
    moref: sampleMoref(),
    name: 'a',
    description: '',
    createdAt: '',
    quiesced: false,
    backupManifest: null,
    children: [],
  },
]

function sampleMoref() {
  return parseMoref('snapshot-1')
}

describe('disksOnLostDeltas()', () => {
  it('finds a disk on a delta in its own folder with no snapshot in the tree', () => {
    expect(disksOnLostDeltas({ disks: [disk()], snapshots: [] })).toHaveLength(1)
  })

  it.each([
    ['a snapshot accounts for it', { disks: [disk()], snapshots: tree }],
    [
      'it is a linked clone of a disk elsewhere',
      { disks: [disk({ parents: ['[ds1] base/base.vmdk'] })], snapshots: [] },
    ],
    ['its mode keeps a redo log', { disks: [disk({ mode: 'independent_nonpersistent' })], snapshots: [] }],
    ['it has no parent, whatever its name', { disks: [disk({ parents: [] })], snapshots: [] }],
  ])('finds none where %s', (_why, vm) => {
    expect(disksOnLostDeltas(vm)).toEqual([])
  })
})

describe('keepsLayer()', () => {
  it('is about layers above what was frozen, not about those that were there before', () => {
    const older = disk({ parents: ['[ds1] db/db-000001.vmdk', '[ds1] db/db.vmdk'] })
    expect(keepsLayer({ disks: [older], snapshots: [] }, [{ key: older.key, parents: ['[ds1] db/db.vmdk'] }])).toBe(
      true,
    )
    expect(keepsLayer({ disks: [older], snapshots: [] }, [{ key: older.key, parents: older.parents }])).toBe(false)
    expect(keepsLayer({ disks: [older], snapshots: [] }, [])).toBe(false)
    expect(keepsLayer({ disks: [older], snapshots: tree }, [{ key: older.key, parents: [] }])).toBe(false)
  })
})
