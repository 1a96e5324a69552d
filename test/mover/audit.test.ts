// The audit: tracking that leaves changes out is found in its turn, and the run that finds it seals nothing but the truth.

import { describe, expect, it } from 'vitest'
import { memoryTransport } from '../../lib/adapters/memory/transport.ts'
import { isAllZero, KiB, MiB } from '../../lib/base/bytes.ts'
import { seededRandom, systemRandom, wholeNumber } from '../../lib/base/random.ts'
import { cutExtents } from '../../lib/model/extent.ts'
import type { PointDisk } from '../../lib/model/point.ts'
import { inProcessWorkers } from '../../lib/mover/in-process.ts'
import { verifyPoint } from '../../lib/repository/verify.ts'
import { VM_ID } from './tracked-vm.ts'
import { backup, cancel, differingDisks, type Moved, moverWorld, type World } from './world.ts'

const CHUNK = 64 * KiB

async function worldWithPoint(auditPercent: number, capacityBytes = 4 * MiB + 100): Promise<World> {
  const world = await moverWorld({ auditPercent })
  world.vm.addDisk(2000, capacityBytes)
  world.vm.write(2000, 0, seededRandom(1).bytes(Math.floor(capacityBytes / 2)))
  world.vm.addDisk(2001, 1 * MiB)
  world.vm.write(2001, 0, seededRandom(2).bytes(1 * MiB))
  await backup(world)
  return world
}

function diskOf(moved: Moved, key: number): PointDisk {
  const disk = moved.point.body.disks.find((one) => one.key === key)
  if (disk === undefined) throw new Error(`the point has disk ${key}`)
  return disk
}

