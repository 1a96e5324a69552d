// What happens to a machine behind the back of whoever backs it up, and tracking that does not tell the truth.

import { describe, expect, it } from 'vitest'
import { manualClock } from '../../../lib/base/clock.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { actOn } from '../../../sim/estate/act.ts'
import { smallEstate } from '../../../sim/estate/demo.ts'
import { GRAIN_BYTES } from '../../../sim/machine/grain-store.ts'
import type { Machine } from '../../../sim/machine/machine.ts'
import type { SimSnapshot } from '../../../sim/machine/types.ts'
import { tinyMachine } from './tiny-machine.ts'

const MiB = 1024 * 1024

describe('tracking that lies', () => {
  it('forgets a share of the blocks of this epoch, at least one, the same ones for the same seed', () => {
    const missed = [1, 1, 2].map((seed) => {
      const { machine, since } = written(12)
      machine.disks[0]?.tracker?.forget({ share: 0.3, random: seededRandom(seed) })
      return 12 - blocksSince(machine, since)
    })
    expect(missed[0]).toBe(missed[1])
    for (const count of missed) expect(count).toBeGreaterThan(0)
    for (const count of missed) expect(count).toBeLessThan(12)
    const { machine, since } = written(1)
    machine.disks[0]?.tracker?.forget({ share: 0, random: seededRandom(1) })
    expect(blocksSince(machine, since)).toBe(0)
  })

  it('exaggerates, counts back, and goes by another name', () => {
    const { machine, since } = written(2)
    machine.disks[0]?.tracker?.exaggerate()
    expect(blocksSince(machine, since)).toBe(16)
    const before = machine.disks[0]?.changeId
    machine.disks[0]?.tracker?.rename('52 00')
    expect(machine.disks[0]?.changeId).toBe(`52 00/${before?.split('/')[1]}`)
    machine.disks[0]?.tracker?.rewind(1)
    expect(machine.disks[0]?.changeId).not.toBe(`52 00/${before?.split('/')[1]}`)
  })

  it('never begins on a disk that refuses it', () => {
    const machine = tinyMachine({ capacities: [MiB, MiB] })
    machine.setChangeTracking(true)
    machine.disks[1]?.refuseTracking()
    snapshotOf(machine)
    expect(snapshotOf(machine).disks.map(({ changeId }) => changeId !== null)).toEqual([true, false])
  })

  it('misses what is written while disks are merged, when it is told to', () => {
    const clock = manualClock()
    const machine = tinyMachine({ capacities: [MiB], clock })
    machine.setChangeTracking(true)
    const first = snapshotOf(machine)
    machine.holdConsolidation({ ms: 1000, deaf: true })
    machine.removeSnapshot(first, { removeChildren: false, consolidate: true })
    write(machine, 3)
    machine.consolidate()
    expect(machine.consolidationNeeded).toBe(true)
    clock.advance(1000)
    expect(machine.consolidationNeeded).toBe(false)
    write(machine, 5)
    expect(blocksSince(machine, changeIdOf(first))).toBe(1)
  })
})

