// decideReading(): which past of a disk may be trusted, and what is said when it may not.

import { describe, expect, it } from 'vitest'
import type { PointDisk } from '../../lib/model/point.ts'
import { decideReading, type ReadingFacts } from '../../lib/mover/decide.ts'
import { trackedVm } from './tracked-vm.ts'

const vm = trackedVm()
vm.addDisk(2000, 1 << 20)
const [disk] = vm.snapshot().disks
if (disk === undefined) throw new Error('a disk was added')

const before: PointDisk = {
  key: disk.key,
  label: disk.label,
  capacityBytes: disk.capacityBytes,
  chunkLog2: 18,
  fileName: disk.fileName,
  backingUuid: disk.uuid,
  changeId: `${disk.changeId?.split('/')[0]}/1`,
  readMode: 'full',
  readModeReason: null,
  transport: 'datastore',
  readBytes: 0,
  newChunks: 0,
  newPlainBytes: 0,
  newStoredBytes: 0,
}
const facts: ReadingFacts = {
  disk,
  chunkLog2: 18,
  wholeReason: null,
  tracking: { active: true, reason: null },
  vcenterId: 'vcenter-1',
  parent: { sequence: 7, vcenterId: 'vcenter-1', disks: [before] },
  orphanReason: null,
}
const withParent = (change: Partial<PointDisk>): ReadingFacts => ({
  ...facts,
  parent: { sequence: 7, vcenterId: 'vcenter-1', disks: [{ ...before, ...change }] },
})

describe('decideReading()', () => {
  it('reads by changed areas when disk, chunk size and change ids continue the parent', () => {
    expect(decideReading(facts)).toEqual({
      kind: 'incremental',
      parent: before,
      changeId: before.changeId,
      grownFromBytes: null,
    })
  })

  it('reads the first backup and an added disk in full without a word, when tracking is active', () => {
    expect(decideReading({ ...facts, parent: null })).toEqual({ kind: 'full', reason: null, notice: null })
    expect(decideReading(withParent({ key: 2001 }))).toEqual({ kind: 'full', reason: null, notice: null })
  })

  it('reads whole, and compares with the parent where there is one, by a transport that cannot do else, without a word', () => {
    const wholeReason = 'Transport "lease" gives a disk only as a whole'
    const untracked = { ...facts, wholeReason, tracking: { active: false, reason: 'Snapshots of others stand' } }
    for (const known of [{ ...facts, wholeReason }, untracked]) {
      expect(decideReading(known)).toEqual({ kind: 'differential', parent: before, reason: wholeReason, notice: null })
      expect(decideReading({ ...known, parent: null })).toEqual({ kind: 'full', reason: null, notice: null })
    }
  })

  it('notices a first full without tracking', () => {
    const tracking = { active: false, reason: 'The server has no changed block tracking' }
    const reading = decideReading({ ...facts, parent: null, tracking })
    expect(reading).toMatchObject({ kind: 'full', reason: tracking.reason, notice: { code: 'cbt-unavailable' } })
    expect(decideReading({ ...facts, parent: null, disk: { ...disk, changeId: null } })).toMatchObject({
      kind: 'full',
      notice: { code: 'cbt-unavailable' },
    })
  })

  it('compares with the parent when tracking is off, and notices it', () => {
    const reading = decideReading({ ...facts, tracking: { active: false, reason: null } })
    expect(reading).toMatchObject({ kind: 'differential', parent: before, notice: { code: 'cbt-unavailable' } })
  })

  it.each([
    ['went back', { changeId: `${disk.changeId?.split('/')[0]}/99` }],
    ['reset', { changeId: 'other/1' }],
    ['unknown form', { changeId: 'nonsense' }],
  ])('compares with the parent when the change id is broken: %s', (word, change) => {
    const reading = decideReading(withParent(change))
    expect(reading).toMatchObject({ kind: 'differential', parent: { key: disk.key }, notice: { code: 'cbt-reset' } })
    expect(reading.kind === 'differential' && reading.reason).toContain(word)
  })

  it.each([
    ['replaced', { backingUuid: 'other' }],
    ['no backing uuid', { backingUuid: null }],
    ['shrank', { capacityBytes: disk.capacityBytes * 2 }],
    ['no change id', { changeId: null }],
  ])('compares with the parent, without a notice, when the disk is another: %s', (word, change) => {
    const reading = decideReading(withParent(change))
    expect(reading).toMatchObject({ kind: 'differential', notice: null })
    expect(reading.kind === 'differential' && reading.reason).toContain(word)
  })

  it.each([
    ['another vCenter', 'vcenter-1', 'vcenter-2'],
    ['a vCenter after a lone host', null, 'vcenter-2'],
    ['a lone host after a vCenter', 'vcenter-1', null],
    ['a lone host, which may be any', null, null],
  ])('trusts no change ids across servers: %s', (_, then, now) => {
    const reading = decideReading({
      ...facts,
      vcenterId: now,
      parent: { sequence: 7, vcenterId: then, disks: [before] },
    })
    expect(reading).toMatchObject({ kind: 'differential', parent: before, notice: null })
    expect(reading.kind === 'differential' && reading.reason).toContain('restore point 7')
  })

  it('reads the tail of a grown disk whole', () => {
    expect(decideReading(withParent({ capacityBytes: 1000 }))).toMatchObject({
      kind: 'incremental',
      grownFromBytes: 1000,
    })
  })

  it('reads in full, saying why, when the parent has other chunks', () => {
    const reading = decideReading(withParent({ chunkLog2: 20 }))
    expect(reading).toMatchObject({ kind: 'full', notice: null })
    expect(reading.kind === 'full' && reading.reason).toContain('1048576')
  })
})
