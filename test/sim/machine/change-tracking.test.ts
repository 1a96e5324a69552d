// Changed areas as the API's documents have them: when change ids are there, what they mean, how replies are paged.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AREAS_MAX, areasWhere, pageOfAreas } from '../../../sim/machine/change-tracking.ts'
import { GRAIN_BYTES } from '../../../sim/machine/grain-store.ts'
import type { Machine } from '../../../sim/machine/machine.ts'
import { SimFault, type SimSnapshot } from '../../../sim/machine/types.ts'
import { tinyMachine } from './tiny-machine.ts'

const MiB = 1024 * 1024
const FORM = /^52( [0-9a-f]{2}){7}-[0-9a-f]{2}( [0-9a-f]{2}){7}\/[1-9][0-9]*$/

describe('change ids', () => {
  it('are there from the end of the next stun on, when a running machine turns tracking on', () => {
    const machine = tinyMachine({ capacities: [MiB, MiB] })
    machine.powerOn()
    machine.setChangeTracking(true)
    expect(machine.changeTrackingEnabled).toBe(true)
    expect(machine.disks.map((disk) => disk.changeId)).toEqual([null, null])
    expect(idsOf(snapshotOf(machine))).toEqual([null, null])
    for (const id of idsOf(snapshotOf(machine))) expect(id).toMatch(FORM)
  })

  it('are there at once when the machine is off and has no snapshots', () => {
    const machine = tinyMachine({ capacities: [MiB] })
    machine.setChangeTracking(true)
    expect(machine.disks[0]?.changeId).toMatch(FORM)
  })

  it('count up by snapshots and keep their uuid', () => {
    const machine = tracked([MiB])
    const [first, second] = [idsOf(snapshotOf(machine))[0] ?? '', idsOf(snapshotOf(machine))[0] ?? '']
    expect(first).toMatch(/\/1$/)
    expect(second).toBe(first.replace(/\/1$/, '/2'))
  })

  it('get a new uuid when tracking is turned off and on, and when the machine goes back to a snapshot', () => {
    const machine = tracked([MiB])
    const first = snapshotOf(machine)
    const uuids = [uuidOf(first)]
    machine.setChangeTracking(false)
    expect(machine.disks[0]?.changeId).toBeNull()
    machine.setChangeTracking(true)
    machine.removeAllSnapshots()
    const second = snapshotOf(machine)
    uuids.push(uuidOf(second))
    machine.revertTo(second)
    uuids.push(uuidOf(snapshotOf(machine)))
    expect(new Set(uuids).size).toBe(3)
  })

  it('are not given to disks that snapshots leave alone', () => {
    const disks = [{}, { mode: 'independent_persistent' as const }, { rdm: 'physicalMode' as const }]
    const machine = tinyMachine({ capacities: [MiB, MiB, MiB], disks })
    machine.setChangeTracking(true)
    const snapshot = snapshotOf(machine)
    expect(snapshot.disks.map((disk) => disk.deviceKey)).toEqual([2000])
    expect(snapshot.leftOut.map((disk) => disk.deviceKey)).toEqual([2001, 2002])
    expect(machine.disks.map((disk) => disk.changeId !== null)).toEqual([true, false, false])
  })
})

