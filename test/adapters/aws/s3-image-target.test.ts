// Disks written as images into a bucket: the contract of a target, parts, zeros, faults and ends that are lost.

import { describe, expect, it } from 'vitest'
import {
  IMAGE_BYTES_MAX,
  IMAGE_PARTS_MAX,
  openS3Image,
  partBytesOf,
} from '../../../lib/adapters/aws/s3-image-target.ts'
import { hasCode } from '../../../lib/base/errors.ts'
import { seededRandom, systemRandom, wholeNumber } from '../../../lib/base/random.ts'
import { describeDiskTarget } from '../../contract/disk-target.ts'
import { type S3Server, startS3Server } from '../../kit/s3-server.ts'
import { slowDown } from '../../kit/s3-server-calls.ts'
import { clientOn } from '../../kit/s3-stores.ts'

const cancel = { signal: new AbortController().signal }
const key = 'images/disk.raw'

type Choices = { readonly partBytes?: number; readonly overwrite?: boolean; readonly attemptsMax?: number }

function openOn(server: S3Server, capacityBytes: number, { partBytes, overwrite, attemptsMax }: Choices = {}) {
  const client = clientOn(server, attemptsMax === undefined ? {} : { attemptsMax })
  const part = partBytes === undefined ? {} : { partBytes }
  const options = { client, key, capacityBytes, overwrite: overwrite ?? false, kmsKey: null, random: systemRandom }
  return openS3Image({ ...options, ...part }, cancel)
}

