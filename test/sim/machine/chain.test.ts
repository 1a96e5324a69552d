// The simulated hardware against a naive model that copies whole disks: whatever is written, snapshotted, removed,
// merged and reverted, every snapshot and the machine read as the copies do, and tracking never says too little.

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../../../lib/base/clock.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { FrozenLedger } from '../../../sim/machine/digest.ts'
import type { Disk } from '../../../sim/machine/disk.ts'
import { GRAIN_BYTES, storeMaker } from '../../../sim/machine/grain-store.ts'
import type { Machine } from '../../../sim/machine/machine.ts'
import type { Snapshot } from '../../../sim/machine/snapshot.ts'
import { tinyMachine } from './tiny-machine.ts'

const CAPACITY = 6 * GRAIN_BYTES + 1536

type Step =
  | { readonly kind: 'write'; readonly offset: number; readonly length: number; readonly fill: number }
  | { readonly kind: 'snapshot' }
  | { readonly kind: 'remove'; readonly pick: number; readonly removeChildren: boolean; readonly consolidate: boolean }
  | { readonly kind: 'revert'; readonly pick: number }
  | { readonly kind: 'consolidate' | 'remove-all' | 'power' }

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('write' as const),
        offset: fc.nat(CAPACITY - 1),
        length: fc.integer({ min: 1, max: 2 * GRAIN_BYTES }),
        fill: fc.integer({ min: 0, max: 255 }),
      }),
    },
    { weight: 3, arbitrary: fc.constant({ kind: 'snapshot' as const }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('remove' as const),
        pick: fc.nat(20),
        removeChildren: fc.boolean(),
        consolidate: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('revert' as const), pick: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('consolidate' as const, 'remove-all', 'power') }) },
  ),
  { maxLength: 40 },
)

type Model = { now: Uint8Array; readonly frozen: Map<Snapshot, Uint8Array>; readonly digests: string[] }

describe('a chain of layers', () => {
  for (const directory of [null, process.env['TMPDIR'] ?? '/tmp']) {
    it(`reads like whole copies after any writes, snapshots, removals and reverts (${directory ?? 'in memory'})`, () => {
      fc.assert(
        fc.property(steps, (list) => {
          const ledger = new FrozenLedger()
          const machine = tinyMachine({ capacities: [CAPACITY], stores: storeMaker(directory), ledger })
          machine.setChangeTracking(true)
          const model: Model = { now: new Uint8Array(CAPACITY), frozen: new Map(), digests: [] }
          for (const step of list) {
            take(step, { machine, model })
            checkAll(machine, model)
          }
          const reported = ledger.reports().map((report) => report.disks[0]?.sha256)
          expect(reported).toEqual(model.digests)
          machine.dispose()
        }),
        { numRuns: directory === null ? 300 : 30 },
      )
    })
  }

  it('leaves one flat layer when every snapshot is gone', () => {
    const machine = tinyMachine({ capacities: [CAPACITY] })
    const disk = diskOf(machine)
    for (let n = 0; n < 4; n++) {
      machine.createSnapshot({ name: `s${n}`, description: '', quiesce: { kind: 'none' } })
      disk.write({ offsetBytes: n * 1000, bytes: new Uint8Array(3000).fill(n + 1) })
    }
    expect(disk.chain().map((layer) => layer.extentPath)).toEqual([
      '[ds1] tiny/tiny-flat.vmdk',
      ...['1', '2', '3', '4'].map((n) => `[ds1] tiny/tiny-00000${n}-delta.vmdk`),
    ])
    machine.removeAllSnapshots()
    expect(disk.chain().map((layer) => layer.extentPath)).toEqual(['[ds1] tiny/tiny-flat.vmdk'])
    expect(machine.consolidationNeeded).toBe(false)
  })

  it('keeps a snapshot as it was when the one below it is removed and its files are merged', () => {
    const machine = tinyMachine({ capacities: [CAPACITY] })
    const disk = diskOf(machine)
    const [first, second] = [1, 2].map((n) => {
      disk.write({ offsetBytes: 700, bytes: new Uint8Array(99).fill(n) })
      return machine.createSnapshot({ name: `s${n}`, description: '', quiesce: { kind: 'none' } })
    })
    disk.write({ offsetBytes: 700, bytes: new Uint8Array(99).fill(3) })
    const kept = second?.kept[0]
    if (first === undefined || kept === undefined) throw new Error('a snapshot is missing')
    const before = contentAt(disk, kept.layer)
    machine.removeSnapshot(first, { removeChildren: false, consolidate: true })
    expect(same(contentAt(disk, kept.layer), before)).toBe(true)
    expect(second?.disks[0]?.chain.map((layer) => layer.extentPath)).toEqual(['[ds1] tiny/tiny-flat.vmdk'])
    expect(contentAt(disk, disk.active)[700]).toBe(3)
  })

  it('needs consolidation after a removal that did not merge, and not after consolidate()', () => {
    const machine = tinyMachine({ capacities: [CAPACITY] })
    const snapshot = machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'none' } })
    machine.removeSnapshot(snapshot, { removeChildren: false, consolidate: false })
    expect(machine.consolidationNeeded).toBe(true)
    expect(diskOf(machine).chain()).toHaveLength(2)
    machine.consolidate()
    expect(machine.consolidationNeeded).toBe(false)
    expect(diskOf(machine).chain()).toHaveLength(1)
  })

  it('locks only what a running machine writes', () => {
    const machine = tinyMachine({ capacities: [CAPACITY] })
    machine.powerOn()
    machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'none' } })
    expect(
      diskOf(machine)
        .chain()
        .map((layer) => layer.frozen),
    ).toEqual([true, false])
    machine.powerOff()
    expect(
      diskOf(machine)
        .chain()
        .every((layer) => layer.frozen),
    ).toBe(true)
  })
})

