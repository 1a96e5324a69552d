// decideReading(): which past of a disk may be trusted, and what is said when it may not.

import { describe, expect, it } from 'vitest'
import type { PointDisk } from '../../lib/model/point.ts'
import { afterFailedQuery, decideReading, type ReadingFacts } from '../../lib/mover/decide.ts'
import { trackingNotice } from '../../lib/mover/tracking-notice.ts'
import { pointDisk } from './point-disk.ts'
import { trackedVm } from './tracked-vm.ts'

const vm = trackedVm()
vm.addDisk(2000, 1 << 20)
const [disk] = vm.snapshot().disks
if (disk === undefined) throw new Error('a disk was added')

const before: PointDisk = pointDisk({
  fileName: disk.fileName,
  backingUuid: disk.uuid,
  changeId: `${disk.changeId?.split('/')[0]}/1`,
})
const facts: ReadingFacts = {
  disk,
  chunkLog2: 18,
  wholeReason: null,
  tracking: { active: true, reason: null },
  vcenterId: 'vcenter-1',
  parent: { sequence: 7, vcenterId: 'vcenter-1', disk: before },
  orphanReason: null,
}
const withParent = (change: Partial<PointDisk>): ReadingFacts => ({
  ...facts,
  parent: { sequence: 7, vcenterId: 'vcenter-1', disk: { ...before, ...change } },
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

  it("reads the VM's first backup in full without a reason, and an added disk with one", () => {
    expect(decideReading({ ...facts, parent: null })).toEqual({ kind: 'full', why: null })
    const added = decideReading({ ...facts, parent: { sequence: 7, vcenterId: 'vcenter-1', disk: null } })
    expect(added).toMatchObject({ kind: 'full', why: { cause: 'disk-added' } })
  })

  it('reads whole, and compares with the parent where there is one, by a transport that cannot do else', () => {
    const wholeReason = 'Transport "lease" gives a disk only as a whole'
    const untracked = { ...facts, wholeReason, tracking: { active: false, reason: 'Snapshots of others stand' } }
    for (const known of [{ ...facts, wholeReason }, untracked]) {
      const why = { cause: 'transport', reason: wholeReason }
      expect(decideReading(known)).toEqual({ kind: 'differential', parent: before, why })
      expect(decideReading({ ...known, parent: null })).toEqual({ kind: 'full', why: null })
    }
  })

  it('says of a first full without tracking why the next cannot be an incremental', () => {
    const tracking = { active: false, reason: 'The server has no changed block tracking' }
    const off = decideReading({ ...facts, parent: null, tracking })
    expect(off).toEqual({ kind: 'full', why: { cause: 'tracking-off', reason: tracking.reason } })
    const without = decideReading({ ...facts, parent: null, disk: { ...disk, changeId: null } })
    expect(without).toMatchObject({ kind: 'full', why: { cause: 'no-change-id' } })
  })

  it.each([
    ['went back', 'change-id-went-back', { changeId: `${disk.changeId?.split('/')[0]}/99` }],
    ['reset', 'change-id-other-chain', { changeId: 'other/1' }],
    ['unknown form', 'change-id-unreadable', { changeId: 'nonsense' }],
    ['replaced', 'disk-replaced', { backingUuid: 'other' }],
    ['no backing uuid', 'no-identity', { backingUuid: null }],
    ['shrank', 'disk-shrank', { capacityBytes: disk.capacityBytes * 2 }],
    ['no change id', 'no-earlier-change-id', { changeId: null }],
  ] as const)('compares with the parent when changes since it cannot be known: %s', (words, cause, change) => {
    const reading = decideReading(withParent(change))
    expect(reading).toMatchObject({ kind: 'differential', parent: { key: disk.key }, why: { cause } })
    expect(reading.kind === 'differential' && reading.why.reason).toContain(words)
  })

  it('compares with the parent when tracking is off, on this VM or on this disk alone', () => {
    const off = decideReading({ ...facts, tracking: { active: false, reason: null } })
    expect(off).toMatchObject({ kind: 'differential', parent: before, why: { cause: 'tracking-off' } })
    const without = decideReading({ ...facts, disk: { ...disk, changeId: null } })
    expect(without).toMatchObject({ kind: 'differential', why: { cause: 'no-change-id' } })
  })

  it('takes the missing change id of a new disk, or of another at its place, for what it is', () => {
    const first = { ...facts, disk: { ...disk, changeId: null } }
    const added = decideReading({ ...first, parent: { sequence: 3, vcenterId: facts.vcenterId, disk: null } })
    expect(added).toMatchObject({ kind: 'full', why: { cause: 'disk-added' } })
    const replaced = decideReading({ ...withParent({ backingUuid: 'other' }), disk: first.disk })
    expect(replaced).toMatchObject({ kind: 'differential', why: { cause: 'disk-replaced' } })
    for (const reading of [added, replaced]) expect(trackingNotice([{ disk, reading }])).toBe(null)
  })

  it("goes on by changed areas after a Storage vMotion that kept the change id's uuid", () => {
    expect(decideReading(withParent({ fileName: '[elsewhere] moved/moved.vmdk' }))).toMatchObject({
      kind: 'incremental',
    })
  })

  it.each(['audit-mismatch', 'tracking-distrusted'])(
    'asks no tracking that was caught (%s) before it has begun anew',
    (readModeCode) => {
      const same = decideReading(withParent({ readModeCode }))
      expect(same).toMatchObject({ kind: 'differential', why: { cause: 'tracking-distrusted' } })
      const anew = decideReading({ ...withParent({ readModeCode }), disk: { ...disk, changeId: 'anew/1' } })
      expect(anew).toMatchObject({ kind: 'differential', why: { cause: 'change-id-other-chain' } })
    },
  )

  it.each([
    ['another vCenter', 'vcenter-1', 'vcenter-2'],
    ['a vCenter after a lone host', null, 'vcenter-2'],
    ['a lone host after a vCenter', 'vcenter-1', null],
    ['a lone host, which may be any', null, null],
  ])('trusts no change ids across servers: %s', (_, then, now) => {
    const parent = { sequence: 7, vcenterId: then, disk: before }
    const reading = decideReading({ ...facts, vcenterId: now, parent })
    expect(reading).toMatchObject({ kind: 'differential', parent: before, why: { cause: 'other-server' } })
    expect(reading.kind === 'differential' && reading.why.reason).toContain('restore point 7')
  })

  it('reads the tail of a grown disk whole', () => {
    expect(decideReading(withParent({ capacityBytes: 1000 }))).toMatchObject({
      kind: 'incremental',
      grownFromBytes: 1000,
    })
  })

  it('reads in full, saying why, when the parent has other chunks', () => {
    const reading = decideReading(withParent({ chunkLog2: 20 }))
    expect(reading).toMatchObject({ kind: 'full', why: { cause: 'chunk-size' } })
    expect(reading.kind === 'full' && reading.why?.reason).toContain('1048576')
  })
})

describe('afterFailedQuery()', () => {
  const reading = { kind: 'incremental', parent: before, changeId: 'a/1', grownFromBytes: null } as const

  it.each([
    ['FileFault', 'query-failed'],
    ['InvalidArgument', 'query-failed'],
    [null, 'query-failed'],
    ['NotSupported', 'query-unsupported'],
    ['MethodNotFound', 'query-unsupported'],
  ])('compares with the parent after %s', (fault, cause) => {
    const after = afterFailedQuery(reading, { message: 'Cannot list changes', fault })
    expect(after).toMatchObject({ kind: 'differential', parent: before, why: { cause } })
  })
})
