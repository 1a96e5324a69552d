// The mover end to end in memory: what is restored is what was frozen, and only what is new is stored.

import { describe, expect, it } from 'vitest'
import { MiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { type Random, seededRandom, wholeNumber } from '../../lib/base/random.ts'
import { moveJob } from '../../lib/mover/move.ts'
import type { Vsphere } from '../../lib/ports/vsphere.ts'
import { backup, cancel, commit, depsOf, differingDisks, moverWorld, prepare, restored, type World } from './world.ts'

const CHUNK = 65_536

function scribble(world: World, key: number, options: { readonly random: Random; readonly writes: number }): void {
  const { random, writes } = options
  const capacity = world.vm.bytesOf(key).byteLength
  for (let i = 0; i < writes; i++) {
    const offset = wholeNumber(random, { low: 0, high: capacity - 1 })
    const length = Math.min(wholeNumber(random, { low: 1, high: 3 * CHUNK }), capacity - offset)
    const kind = wholeNumber(random, { low: 0, high: 3 })
    const bytes =
      kind === 0 ? new Uint8Array(length) : kind === 1 ? new Uint8Array(length).fill(i) : random.bytes(length)
    world.vm.write(key, offset, bytes)
  }
}

describe('moveJob()', () => {
  it('backs up and restores a disk byte for byte, zero chunks as holes, the last chunk short', async () => {
    const world = await moverWorld()
    world.vm.addDisk(2000, 20 * MiB + 12_345)
    scribble(world, 2000, { random: seededRandom(1), writes: 20 })
    const moved = await backup(world)
    expect(await differingDisks(world, moved)).toEqual([])
    const [disk] = moved.point.body.disks
    expect(disk).toMatchObject({ readMode: 'full', readModeReason: null, transport: 'datastore', chunkLog2: 16 })
    expect(disk?.newPlainBytes).toBeLessThan(20 * MiB)
    expect(moved.result).toMatchObject({ kind: 'sealed', sequence: 1, notices: [] })
  })

  it('stores in an incremental what changed and nothing else', async () => {
    const world = await moverWorld()
    world.vm.addDisk(2000, 17 * MiB)
    world.vm.write(2000, 0, seededRandom(2).bytes(17 * MiB))
    await backup(world)
    world.vm.write(2000, 5 * CHUNK + 100, seededRandom(3).bytes(10))
    // Reported as changed, but the bytes are the same.
    world.vm.write(2000, 200 * CHUNK, world.vm.bytesOf(2000).slice(200 * CHUNK, 201 * CHUNK))
    const second = await backup(world)
    expect(await differingDisks(world, second)).toEqual([])
    expect(second.point.body.disks[0]).toMatchObject({ readMode: 'incremental', newChunks: 1, readBytes: 2 * CHUNK })
    expect(second.point.envelope).toMatchObject({ sequence: 2, parentSequence: 1 })
  })

  it('stores equal chunks of one session once', async () => {
    const world = await moverWorld()
    world.vm.addDisk(2000, 16 * CHUNK)
    world.vm.addDisk(2001, 16 * CHUNK)
    const pattern = seededRandom(4).bytes(CHUNK)
    for (let i = 0; i < 16; i++) for (const key of [2000, 2001]) world.vm.write(key, i * CHUNK, pattern)
    const moved = await backup(world)
    expect(await differingDisks(world, moved)).toEqual([])
    expect(moved.point.body.disks.map((disk) => disk.newChunks)).toEqual([1, 0])
  })

  it('keeps every point of a history restorable, whatever was written, grown, added and removed', async () => {
    for (let seed = 1; seed <= 4; seed++) {
      const random = seededRandom(seed * 77)
      const world = await moverWorld()
      world.vm.addDisk(2000, 9 * MiB + wholeNumber(random, { low: 0, high: CHUNK }))
      world.vm.addDisk(2001, 3 * MiB)
      const points: Awaited<ReturnType<typeof backup>>[] = []
      for (let round = 0; round < 5; round++) {
        for (const key of world.vm.keys())
          scribble(world, key, { random, writes: wholeNumber(random, { low: 0, high: 12 }) })
        if (round === 1) world.vm.addDisk(2002, 2 * MiB + 5)
        if (round === 2) world.vm.resize(2000, 18 * MiB + wholeNumber(random, { low: 0, high: CHUNK }))
        if (round === 3) world.vm.removeDisk(2001)
        if (round === 3) world.vm.resetTracking(2000)
        if (round === 4) world.vm.resize(2000, 7 * MiB + 3)
        points.push(await backup(world))
      }
      for (const [round, point] of points.entries()) {
        expect(await differingDisks(world, point), `seed ${seed}, point ${round + 1}`).toEqual([])
      }
      const last = points.at(-1)
      expect(last?.point.body.disks.find((disk) => disk.key === 2000)).toMatchObject({ readMode: 'differential' })
    }
  })

  it('follows more changed areas than one reply holds', async () => {
    const world = await moverWorld({ blockBytes: 4_096 })
    world.vm.addDisk(2000, 20 * MiB)
    await backup(world)
    for (let block = 0; block < 5_000; block += 2)
      world.vm.write(2000, block * 4_096 + 7, Uint8Array.of(block & 255, block >> 8, 1))
    world.vm.behaviour.queries = 0
    const moved = await backup(world)
    expect(world.vm.behaviour.queries).toBe(2)
    expect(await differingDisks(world, moved)).toEqual([])
    expect(moved.point.body.disks[0]).toMatchObject({ readMode: 'incremental', newChunks: 313 })
  })

  it('reads whole and stores nothing new after a broken change id, and says so', async () => {
    const world = await moverWorld()
    world.vm.addDisk(2000, 9 * MiB)
    world.vm.write(2000, 0, seededRandom(5).bytes(9 * MiB))
    await backup(world)
    world.vm.resetTracking(2000)
    const moved = await backup(world)
    expect(await differingDisks(world, moved)).toEqual([])
    expect(moved.point.body.disks[0]).toMatchObject({ readMode: 'differential', newChunks: 0, readBytes: 9 * MiB })
    expect(moved.result).toMatchObject({ notices: [{ code: 'cbt-reset' }] })
    const third = await backup(world)
    expect(third.point.body.disks[0]).toMatchObject({ readMode: 'incremental', readBytes: 0 })
  })

  it('reads whole when changed areas cannot be had, and says so', async () => {
    const world = await moverWorld()
    world.vm.addDisk(2000, 1 * MiB)
    world.vm.write(2000, 0, seededRandom(5).bytes(1 * MiB))
    await backup(world)
    world.vm.behaviour.failQuery = () =>
      new BackupError('Cannot query: FileFault', { code: 'cbt-unavailable', retry: 'as-full' })
    const moved = await backup(world)
    expect(moved.point.body.disks[0]).toMatchObject({ readMode: 'differential', newChunks: 0 })
    expect(moved.result).toMatchObject({ notices: [{ code: 'cbt-unavailable' }] })
  })

  it('compares whole disks with the point of a replica in another vCenter, whose change ids look like its own', async () => {
    const world = await moverWorld()
    world.vm.addDisk(2000, 1 * MiB)
    world.vm.write(2000, 0, seededRandom(5).bytes(1 * MiB))
    await backup(world)
    world.vm.write(2000, 3 * CHUNK, seededRandom(6).bytes(CHUNK))
    // The replica's own tracking knows nothing of how its disk came to differ.
    const vsphere: Vsphere = {
      open: async (within) => {
        const session = await world.vm.vsphere.open(within)
        return {
          ...session,
          about: { ...session.about, instanceUuid: 'vcenter-2' },
          changedAreas: async ({ startOffset }) => ({ startOffset, length: 1 * MiB - startOffset, areas: [] }),
          [Symbol.asyncDispose]: async () => undefined,
        }
      },
    }
    const moved = await backup(world, { vsphere })
    expect(await differingDisks(world, moved)).toEqual([])
    expect(moved.point.body.disks[0]).toMatchObject({ readMode: 'differential', newChunks: 1 })
  })

  it('stores everything anew when that was asked for, and the next backup continues it', async () => {
    const world = await moverWorld()
    world.vm.addDisk(2000, 1 * MiB)
    world.vm.write(2000, 0, seededRandom(5).bytes(1 * MiB))
    await backup(world)
    const { job, images } = await prepare(world, { full: true })
    const result = await moveJob({ jobId: job.id, attempt: 1, holder: 'test' }, depsOf(world), cancel)
    expect(result).toMatchObject({ kind: 'sealed', sequence: 2, notices: [] })
    const point = await commit(world, job)
    expect(point.envelope.parentSequence).toBeNull()
    expect(point.body.disks[0]).toMatchObject({
      readMode: 'full',
      readModeReason: 'A full backup was asked for',
      newChunks: 16,
    })
    expect(await differingDisks(world, { point, images })).toEqual([])
    expect((await backup(world)).point).toMatchObject({
      envelope: { parentSequence: 2 },
      body: { disks: [{ readMode: 'incremental', newChunks: 0 }] },
    })
  })

  it('starts a new map when the chunk size changes, and keeps the old point', async () => {
    const world = await moverWorld({ chunkLog2: 16 })
    world.vm.addDisk(2000, 3 * MiB + 1)
    scribble(world, 2000, { random: seededRandom(8), writes: 10 })
    const first = await backup(world)
    const wider = { ...world, settings: { ...world.settings, chunkLog2: 18 } }
    const second = await backup(wider)
    expect(second.point.body.disks[0]).toMatchObject({ readMode: 'full', chunkLog2: 18 })
    expect(await differingDisks(wider, second)).toEqual([])
    expect(await differingDisks(world, first)).toEqual([])
    expect(await restored(world.repository, second.point, 2000)).toHaveLength(3 * MiB + 1)
  })
})