function take(step: Step, { machine, model }: { readonly machine: Machine; readonly model: Model }): void {
  const disk = diskOf(machine)
  switch (step.kind) {
    case 'write': {
      const bytes = noise(step.fill, Math.min(step.length, CAPACITY - step.offset))
      disk.write({ offsetBytes: step.offset, bytes })
      model.now = model.now.slice()
      model.now.set(bytes, step.offset)
      return
    }
    case 'snapshot': {
      const snapshot = machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'none' } })
      model.frozen.set(snapshot, model.now)
      model.digests.push(createHash('sha256').update(model.now).digest('hex'))
      return
    }
    case 'remove': {
      const snapshot = machine.snapshots[step.pick % machine.snapshots.length]
      if (snapshot === undefined) return
      return machine.removeSnapshot(snapshot, step)
    }
    case 'revert': {
      const snapshot = machine.snapshots[step.pick % machine.snapshots.length]
      if (snapshot === undefined) return
      machine.revertTo(snapshot)
      model.now = model.frozen.get(snapshot) ?? model.now
      return
    }
    case 'consolidate':
      return machine.consolidate()
    case 'remove-all':
      return machine.removeAllSnapshots()
    case 'power':
      return machine.powerState === 'poweredOn' ? machine.powerOff() : machine.powerOn()
  }
}

function checkAll(machine: Machine, model: Model): void {
  const disk = diskOf(machine)
  expect(same(contentAt(disk, disk.active), model.now)).toBe(true)
  const live = machine.snapshots
  for (const snapshot of live) {
    const kept = snapshot.kept[0]
    if (kept === undefined) throw new Error('the snapshot has no disk')
    expect(same(contentAt(disk, kept.layer), model.frozen.get(snapshot) ?? new Uint8Array())).toBe(true)
  }
  const tracked = live.filter((snapshot) => snapshot.disks[0]?.changeId != null)
  for (const older of tracked) for (const newer of tracked) checkAreas({ machine, model, older, newer })
}

/** Between two snapshots of one tracking: every byte that differs lies in an area. */
function checkAreas(options: {
  readonly machine: Machine
  readonly model: Model
  readonly older: Snapshot
  readonly newer: Snapshot
}): void {
  const { machine, model, older, newer } = options
  const [from, to] = [older.kept[0]?.tracking, newer.kept[0]?.tracking]
  if (from == null || to == null || from.uuid !== to.uuid || from.epoch > to.epoch) return
  const changeId = older.disks[0]?.changeId ?? ''
  const reply = machine.changedAreas({ snapshot: newer, deviceKey: 2000, startOffset: 0, changeId })
  expect(reply.startOffset + reply.length).toBe(CAPACITY)
  const [before, after] = [model.frozen.get(older), model.frozen.get(newer)]
  if (before === undefined || after === undefined) throw new Error('the model lost a snapshot')
  let gapFrom = 0
  for (const area of [...reply.changedArea, { start: CAPACITY, length: 0 }]) {
    expect(same(before.subarray(gapFrom, area.start), after.subarray(gapFrom, area.start))).toBe(true)
    gapFrom = area.start + area.length
  }
}

function diskOf(machine: Machine): Disk {
  const disk = machine.disks[0]
  if (disk === undefined) throw new Error('the machine has no disk')
  return disk
}

function contentAt(disk: Disk, layer: Disk['active']): Uint8Array {
  const target = new Uint8Array(disk.capacityBytes)
  disk.readAt(layer, { offsetBytes: 0, target })
  return target
}

function noise(seed: number, length: number): Uint8Array {
  return seed === 0 ? new Uint8Array(length) : seededRandom(seed).bytes(length)
}

function same(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0
}

it('a manual clock dates snapshots', () => {
  const clock = manualClock(5000)
  const machine = tinyMachine({ capacities: [CAPACITY], clock })
  expect(machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'none' } }).createdMs).toBe(5000)
})
