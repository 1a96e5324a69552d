// Disks that a transport gives only as streams: read whole by one worker, once, in order, to a checked end.

import { describe, expect, it } from 'vitest'
import { memoryTransport } from '../../lib/adapters/memory/transport.ts'
import { isAllZero, MiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { sessionIdOf } from '../../lib/model/ids.ts'
import { moveJob } from '../../lib/mover/move.ts'
import type { Allocation } from '../../lib/ports/disk.ts'
import type { Transport } from '../../lib/ports/transport.ts'
import { readCandidate } from '../../lib/repository/candidate.ts'
import { backup, cancel, depsOf, differingDisks, moverWorld, prepare, type World, type WorldOptions } from './world.ts'

const CHUNK = 65_536
const RANDOM_DISK = 2000
const STREAMS = [2001, 2002]

/** A stream knows what comes next, and no more: zeros up to the next data, then perhaps data. */
function nextData(bytes: Uint8Array, range: { readonly offsetBytes: number; readonly lengthBytes: number }) {
  const end = range.offsetBytes + range.lengthBytes
  let at = range.offsetBytes
  while (at < end && isAllZero(bytes.subarray(at, Math.min(at + CHUNK, end)))) at += CHUNK
  const zeroEnd = Math.min(at, end)
  const runs: Allocation[] = []
  if (zeroEnd > range.offsetBytes)
    runs.push({ offsetBytes: range.offsetBytes, lengthBytes: zeroEnd - range.offsetBytes, kind: 'zero' })
  if (zeroEnd < end) runs.push({ offsetBytes: zeroEnd, lengthBytes: end - zeroEnd, kind: 'data' })
  return runs
}

type Seen = { readonly opened: number[]; readonly ended: number[]; endFailure: BackupError | null }

/** Disks of STREAMS come by `lease`, all others by `datastore`; a stream read out of order is broken code. */
function streamWorld(options: WorldOptions = {}): { readonly world: Promise<World>; readonly seen: Seen } {
  const seen: Seen = { opened: [], ended: [], endFailure: null }
  const transports: WorldOptions['transports'] = (vm) => {
    const stream = (diskKey: number): Transport =>
      memoryTransport({
        name: 'lease',
        access: 'sequential',
        disk: vm.frozenBytes,
        allocation: nextData,
        atEnd: () => {
          if (seen.endFailure !== null) throw seen.endFailure
          seen.ended.push(diskKey)
        },
      })
    return [
      memoryTransport({
        name: 'datastore',
        disk: vm.frozenBytes,
        refusal: ({ disk }) => (STREAMS.includes(disk.key) ? 'it is a delta' : null),
      }),
      {
        name: 'lease',
        refusal: () => null,
        open: (request, within) => {
          seen.opened.push(request.disk.key)
          return stream(request.disk.key).open(request, within)
        },
      },
    ]
  }
  return { world: moverWorld({ ...options, transports }), seen }
}

async function threeDisks(world: World): Promise<void> {
  world.vm.addDisk(RANDOM_DISK, 9 * MiB)
  world.vm.write(RANDOM_DISK, MiB, seededRandom(1).bytes(3 * MiB))
  for (const [index, key] of STREAMS.entries()) {
    world.vm.addDisk(key, 10 * MiB + 4_096 * index)
    world.vm.write(key, 3 * CHUNK + 17, seededRandom(key).bytes(2 * MiB))
    world.vm.write(key, 9 * MiB, seededRandom(key + 9).bytes(index === 0 ? 5 : MiB))
  }
}

describe('disks that come as streams', () => {
  it('are restored byte for byte, read by one worker while several share the others', async () => {
    const { world: opening, seen } = streamWorld()
    const world = await opening
    await threeDisks(world)
    world.vm.addDisk(2003, 150 * MiB)
    world.vm.write(2003, 140 * MiB, seededRandom(5).bytes(MiB))
    const several = { ...world, settings: { ...world.settings, workersMax: 4 } }
    let workers = 0
    const { openWorker } = depsOf(several)
    const moved = await backup(several, {
      openWorker: (...asked) => {
        workers++
        return openWorker(...asked)
      },
    })
    expect(workers).toBe(4)
    expect(await differingDisks(world, moved)).toEqual([])
    // Opened once to choose the transport, and once by the worker that read it.
    expect(seen.opened.toSorted()).toEqual([2001, 2001, 2002, 2002])
    expect(seen.ended).toEqual(STREAMS)
    expect(moved.point.body.disks.map(({ transport, readMode }) => [transport, readMode])).toEqual([
      ['datastore', 'full'],
      ['lease', 'full'],
      ['lease', 'full'],
      ['datastore', 'full'],
    ])
  })

  it('cost nothing where they did not change, ask for no changed areas, and are no reason for a notice', async () => {
    const { world: opening } = streamWorld()
    const world = await opening
    await threeDisks(world)
    await backup(world)
    world.vm.write(2001, 4 * CHUNK, seededRandom(33).bytes(10))
    world.vm.write(2002, 9 * MiB, new Uint8Array(CHUNK))
    world.vm.behaviour.queries = 0
    const second = await backup(world)
    expect(await differingDisks(world, second)).toEqual([])
    expect(world.vm.behaviour.queries).toBe(1)
    expect(second.result).toMatchObject({ notices: [] })
    const reason = 'Transport "lease" gives a disk only as a whole'
    expect(second.point.body.disks).toMatchObject([
      { readMode: 'incremental', newChunks: 0 },
      { readMode: 'differential', readModeReason: reason, newChunks: 1 },
      { readMode: 'differential', readModeReason: reason, newChunks: 0 },
    ])
  })

  it.each([
    ['of data', 9 * MiB + 4_096],
    ['of zeros', 12 * MiB],
  ])('whose end %s is not as it must be leave no candidate', async (_, capacityBytes) => {
    const { world: opening, seen } = streamWorld()
    const world = await opening
    world.vm.addDisk(2001, capacityBytes)
    world.vm.write(2001, 9 * MiB, seededRandom(4).bytes(4_096))
    const { job } = await prepare(world)
    seen.endFailure = new BackupError('Cannot read: the stream lists other grains', {
      code: 'disk-read-failed',
      retry: 'later',
    })
    const result = await moveJob({ jobId: job.id, attempt: 1, holder: 'test' }, depsOf(world), cancel)
    expect(result).toMatchObject({ kind: 'failed', code: 'disk-read-failed', retry: 'later' })
    const sessionId = sessionIdOf(job.id, 1)
    expect(await readCandidate({ repository: world.repository, sessionId }, cancel)).toBeNull()
  })
})