async function world() {
  const server = await startS3Server({ partBytesMin: 1 })
  const bucket = server.addBucket('backups')
  return {
    server,
    bucket,
    finished: () => bucket.objects.get(key)?.[0]?.bytes ?? null,
    count: (operation: string) => server.calls.filter((call) => call.operation === operation).length,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

for (const partBytes of [7_000, undefined]) {
  describeDiskTarget(`an image in a bucket, parts of ${partBytes ?? 'the usual'} bytes`, async (capacityBytes) => {
    const server = await startS3Server({ partBytesMin: 1 })
    const bucket = server.addBucket('backups')
    const target = await openOn(server, capacityBytes, partBytes === undefined ? {} : { partBytes })
    const close = async () => {
      await target[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    }
    return {
      target: {
        capacityBytes: target.capacityBytes,
        write: (range, within) => target.write(range, within),
        commit: (within) => target.commit(within),
        [Symbol.asyncDispose]: close,
      },
      finished: async () => {
        const bytes = bucket.objects.get(key)?.[0]?.bytes
        return bytes === undefined ? null : new Uint8Array(bytes)
      },
    }
  })
}

describe('an image in a bucket', () => {
  it('has parts that fit every disk it takes', () => {
    expect(partBytesOf(1)).toBe(16 * 1024 ** 2)
    for (const capacityBytes of [1, 10 ** 9, 3 * 1024 ** 4, IMAGE_BYTES_MAX]) {
      expect(Math.ceil(capacityBytes / partBytesOf(capacityBytes))).toBeLessThanOrEqual(IMAGE_PARTS_MAX)
    }
  })

  it('sends each part when nothing more of it comes, in whatever order ranges come near each other', async () => {
    await using at = await world()
    const random = seededRandom(3)
    const disk = new Uint8Array(400_000)
    await using target = await openOn(at.server, disk.byteLength, { partBytes: 10_000 })

    const ranges = Array.from({ length: 50 }, (_, index) => ({ offsetBytes: index * 8_000, lengthBytes: 8_000 }))
    for (let first = 0; first < ranges.length; first += 8) {
      const near = ranges.slice(first, first + 8).toSorted(() => random.fraction() - 0.5)
      await Promise.all(
        near.map(async (range) => {
          const from = wholeNumber(random, { low: 0, high: 4_000 })
          const bytes = range.offsetBytes % 24_000 === 0 ? new Uint8Array() : random.bytes(1 + from)
          disk.set(bytes, range.offsetBytes + from)
          await target.write({ offsetBytes: range.offsetBytes + from, bytes }, cancel)
          await target.passed?.(range, cancel)
        }),
      )
      // What lies behind is sent or on its way: at most a window and what waits for a slot is held.
      expect(at.count('UploadPart')).toBeGreaterThanOrEqual(Math.floor((first * 8_000) / 10_000) - 12)
    }
    await target.commit(cancel)
    expect(Buffer.compare(at.finished() ?? Buffer.alloc(0), disk)).toBe(0)
    expect(at.count('UploadPart')).toBe(40)
    expect(at.bucket.objects.get(key)?.[0]?.checksum?.type).toBe('COMPOSITE')
  })

  it('comes whole through failures, lost answers and a cut in parts and at the end', async () => {
    await using at = await world()
    const disk = seededRandom(4).bytes(100_000)
    at.server.faults = ({ number, operation }) => {
      if (operation === 'CreateMultipartUpload') return null
      return number % 3 === 0 ? { kind: 'cut-answer' } : number % 3 === 1 ? slowDown : null
    }
    await using target = await openOn(at.server, disk.byteLength, { partBytes: 9_000, attemptsMax: 20 })

    await target.write({ offsetBytes: 0, bytes: disk }, cancel)
    await target.commit(cancel)
    expect(Buffer.compare(at.finished() ?? Buffer.alloc(0), disk)).toBe(0)
  })

  it('knows its own object when the answer to its end is lost, and never takes that of another', async () => {
    await using at = await world()
    let lost = false
    at.server.faults = ({ operation }) => {
      if (operation !== 'CompleteMultipartUpload' || lost) return null
      lost = true
      return { kind: 'cut-answer' }
    }
    await using target = await openOn(at.server, 1_000)
    await using late = await openOn(at.server, 1_000)

    await target.write({ offsetBytes: 0, bytes: Buffer.from('mine') }, cancel)
    await target.commit(cancel)
    await late.write({ offsetBytes: 0, bytes: Buffer.from('late') }, cancel)
    await expect(late.commit(cancel)).rejects.toSatisfy((error) => hasCode(error, 'target-exists'))
    expect(at.finished()?.subarray(0, 4).toString()).toBe('mine')
    await expect(openOn(at.server, 1_000)).rejects.toSatisfy((error) => hasCode(error, 'target-exists'))
    await using again = await openOn(at.server, 1_000, { overwrite: true })

    await again.write({ offsetBytes: 0, bytes: Buffer.from('over') }, cancel)
    await again.commit(cancel)
    expect(at.finished()?.subarray(0, 4).toString()).toBe('over')
  })

  it('takes an error behind a 200 for an error', async () => {
    await using at = await world()
    const target = await openOn(at.server, 1_000, { attemptsMax: 2 })
    const [uploadId] = at.bucket.uploads.keys()
    at.server.faults = ({ operation }) =>
      operation === 'CompleteMultipartUpload' ? { kind: 'error', status: 200, code: 'InternalError' } : null
    await expect(target.commit(cancel)).rejects.toThrow('InternalError')
    expect(at.finished()).toBeNull()
    expect(at.bucket.uploads.has(uploadId ?? '')).toBe(true)
    await target[Symbol.asyncDispose]()
    expect(at.bucket.uploads.size).toBe(0)
  })

  it('tells the first failure of a part to whoever writes next, and leaves nothing', async () => {
    await using at = await world()
    const target = await openOn(at.server, 100_000, { partBytes: 10_000, attemptsMax: 2 })
    at.server.faults = ({ operation }) =>
      operation === 'UploadPart' ? { kind: 'error', status: 403, code: 'AccessDenied' } : null
    const write = async () => {
      for (let offsetBytes = 0; offsetBytes < 100_000; offsetBytes += 10_000) {
        await target.write({ offsetBytes, bytes: new Uint8Array(10_000) }, cancel)
      }
      await target.commit(cancel)
    }
    await expect(write()).rejects.toSatisfy((error) => hasCode(error, 'object-refused'))
    await target[Symbol.asyncDispose]()
    expect(at.finished()).toBeNull()
    expect(at.bucket.uploads.size).toBe(0)
  })

  it('refuses what it cannot hold: disks that are too large, and writes all over a disk', async () => {
    await using at = await world()
    await expect(openOn(at.server, IMAGE_BYTES_MAX + 1)).rejects.toSatisfy((error) =>
      hasCode(error, 'target-too-large'),
    )
    await using target = await openOn(at.server, 1_000_000, { partBytes: 10_000 })

    const scatter = async () => {
      for (let index = 0; index < 100; index++) {
        await target.write({ offsetBytes: index * 10_000, bytes: Buffer.from('x') }, cancel)
      }
    }
    await expect(scatter()).rejects.toSatisfy((error) => hasCode(error, 'target-write-failed'))
  })
})
