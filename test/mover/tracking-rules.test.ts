// Whatever makes changed block tracking unusable ends in a full read whose unchanged chunks cost nothing: the chain goes on,
// the point says why, and one notice is given.

import { describe, expect, it } from 'vitest'
import { MiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { PointDisk } from '../../lib/model/point.ts'
import { verifyPoint } from '../../lib/repository/verify.ts'
import { VM_ID } from './tracked-vm.ts'
import { backup, cancel, differingDisks, type Moved, moverWorld, type World } from './world.ts'

const CHUNK = 65_536

/** A VM with two disks full of data and one point. */
async function worldWithPoint(): Promise<World> {
  const world = await moverWorld()
  for (const key of [2000, 2001]) {
    world.vm.addDisk(key, 2 * MiB)
    world.vm.write(key, 0, seededRandom(key).bytes(2 * MiB))
  }
  await backup(world)
  return world
}

/** Backs up after one written chunk a disk, checks every byte, and that nothing else was stored. */
async function goesOn(world: World, keys: readonly number[] = [2000, 2001]): Promise<Moved> {
  for (const key of keys) world.vm.write(key, 3 * CHUNK + 5, seededRandom(Math.floor(Math.random() * 1e6)).bytes(100))
  const moved = await backup(world)
  expect(await differingDisks(world, moved)).toEqual([])
  const ref = { vmId: VM_ID, sequence: moved.point.envelope.sequence }
  expect(await verifyPoint({ repository: world.repository, ref, level: 'chunks' }, cancel)).toMatchObject({
    faults: [],
  })
  return moved
}

function modesOf(moved: Moved): readonly (readonly [PointDisk['readMode'], string | null, number])[] {
  return moved.point.body.disks.map(({ readMode, readModeCode, newChunks }) => [readMode, readModeCode, newChunks])
}

const fault = (name: string) =>
  new BackupError(`Cannot list changes: vCenter answers ${name}`, {
    code: 'cbt-unavailable',
    retry: 'as-full',
    facts: { fault: name },
  })

describe('a disk whose changes cannot be known', () => {
  it('is read whole after FileFault, and the other disk by its changes', async () => {
    const world = await worldWithPoint()
    world.vm.behaviour.failQuery = ({ deviceKey }) => (deviceKey === 2001 ? fault('FileFault') : null)
    const moved = await goesOn(world)
    expect(modesOf(moved)).toEqual([
      ['incremental', null, 1],
      ['differential', 'query-failed', 1],
    ])
    expect(moved.result).toMatchObject({ notices: [{ code: 'cbt-unavailable' }] })
  })

  it('is read whole when startOffset is refused in the middle of the query', async () => {
    const world = await moverWorld({ blockBytes: 4_096 })
    world.vm.addDisk(2000, 20 * MiB)
    await backup(world)
    for (let block = 0; block < 5_000; block += 2)
      world.vm.write(2000, block * 4_096, Uint8Array.of(1, block & 255, block >> 8))
    world.vm.behaviour.failQuery = ({ startOffset }) => (startOffset > 0 ? fault('InvalidArgument') : null)
    const moved = await goesOn(world, [2000])
    expect(modesOf(moved)).toEqual([['differential', 'query-failed', 313]])
  })

  it('is read whole after a power loss that lost the tracking, all disks in one notice', async () => {
    const world = await worldWithPoint()
    for (const key of [2000, 2001]) world.vm.resetTracking(key)
    const moved = await goesOn(world)
    expect(modesOf(moved)).toEqual([
      ['differential', 'change-id-other-chain', 1],
      ['differential', 'change-id-other-chain', 1],
    ])
    expect(moved.result).toMatchObject({ notices: [{ code: 'cbt-reset' }] })
    expect(modesOf(await goesOn(world))).toEqual([
      ['incremental', null, 1],
      ['incremental', null, 1],
    ])
  })

  it('is read whole when the VM was reverted and its change counter with it', async () => {
    const world = await worldWithPoint()
    const before = world.vm.bytesOf(2000).slice()
    await goesOn(world)
    await goesOn(world)
    world.vm.revert(2000, { bytes: before, counter: 1 })
    const moved = await goesOn(world)
    expect(modesOf(moved)[0]).toEqual(['differential', 'change-id-went-back', 1])
  })

  it('says a lasting state once, however many backups follow, and keeps it in each point', async () => {
    const world = await moverWorld({ tracking: false })
    for (const key of [2000, 2001]) {
      world.vm.addDisk(key, 1 * MiB)
      world.vm.write(key, 0, seededRandom(key).bytes(1 * MiB))
    }
    const notices: number[] = []
    for (let run = 0; run < 3; run++) {
      const moved = await goesOn(world)
      notices.push(moved.result.kind === 'sealed' ? moved.result.notices.length : -1)
      expect(moved.point.body.disks.map((disk) => disk.readModeCode)).toEqual(['tracking-off', 'tracking-off'])
    }
    expect(notices).toEqual([1, 0, 0])
  })
})

describe('a disk that is the same disk', () => {
  it('goes on by its changes after Storage vMotion', async () => {
    const world = await worldWithPoint()
    for (const key of [2000, 2001]) world.vm.relocate(key, 'other')
    const moved = await goesOn(world)
    expect(modesOf(moved).map(([mode]) => mode)).toEqual(['incremental', 'incremental'])
    expect(moved.point.body.disks[0]?.fileName).toBe('[other] vm/vm_2000.vmdk')
  })

  it('goes on by its changes at another place, and a new disk at its old place is read in full', async () => {
    const world = await worldWithPoint()
    world.vm.rehang(2000, 2005)
    world.vm.addDisk(2000, 1 * MiB)
    world.vm.write(2000, 0, seededRandom(9).bytes(1 * MiB))
    const moved = await goesOn(world, [2000, 2001, 2005])
    const byKey = new Map(moved.point.body.disks.map((disk) => [disk.key, disk]))
    expect(byKey.get(2005)).toMatchObject({ readMode: 'incremental', newChunks: 1 })
    expect(byKey.get(2001)).toMatchObject({ readMode: 'incremental', newChunks: 1 })
    expect(byKey.get(2000)).toMatchObject({ readMode: 'full', readModeCode: 'disk-added', newChunks: 16 })
    expect(moved.result).toMatchObject({ notices: [] })
    expect(modesOf(await goesOn(world, [2000, 2001, 2005])).map(([mode]) => mode)).toEqual(Array(3).fill('incremental'))
  })

  it('goes on by its changes where two disks changed places', async () => {
    const world = await worldWithPoint()
    world.vm.rehang(2000, 2005)
    world.vm.rehang(2001, 2000)
    world.vm.rehang(2005, 2001)
    const moved = await goesOn(world)
    expect(modesOf(moved)).toEqual([
      ['incremental', null, 1],
      ['incremental', null, 1],
    ])
  })

  it('is read in full alone when it was added to a chain', async () => {
    const world = await worldWithPoint()
    world.vm.addDisk(2002, 1 * MiB)
    const moved = await goesOn(world, [2000, 2001, 2002])
    expect(modesOf(moved)).toEqual([
      ['incremental', null, 1],
      ['incremental', null, 1],
      ['full', 'disk-added', 1],
    ])
  })

  it('keeps its changes and gains its tail when it grew', async () => {
    const world = await worldWithPoint()
    world.vm.resize(2000, 2 * MiB + 3 * CHUNK + 7)
    world.vm.bytesOf(2000).fill(7, 2 * MiB)
    const moved = await goesOn(world)
    expect(modesOf(moved)[0]).toEqual(['incremental', null, 3])
  })
})