describe('the audit of an incremental', () => {
  it('reads its share beside what changed, and says so', async () => {
    const world = await worldWithPoint(10)
    world.vm.write(2000, 5 * CHUNK, Uint8Array.of(1))
    const moved = await backup(world)
    const disk = diskOf(moved, 2000)
    expect(disk).toMatchObject({ readMode: 'incremental', readModeReason: null, newChunks: 1 })
    expect(disk.audit).toMatchObject({ slots: 10, slot: 2, unitBytes: CHUNK, mismatches: 0 })
    expect(disk.audit?.chunks).toBeGreaterThanOrEqual(6)
    expect(disk.readBytes).toBe((disk.audit?.readBytes ?? 0) + CHUNK)
    expect(moved.result).toMatchObject({ notices: [] })
    expect(await differingDisks(world, moved)).toEqual([])
  })

  it('reads nothing at 0, and everything that is called unchanged at 100', async () => {
    const none = diskOf(await backup(await worldWithPoint(0)), 2000)
    expect(none).toMatchObject({ readBytes: 0, audit: null })
    const all = diskOf(await backup(await worldWithPoint(100)), 2000)
    expect(all).toMatchObject({ readMode: 'incremental', readBytes: 4 * MiB + 100, newChunks: 0 })
    expect(all.audit).toMatchObject({ slots: 1, chunks: 65, mismatches: 0 })
  })

  it('does not audit what is read whole anyway', async () => {
    const world = await worldWithPoint(100)
    world.vm.resetTracking(2000)
    const moved = await backup(world)
    expect(diskOf(moved, 2000)).toMatchObject({ readMode: 'differential', audit: null, readBytes: 4 * MiB + 100 })
    expect(diskOf(moved, 2001).audit).toMatchObject({ slots: 1 })
  })

  it.each([
    ['in data', 3 * CHUNK + 9, Uint8Array.of(1, 2, 3)],
    ['in what the parent knows to be zero', 3 * MiB, Uint8Array.of(1)],
    ['that became zero', 2 * CHUNK, new Uint8Array(CHUNK)],
    ['in the last bytes of the disk', 4 * MiB + 99, Uint8Array.of(9)],
  ])(
    'finds a change that was left out %s, and reads that disk whole in the same run',
    async (_, offsetBytes, bytes) => {
      const world = await worldWithPoint(100)
      world.vm.writeUnseen(2000, offsetBytes, bytes)
      const moved = await backup(world)
      expect(await differingDisks(world, moved)).toEqual([])
      const disk = diskOf(moved, 2000)
      expect(disk).toMatchObject({ readMode: 'differential', readModeCode: 'audit-mismatch' })
      expect(disk.audit).toMatchObject({ mismatches: 1 })
      expect(disk.readModeReason).toContain(`the first at byte ${Math.floor(offsetBytes / CHUNK) * CHUNK}`)
      expect(diskOf(moved, 2001)).toMatchObject({ readMode: 'incremental' })
      expect(moved.result).toMatchObject({ kind: 'sealed', notices: [{ code: 'cbt-mismatch' }] })
      const ref = { vmId: VM_ID, sequence: moved.point.envelope.sequence }
      expect((await verifyPoint({ repository: world.repository, ref, level: 'chunks' }, cancel)).faults).toEqual([])
    },
  )

  it('does not read what the source knows to be zero, and compares it all the same', async () => {
    const world = await worldWithPoint(100)
    let readBytes = 0
    const transports = [
      memoryTransport({
        name: 'datastore',
        disk: world.vm.frozenBytes,
        allocation: (bytes, range) =>
          cutExtents([range], CHUNK).map((piece) => {
            const inside = bytes.subarray(piece.offsetBytes, piece.offsetBytes + piece.lengthBytes)
            return { ...piece, kind: isAllZero(inside) ? ('zero' as const) : ('data' as const) }
          }),
        beforeRead: ({ lengthBytes }) => {
          readBytes += lengthBytes
        },
      }),
    ]
    const openWorker = inProcessWorkers({ transports, store: world.store, random: systemRandom })
    const same = diskOf(await backup(world, { transports, openWorker }), 2000)
    expect(same.audit).toMatchObject({ chunks: 65, mismatches: 0 })
    expect(readBytes).toBeLessThan(4 * MiB)
    world.vm.writeUnseen(2000, 0, new Uint8Array(CHUNK))
    const moved = await backup(world, { transports, openWorker })
    expect(diskOf(moved, 2000).audit).toMatchObject({ mismatches: 1 })
    expect(await differingDisks(world, moved)).toEqual([])
  })

  it('asks no tracking that it caught until that begins anew', async () => {
    const world = await worldWithPoint(100)
    world.vm.writeUnseen(2000, 0, Uint8Array.of(1))
    await backup(world)
    world.vm.writeUnseen(2000, 0, Uint8Array.of(2))
    const next = await backup(world)
    expect(diskOf(next, 2000)).toMatchObject({ readMode: 'differential', readModeCode: 'tracking-distrusted' })
    expect(next.result).toMatchObject({ notices: [] })
    expect(await differingDisks(world, next)).toEqual([])
    world.vm.resetTracking(2000)
    expect(diskOf(await backup(world), 2000)).toMatchObject({ readModeCode: 'change-id-other-chain' })
    expect(diskOf(await backup(world), 2000)).toMatchObject({ readMode: 'incremental' })
  })

  it('finds whatever is left out within one cycle, and every point from there on is right', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = seededRandom(seed)
      const percent = wholeNumber(random, { low: 5, high: 60 })
      const world = await worldWithPoint(percent, wholeNumber(random, { low: 1, high: 3 * MiB }))
      const capacity = world.vm.bytesOf(2000).byteLength
      const at = wholeNumber(random, { low: 0, high: capacity - 1 })
      world.vm.writeUnseen(2000, at, Uint8Array.of((world.vm.bytesOf(2000)[at] ?? 0) ^ 0xff))
      let found: Moved | null = null
      for (let run = 0; run < Math.ceil(100 / percent) && found === null; run++) {
        const moved = await backup(world)
        if (diskOf(moved, 2000).readModeCode === 'audit-mismatch') found = moved
      }
      expect(found, `seed ${seed}, ${percent} %`).not.toBeNull()
      if (found !== null) expect(await differingDisks(world, found), `seed ${seed}`).toEqual([])
    }
  })
})
