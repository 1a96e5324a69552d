// restoreDisk(): holes stay holes, nothing unverified is written, a failure leaves nothing committed.

import { describe, expect, it, vi } from 'vitest'
import { openS3Image } from '../../lib/adapters/aws/s3-image-target.ts'
import { memoryTarget } from '../../lib/adapters/memory/disk.ts'
import { MiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom, systemRandom } from '../../lib/base/random.ts'
import { restoreDisk } from '../../lib/restore/restore-disk.ts'
import { startS3Server } from '../kit/s3-server.ts'
import { clientOn } from '../kit/s3-stores.ts'
import { backup, cancel, moverWorld } from '../mover/world.ts'

const CAPACITY = 40 * MiB + 321

async function pointOfSparseDisk() {
  const world = await moverWorld()
  world.vm.addDisk(2000, CAPACITY)
  world.vm.write(2000, 1 * MiB, seededRandom(1).bytes(MiB))
  world.vm.write(2000, 33 * MiB, seededRandom(2).bytes(2 * MiB))
  world.vm.write(2000, CAPACITY - 10, seededRandom(3).bytes(10))
  return { world, ...(await backup(world)) }
}

describe('restoreDisk()', () => {
  it('writes only what is not zero, and counts up to the whole disk', async () => {
    const { world, point, images } = await pointOfSparseDisk()
    const target = memoryTarget(CAPACITY)
    const written: number[] = []
    const watched = {
      ...target,
      write: (...args: Parameters<typeof target.write>) => {
        written.push(args[0].bytes.byteLength)
        return target.write(...args)
      },
    }
    const progress: number[] = []
    const request = {
      repository: world.repository,
      point,
      diskKey: 2000,
      target: watched,
      onProgress: (bytes: number) => void progress.push(bytes),
    }
    const result = await restoreDisk(request, cancel)
    expect(Buffer.compare(target.bytes(), images.get(2000) ?? Buffer.alloc(0))).toBe(0)
    expect(target.committed()).toBe(true)
    expect(result).toEqual({ capacityBytes: CAPACITY, writtenBytes: written.reduce((sum, bytes) => sum + bytes, 0) })
    expect(result.writtenBytes).toBeLessThan(4 * MiB)
    expect(progress).toEqual(progress.toSorted((a, b) => a - b))
    expect(progress.at(-1)).toBe(CAPACITY)
  })

  it('writes an image into a bucket, whose parts go up before the end, holes among them', async () => {
    const { world, point, images } = await pointOfSparseDisk()
    await using server = await startS3Server()
    const bucket = server.addBucket('backups')
    const options = { client: clientOn(server), key: 'disk.raw', overwrite: false, kmsKey: null, random: systemRandom }
    await using target = await openS3Image({ ...options, capacityBytes: CAPACITY }, cancel)

    const watched = {
      capacityBytes: CAPACITY,
      write: (...args: Parameters<typeof target.write>) => target.write(...args),
      passed: async (...args: Parameters<NonNullable<typeof target.passed>>) => target.passed?.(...args),
      commit: async (...args: Parameters<typeof target.commit>) => {
        // Parts are whole by now, and on their way; how many depends on whose ranges came last.
        await vi.waitUntil(() => ([...bucket.uploads.values()][0]?.parts.size ?? 0) >= 1, { timeout: 20_000 })
        await target.commit(...args)
      },
      [Symbol.asyncDispose]: async () => undefined,
    }
    const request = { repository: world.repository, point, diskKey: 2000, target: watched, onProgress: () => undefined }
    await restoreDisk(request, cancel)
    const image = images.get(2000) ?? Buffer.alloc(0)
    expect(Buffer.compare(bucket.objects.get('disk.raw')?.[0]?.bytes ?? Buffer.alloc(0), image)).toBe(0)
    expect(server.calls.filter(({ operation }) => operation === 'UploadPart')).toHaveLength(3)
  })

  it('refuses damaged bytes and commits nothing', async () => {
    const { world, point } = await pointOfSparseDisk()
    const store = {
      ...world.store,
      getRange: async (...args: Parameters<typeof world.store.getRange>) => {
        await world.store.getRange(...args)
        const { key, target } = args[0]
        if (key.startsWith('p/')) target[20] = (target[20] ?? 0) ^ 4
      },
    }
    const target = memoryTarget(CAPACITY)
    const request = {
      repository: { ...world.repository, store },
      point,
      diskKey: 2000,
      target,
      onProgress: () => undefined,
    }
    await expect(restoreDisk(request, cancel)).rejects.toMatchObject({ code: 'integrity', kind: 'integrity' })
    expect(target.committed()).toBe(false)
  })

  it('commits nothing when the target fails or the caller stops', async () => {
    const { world, point } = await pointOfSparseDisk()
    const target = memoryTarget(CAPACITY)
    const full = { ...target, write: () => Promise.reject(new BackupError('No space left', { code: 'disk-full' })) }
    const request = { repository: world.repository, point, diskKey: 2000, target, onProgress: () => undefined }
    await expect(restoreDisk({ ...request, target: full }, cancel)).rejects.toMatchObject({ code: 'disk-full' })
    const stop = new AbortController()
    const stopping = { ...request, onProgress: () => stop.abort(new BackupError('Stopped', { code: 'interrupted' })) }
    await expect(restoreDisk(stopping, { signal: stop.signal })).rejects.toMatchObject({ code: 'interrupted' })
    expect(target.committed()).toBe(false)
  })

  it('names the disks of the point when it has no such disk', async () => {
    const { world, point } = await pointOfSparseDisk()
    const request = {
      repository: world.repository,
      point,
      diskKey: 2009,
      target: memoryTarget(1),
      onProgress: () => undefined,
    }
    await expect(restoreDisk(request, cancel)).rejects.toMatchObject({
      code: 'disk-not-found',
      kind: 'not-found',
      hint: 'It has the disks 2000',
    })
  })

  it('restores a disk of no size', async () => {
    const world = await moverWorld()
    world.vm.addDisk(2000, 0)
    const { point } = await backup(world)
    const target = memoryTarget(0)
    await restoreDisk(
      { repository: world.repository, point, diskKey: 2000, target, onProgress: () => undefined },
      cancel,
    )
    expect(target.committed()).toBe(true)
  })
})