describe('a machine', () => {
  it('loses its tracking with its power', () => {
    using estate = smallEstate({ seed: 1, directory: null, clock: manualClock(), changeTracking: true })
    const machine = () => estate.named('app-01')[0]
    const before = machine()?.disks[0]?.changeId?.split('/')[0]
    actOn(estate, { vm: 'app-01', action: 'power-loss', body: {} })
    expect(machine()?.powerState).toBe('poweredOn')
    expect(machine()?.disks[0]?.changeId?.split('/')[0]).not.toBe(before)
  })

  it('grows a disk by zeros that count as never written, keeps its bytes, and refuses under snapshots', () => {
    const { machine, since } = written(4)
    expect(() => machine.growDisk(2000, 2 * MiB)).toThrow(/snapshots/)
    machine.removeAllSnapshots()
    expect(() => machine.growDisk(2000, MiB / 2)).toThrow(/shrink/)
    const disk = machine.disks[0]
    if (disk === undefined) throw new Error('no disk')
    const before = new Uint8Array(MiB)
    disk.readAt(disk.active, { offsetBytes: 0, target: before })
    expect(machine.growDisk(2000, 2 * MiB)).toBe(true)
    expect(machine.growDisk(2001, 2 * MiB)).toBe(false)
    const after = new Uint8Array(2 * MiB)
    disk.readAt(disk.active, { offsetBytes: 0, target: after })
    expect(Buffer.compare(after.subarray(0, MiB), before)).toBe(0)
    expect(after.subarray(MiB).every((byte) => byte === 0)).toBe(true)
    expect(blocksSince(machine, since)).toBe(4)
    write(machine, 20)
    expect(blocksSince(machine, since)).toBe(5)
  })

  it('moves all its files with their snapshots, and keeps its change ids or begins them anew', () => {
    using estate = smallEstate({ seed: 1, directory: null, clock: manualClock(), changeTracking: true })
    const [machine] = estate.named('app-01')
    if (machine === undefined) throw new Error('no machine')
    const snapshot = snapshotOf(machine)
    const ids = machine.disks.map(({ changeId }) => changeId)
    actOn(estate, { vm: 'app-01', action: 'relocate', body: { datastore: 'ds2', host: 'esx-02.example' } })
    expect(machine.config.vmPathName).toBe('[ds2] app-01/app-01.vmx')
    expect(snapshot.disks.map(({ chain }) => chain.at(-1)?.extentPath)).toEqual([
      '[ds2] app-01/app-01-flat.vmdk',
      '[ds2] app-01/app-01_1-flat.vmdk',
    ])
    const [ds1, ds2] = estate.datastores
    expect([ds1?.file('app-01/app-01-flat.vmdk'), ds2?.file('app-01/app-01-flat.vmdk')?.sizeBytes]).toEqual([
      null,
      4 * MiB,
    ])
    expect(machine.disks.map(({ changeId }) => changeId)).toEqual(ids)
    actOn(estate, { vm: 'app-01', action: 'relocate', body: { datastore: 'ds1', changeTracking: 'reset' } })
    for (const [index, disk] of machine.disks.entries()) expect(disk.changeId).not.toBe(ids[index])
    const refused = (body: object) => () => actOn(estate, { vm: 'app-01', action: 'relocate', body })
    expect(refused({ datastore: 'ds9' })).toThrow(/no datastore/)
    expect(refused({ host: 'esx-09' })).toThrow(/no host/)
    expect(refused({ host: 7 })).toThrow(/host: must be a text/)
    expect(() => actOn(estate, { vm: 'none', action: 'power-loss', body: {} })).toThrow(/no machine "none"/)
  })
})

/** A tracked machine whose guest wrote this many blocks since the change id. */
function written(blocks: number): { readonly machine: Machine; readonly since: string } {
  const machine = tinyMachine({ capacities: [MiB] })
  machine.setChangeTracking(true)
  const since = changeIdOf(snapshotOf(machine))
  for (let block = 0; block < blocks; block++) write(machine, block)
  return { machine, since }
}

function write(machine: Machine, block: number): void {
  machine.disks[0]?.write({ offsetBytes: block * GRAIN_BYTES, bytes: new Uint8Array([7]) })
}

function snapshotOf(machine: Machine): SimSnapshot {
  return machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'none' } })
}

function changeIdOf(snapshot: SimSnapshot): string {
  return snapshot.disks[0]?.changeId ?? ''
}

function blocksSince(machine: Machine, changeId: string): number {
  const snapshot = snapshotOf(machine)
  const { changedArea } = machine.changedAreas({ snapshot, deviceKey: 2000, startOffset: 0, changeId })
  return changedArea.reduce((sum, area) => sum + Math.ceil(area.length / GRAIN_BYTES), 0)
}
