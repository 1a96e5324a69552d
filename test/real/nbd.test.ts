// Our NBD client against real servers: nbdkit and qemu-nbd, judged by nbdcopy and nbdinfo.

import { createHash } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type NbdSourceOptions, openNbdSource } from '../../lib/adapters/disk/nbd-source.ts'
import { isAllZero, KiB, MiB } from '../../lib/base/bytes.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { DiskSource } from '../../lib/ports/disk.ts'
import { parseNbdUri } from '../../lib/wire/nbd-uri.ts'
import {
  imageFile,
  type NbdServer,
  nbdcopyInto,
  nbdcopySha256,
  nbdinfoMap,
  startNbdkit,
  startQemuNbd,
  startWritableNbdkit,
  testFolder,
} from '../adapters/disk/nbdkit.ts'
import { describeDiskSource } from '../contract/disk-source.ts'
import { peerSkip } from '../kit/peers.ts'

const signal = new AbortController().signal
const cancel = { signal }

function openAt(server: NbdServer, options: Partial<NbdSourceOptions> = {}): Promise<DiskSource> {
  const base = { address: server.address, exportName: '', clock: systemClock, random: seededRandom(1) }
  return openNbdSource({ ...base, ...options }, cancel)
}

/** Reads the whole disk with `depth` reads in flight. */
async function sha256Of(source: DiskSource, options: { readonly readBytes: number; readonly depth: number }) {
  const disk = Buffer.alloc(source.capacityBytes, 0xcc)
  let next = 0
  await Promise.all(
    Array.from({ length: options.depth }, async () => {
      for (let at = next; at < disk.length; at = next) {
        next = at + options.readBytes
        await source.read({ offsetBytes: at, target: disk.subarray(at, Math.min(next, disk.length)) }, cancel)
      }
    }),
  )
  return createHash('sha256').update(disk).digest('hex')
}

/** 48 MiB, sparse: 1 MiB of data at 0, at 5 MiB, and the last 4097 bytes; and written zeros at 20 MiB. */
async function sparseFile(): Promise<string> {
  const path = join(await testFolder(), 'sparse.raw')
  const random = seededRandom(11)
  await using file = await open(path, 'wx')
  await file.truncate(48 * MiB)
  await file.write(random.bytes(MiB), 0, MiB, 0)
  await file.write(random.bytes(MiB), 0, MiB, 5 * MiB)
  await file.write(new Uint8Array(MiB), 0, MiB, 20 * MiB)
  await file.write(random.bytes(4097), 0, 4097, 48 * MiB - 4097)
  return path
}