describe('changedAreas()', () => {
  it('gives the blocks written between two snapshots, and nothing of later writes', () => {
    const machine = tracked([MiB])
    const changeId = idsOf(snapshotOf(machine))[0] ?? ''
    write(machine, 3 * GRAIN_BYTES + 5)
    const second = snapshotOf(machine)
    write(machine, 9 * GRAIN_BYTES)
    write(machine, 3 * GRAIN_BYTES)
    expect(ask(machine, { snapshot: second, changeId })).toEqual({
      startOffset: 0,
      length: MiB,
      changedArea: [{ start: 3 * GRAIN_BYTES, length: GRAIN_BYTES }],
    })
    expect(ask(machine, { snapshot: second, changeId: idsOf(second)[0] ?? '' }).changedArea).toEqual([])
  })

  it('gives the allocated areas for "*", and the whole disk where the datastore cannot tell', () => {
    for (const allocation of ['vmfs', 'whole'] as const) {
      const machine = tinyMachine({ capacities: [MiB], allocation })
      write(machine, 5 * GRAIN_BYTES)
      machine.setChangeTracking(true)
      const { changedArea } = ask(machine, { snapshot: snapshotOf(machine), changeId: '*' })
      expect(changedArea).toEqual([
        allocation === 'vmfs' ? { start: 5 * GRAIN_BYTES, length: GRAIN_BYTES } : { start: 0, length: MiB },
      ])
    }
  })

  it('answers about a machine that is off without a snapshot, and refuses for one that runs', () => {
    const machine = tracked([MiB])
    const changeId = idsOf(snapshotOf(machine))[0] ?? ''
    write(machine, 0)
    machine.powerOff()
    expect(ask(machine, { snapshot: null, changeId }).changedArea).toHaveLength(1)
    machine.powerOn()
    expect(faultOf(() => ask(machine, { snapshot: null, changeId }))).toBe('FileFault')
  })

  it('refuses offsets outside the disk, foreign and unknown change ids, and disks without tracking', () => {
    const machine = tracked([MiB])
    const snapshot = snapshotOf(machine)
    const id = idsOf(snapshot)[0] ?? ''
    const fault = (more: { readonly startOffset?: number; readonly changeId?: string; readonly deviceKey?: number }) =>
      faultOf(() => ask(machine, { snapshot, changeId: id, ...more }))
    expect(fault({ startOffset: MiB })).toBe('InvalidArgument startOffset')
    expect(fault({ startOffset: -1 })).toBe('InvalidArgument startOffset')
    expect(fault({ deviceKey: 2001 })).toBe('InvalidArgument deviceKey')
    expect(fault({ changeId: id.replace('52', '53') })).toBe('FileFault')
    expect(fault({ changeId: id.replace(/\d+$/, '99') })).toBe('FileFault')
    expect(fault({ changeId: 'nonsense' })).toBe('FileFault')
    machine.setChangeTracking(false)
    expect(faultOf(() => ask(machine, { snapshot: snapshotOf(machine), changeId: '*' }))).toBe('FileFault')
  })

  it('pages through more areas than one reply holds, without a gap and without an overlap', () => {
    const blocks = 2 * AREAS_MAX * 2 + 11
    const machine = tinyMachine({ capacities: [blocks * GRAIN_BYTES + 512] })
    machine.setChangeTracking(true)
    const changeId = idsOf(snapshotOf(machine))[0] ?? ''
    for (let block = 0; block < blocks; block += 2)
      machine.disks[0]?.tracker?.mark({ offsetBytes: block * GRAIN_BYTES, lengthBytes: 1 })
    const snapshot = snapshotOf(machine)
    const sizes: number[] = []
    const starts: number[] = []
    for (let startOffset = 0; startOffset < blocks * GRAIN_BYTES + 512; ) {
      const reply = ask(machine, { snapshot, changeId, startOffset })
      sizes.push(reply.changedArea.length)
      starts.push(...reply.changedArea.map((area) => area.start / GRAIN_BYTES))
      startOffset += reply.length
    }
    expect(sizes).toEqual([AREAS_MAX, AREAS_MAX, 6])
    expect(starts).toEqual(Array.from({ length: Math.ceil(blocks / 2) }, (_, index) => index * 2))
  })

  it('has empty windows when a reply covers only so much', () => {
    const machine = tinyMachine({ capacities: [MiB], changeWindowBytes: 256 * 1024 })
    machine.setChangeTracking(true)
    const changeId = idsOf(snapshotOf(machine))[0] ?? ''
    write(machine, MiB - 512)
    const snapshot = snapshotOf(machine)
    const counts = [0, 1, 2, 3].map(
      (n) => ask(machine, { snapshot, changeId, startOffset: n * 256 * 1024 }).changedArea.length,
    )
    expect(counts).toEqual([0, 0, 0, 1])
  })
})

it('areasWhere() and pageOfAreas() cover exactly the wanted blocks, cut to the asked range', () =>
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }),
      fc.nat(),
      fc.nat(511),
      (wanted, from, tail) => {
        const capacityBytes = (wanted.length - 1) * GRAIN_BYTES + 512 + tail * 128
        const startOffset = from % capacityBytes
        const inWanted = (block: number) => wanted[block] === true
        const areas = [...areasWhere({ wanted: inWanted, startOffset, endOffset: capacityBytes })]
        const page = pageOfAreas({
          wanted: inWanted,
          startOffset,
          capacityBytes,
          windowBytes: Number.POSITIVE_INFINITY,
        })
        expect(page.changedArea).toEqual(areas)
        expect(page.length).toBe(capacityBytes - startOffset)
        for (let offset = startOffset; offset < capacityBytes; offset += 4096) {
          const inside = areas.some((area) => offset >= area.start && offset < area.start + area.length)
          expect(inside).toBe(inWanted(Math.floor(offset / GRAIN_BYTES)))
        }
        for (const [index, area] of areas.entries()) {
          expect(area.length).toBeGreaterThan(0)
          const next = areas[index + 1]
          if (next !== undefined) expect(next.start).toBeGreaterThan(area.start + area.length)
        }
      },
    ),
  ))

function tracked(capacities: readonly number[]): Machine {
  const machine = tinyMachine({ capacities })
  machine.setChangeTracking(true)
  machine.powerOn()
  return machine
}

function snapshotOf(machine: Machine): SimSnapshot {
  return machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'none' } })
}

function idsOf(snapshot: SimSnapshot): readonly (string | null)[] {
  return snapshot.disks.map((disk) => disk.changeId)
}

function uuidOf(snapshot: SimSnapshot): string {
  return idsOf(snapshot)[0]?.split('/')[0] ?? ''
}

function write(machine: Machine, offsetBytes: number): void {
  machine.disks[0]?.write({ offsetBytes, bytes: new Uint8Array(512).fill(7) })
}

function ask(
  machine: Machine,
  query: {
    readonly snapshot: SimSnapshot | null
    readonly changeId: string
    readonly startOffset?: number
    readonly deviceKey?: number
  },
) {
  return machine.changedAreas({ deviceKey: 2000, startOffset: 0, ...query })
}

function faultOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (!(error instanceof SimFault)) throw error
    const property = error.properties['invalidProperty']
    return property === undefined ? error.fault : `${error.fault} ${property}`
  }
  return 'none'
}
