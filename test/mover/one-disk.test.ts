// A worker has one disk open at a time, and choosing leaves none open.

import { expect, it } from 'vitest'
import { memoryTransport } from '../../lib/adapters/memory/transport.ts'
import { MiB } from '../../lib/base/bytes.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { moveJob } from '../../lib/mover/move.ts'
import type { Transport } from '../../lib/ports/transport.ts'
import { backup, cancel, commit, depsOf, differingDisks, moverWorld, prepare } from './world.ts'

const WORKERS = 3

it('a mover has no more reads in flight, nor disks open, than its job was granted', async () => {
  let inFlight = 0
  let inFlightMost = 0
  const counted = (transport: Transport): Transport => ({
    ...transport,
    open: async (request, within) => {
      const source = await transport.open(request, within)
      return {
        ...source,
        readsMax: 64,
        read: async (range, call) => {
          inFlight += range.target.byteLength
          inFlightMost = Math.max(inFlightMost, inFlight)
          await new Promise((resolve) => setImmediate(resolve))
          await source.read(range, call)
          inFlight -= range.target.byteLength
        },
      }
    },
  })
  const world = await moverWorld({
    transports: (vm) => [counted(memoryTransport({ name: 'datastore', disk: vm.frozenBytes }))],
  })
  world.vm.addDisk(2000, 200 * MiB)
  const limits = { ...world.settings.limits, readAheadBytes: 32 * MiB, pieceBytes: 2 * MiB, readsMax: 64 }
  const settings = { ...world.settings, workersMax: 8, limits }
  for (const [connections, bytes] of [
    [6, 8 * MiB],
    [3, 6 * MiB],
  ] as const) {
    inFlightMost = 0
    const { job, images } = await prepare(world, { grant: { connections, bufferBytes: 8 * MiB } })
    const asked = { jobId: job.id, attempt: 1, holder: 'test' }
    expect((await moveJob(asked, depsOf({ ...world, settings }), cancel)).kind).toBe('sealed')
    expect(await differingDisks(world, { point: await commit(world, job), images })).toEqual([])
    expect(inFlightMost).toBe(bytes)
    world.vm.write(2000, 0, new Uint8Array(200 * MiB).fill(connections))
  }
  // An audit of what nobody wrote reads as much at once as a backup, and no more.
  world.vm.snapshot()
  const policy = { ...world.policy, changeTracking: { auditPercent: 100 } }
  await backup({ ...world, settings, policy })
  inFlightMost = 0
  const { job } = await prepare({ ...world, policy }, { grant: { connections: 2, bufferBytes: 4 * MiB } })
  const asked = { jobId: job.id, attempt: 1, holder: 'test' }
  const result = await moveJob(asked, depsOf({ ...world, settings }), cancel)
  expect(result).toMatchObject({ kind: 'sealed', counts: { readBytes: 200 * MiB } })
  expect(inFlightMost).toBe(4 * MiB)
})

it('a mover has no more disks open at once than workers, however many disks the VM has', async () => {
  let open = 0
  let openMost = 0
  const counted = (transport: Transport): Transport => ({
    ...transport,
    open: async (request, within) => {
      const source = await transport.open(request, within)
      openMost = Math.max(openMost, ++open)
      let isOpen = true
      return {
        ...source,
        [Symbol.asyncDispose]: async () => {
          if (isOpen) open--
          isOpen = false
          await source[Symbol.asyncDispose]()
        },
      }
    },
  })
  const world = await moverWorld({
    transports: (vm) => [counted(memoryTransport({ name: 'datastore', disk: vm.frozenBytes }))],
  })
  for (let key = 2000; key < 2010; key++) {
    world.vm.addDisk(key, 20 * MiB)
    world.vm.write(key, MiB, seededRandom(key).bytes(100_000))
  }
  const moved = await backup({ ...world, settings: { ...world.settings, workersMax: WORKERS } })
  expect(await differingDisks(world, moved)).toEqual([])
  expect(openMost).toBe(WORKERS)
  expect(open).toBe(0)
})