describe.skipIf(peerSkip('nbdkit', 'nbdcopy', 'nbdinfo'))('the NBD client against nbdkit', () => {
  describeDiskSource('nbdkit with a file, over a unix socket', async (image) =>
    openAt(await startNbdkit({ args: ['file', await imageFile(image)] })),
  )
  describeDiskSource('nbdkit with a file, over TCP', async (image) =>
    openAt(await startNbdkit({ on: 'tcp', args: ['file', await imageFile(image)] })),
  )
  describeDiskSource('nbdkit with memory', async (image) => {
    const server = await startWritableNbdkit(['memory', String(image.byteLength)])
    nbdcopyInto(await imageFile(image), server.uri)
    return openAt(server)
  })
  describeDiskSource('nbdkit without structured replies', async (image) =>
    openAt(await startNbdkit({ args: ['--no-sr', 'file', await imageFile(image)] })),
  )
  describeDiskSource('nbdkit without extents', async (image) =>
    openAt(await startNbdkit({ args: ['--filter=noextents', 'file', await imageFile(image)] })),
  )
  describeDiskSource('nbdkit that insists on whole blocks', async (image) => {
    const sizes = ['blocksize-minimum=4096', 'blocksize-preferred=65536', 'blocksize-maximum=131072']
    const policy = ['--filter=blocksize-policy', 'file', await imageFile(image), ...sizes]
    return openAt(await startNbdkit({ args: [...policy, 'blocksize-error-policy=error'] }))
  })
  describeDiskSource('nbdkit with several connections', async (image) =>
    openAt(await startNbdkit({ args: ['file', await imageFile(image)] }), { connectionsMax: 4 }),
  )
  describeDiskSource('nbdkit that answers late and out of order', async (image) => {
    const delay = ['delay-read=1ms', 'delay-extents=1ms']
    return openAt(await startNbdkit({ args: ['--filter=delay', 'file', await imageFile(image), ...delay] }))
  })

  it('reads a sparse disk as nbdcopy does, at any size and depth', async () => {
    const server = await startNbdkit({ args: ['file', await sparseFile()] })
    const expected = await nbdcopySha256(server.uri)
    for (const [readBytes, depth] of [
      [64 * KiB, 16],
      [MiB, 16],
      [2 * MiB + 1, 3],
      [32 * MiB, 2],
    ] as const) {
      await using source = await openAt(server)
      expect(await sha256Of(source, { readBytes, depth })).toBe(expected)
    }
    const { address, exportName } = parseNbdUri(server.uri)
    await using source = await openAt(server, { address, exportName, connectionsMax: 2 })
    expect(await sha256Of(source, { readBytes: 256 * KiB, depth: 16 })).toBe(expected)
  })

  it('sees the holes that nbdinfo sees', async () => {
    const server = await startNbdkit({ args: ['file', await sparseFile()] })
    await using source = await openAt(server)
    const range = { offsetBytes: 0, lengthBytes: source.capacityBytes }
    const runs = await source.allocation(range, cancel)
    const zeroBytes = runs.filter(({ kind }) => kind === 'zero').reduce((sum, run) => sum + run.lengthBytes, 0)
    const map = nbdinfoMap(server.uri)
    const expected = map.filter(({ type }) => (type & 2) !== 0).reduce((sum, run) => sum + run.length, 0)
    expect(zeroBytes).toBe(expected)
    expect(zeroBytes).toBeGreaterThan(40 * MiB)
    for (const run of runs.filter(({ kind }) => kind === 'zero')) {
      const target = new Uint8Array(Math.min(run.lengthBytes, 4 * MiB)).fill(1)
      await source.read({ offsetBytes: run.offsetBytes, target }, cancel)
      expect(isAllZero(target)).toBe(true)
    }
  })

  it('describes a disk of many TiB in a few calls', async () => {
    const server = await startNbdkit({ args: ['null', '9T'] })
    await using source = await openAt(server)
    expect(source.capacityBytes).toBe(9 * 1024 ** 4)
    const range = { offsetBytes: 0, lengthBytes: source.capacityBytes }
    expect(await source.allocation(range, cancel)).toEqual([{ ...range, kind: 'zero' }])
    const target = new Uint8Array(100).fill(1)
    await source.read({ offsetBytes: source.capacityBytes - 100, target }, cancel)
    expect(isAllZero(target)).toBe(true)
  })

  it('names the error of a read that the server refuses, and reads on when it passes', async () => {
    const image = seededRandom(5).bytes(256 * KiB)
    const trigger = join(await testFolder(), 'fail')
    const error = ['error-pread=ENOSPC', 'error-pread-rate=100%', `error-pread-file=${trigger}`]
    const server = await startNbdkit({ args: ['--filter=error', 'file', await imageFile(image), ...error] })
    await using source = await openAt(server)
    const target = new Uint8Array(4096)
    const failing = await open(trigger, 'w')
    await failing.close()
    const reads = Array.from({ length: 20 }, () => source.read({ offsetBytes: 4096, target }, cancel))
    for (const result of await Promise.allSettled(reads)) {
      expect(result).toMatchObject({ reason: { code: 'disk-read-failed', facts: { errno: 'ENOSPC' } } })
    }
    await rm(trigger)
    await source.read({ offsetBytes: 4096, target }, cancel)
    expect(target).toEqual(image.subarray(4096, 8192))
  })

  it('keeps good reads apart from refused ones, in any mixture', async () => {
    const image = seededRandom(6).bytes(MiB)
    const error = ['error-pread=EIO', 'error-pread-rate=30%']
    const server = await startNbdkit({ args: ['--filter=error', 'file', await imageFile(image), ...error] })
    await using source = await openAt(server)
    const blocks = Array.from({ length: 200 }, (_, index) => ({
      offsetBytes: (index * 5119) % (MiB - 8192),
      target: new Uint8Array(8192),
    }))
    const results = await Promise.allSettled(blocks.map((block) => source.read(block, cancel)))
    for (const [index, { offsetBytes, target }] of blocks.entries()) {
      const result = results[index]
      if (result?.status === 'fulfilled') expect(target).toEqual(image.subarray(offsetBytes, offsetBytes + 8192))
      else expect(result?.reason).toMatchObject({ code: 'disk-read-failed', facts: { errno: 'EIO' } })
    }
    expect(results.some(({ status }) => status === 'rejected')).toBe(true)
    expect(results.some(({ status }) => status === 'fulfilled')).toBe(true)
  })

  it('calls unknown allocation data', async () => {
    const error = ['error-extents=EIO', 'error-extents-rate=100%']
    const server = await startNbdkit({ args: ['--filter=error', 'file', await sparseFile(), ...error] })
    await using source = await openAt(server)
    const range = { offsetBytes: 0, lengthBytes: source.capacityBytes }
    expect(await source.allocation(range, cancel)).toEqual([{ ...range, kind: 'data' }])
  })

  it('gives up a server that hangs, after a bounded number of tries', async () => {
    const server = await startNbdkit({ args: ['--filter=delay', 'memory', '1M', 'delay-read=2'] })
    await using source = await openAt(server, { requestLimitMs: 200, replaysMax: 1 })
    const read = source.read({ offsetBytes: 0, target: new Uint8Array(512) }, cancel)
    await expect(read).rejects.toMatchObject({ code: 'disk-read-failed', retry: 'later' })
  })

  it('names an export that is not there', async () => {
    const names = ['exportname=disk1', 'exportname-strict=true']
    const server = await startNbdkit({ args: ['--filter=exportname', 'memory', '1M', ...names] })
    await expect(openAt(server, { exportName: 'disk2' })).rejects.toMatchObject({ code: 'nbd-export-unknown' })
    await using source = await openAt(server, { exportName: 'disk1' })
    expect(source.capacityBytes).toBe(MiB)
  })

  it('says that nobody answers', async () => {
    const unix = join(await testFolder(), 'none.sock')
    const opening = openNbdSource(
      { address: { unix }, exportName: '', clock: systemClock, random: seededRandom(1) },
      cancel,
    )
    await expect(opening).rejects.toMatchObject({ code: 'nbd-connect-failed', retry: 'later' })
  })

  // nbdkit 1.32 aborts when a client disappears while answers are on their way; startNbdkit() fails the test then.
  it('leaves a server alive when 32 reads are cancelled and the source is disposed at once', async () => {
    const server = await startNbdkit({ args: ['file', await imageFile(seededRandom(8).bytes(8 * MiB))] })
    for (let round = 0; round < 10; round++) {
      const stop = new AbortController()
      const source = await openAt(server, { readsMax: 32 })
      const targets = Array.from({ length: 32 }, () => new Uint8Array(MiB))
      const reads = targets.map((target, index) => {
        return source.read({ offsetBytes: (index % 8) * MiB, target }, { signal: stop.signal })
      })
      const settled = Promise.allSettled(reads)
      await new Promise((resolve) => setTimeout(resolve, round % 4))
      stop.abort()
      await settled
      const untouched = Buffer.alloc(MiB, 0xaa)
      for (const target of targets) target.set(untouched)
      await source[Symbol.asyncDispose]()
      expect(targets.every((target) => untouched.equals(target))).toBe(true)
    }
    await using source = await openAt(server)
    await source.read({ offsetBytes: 0, target: new Uint8Array(MiB) }, cancel)
  })

  it('goes on reading when the server is killed and comes back', async () => {
    const image = seededRandom(9).bytes(16 * MiB)
    const socket = join(await testFolder(), 'nbd.sock')
    const args = ['--filter=delay', 'file', await imageFile(image), 'delay-read=2ms']
    const first = await startNbdkit({ socket, args })
    await using source = await openAt(first)
    const reading = sha256Of(source, { readBytes: 64 * KiB, depth: 4 })
    await new Promise((resolve) => setTimeout(resolve, 30))
    await first.kill()
    await startNbdkit({ socket, args })
    expect(await reading).toBe(createHash('sha256').update(image).digest('hex'))
  })
})

describe.skipIf(peerSkip('qemu-nbd', 'nbdcopy'))('the NBD client against qemu-nbd', () => {
  describeDiskSource('qemu-nbd', async (image) =>
    openAt(await startQemuNbd(await imageFile(image)), { exportName: 'disk', connectionsMax: 3 }),
  )

  it('reads a sparse disk as nbdcopy does, holes sent as holes', async () => {
    const server = await startQemuNbd(await sparseFile())
    await using source = await openAt(server, { exportName: 'disk' })
    expect(await sha256Of(source, { readBytes: 4 * MiB, depth: 4 })).toBe(await nbdcopySha256(server.uri))
  })
})
