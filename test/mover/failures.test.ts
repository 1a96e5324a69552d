// What goes wrong in a move leaves earlier points as they were and nothing half visible, and the next try succeeds.

import { describe, expect, it } from 'vitest'
import { type MemoryObjectStore, memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { memoryTransport } from '../../lib/adapters/memory/transport.ts'
import { failCall, faultyStore } from '../../lib/adapters/wrap/faulty-store.ts'
import { MiB } from '../../lib/base/bytes.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom, systemRandom } from '../../lib/base/random.ts'
import { sessionIdOf } from '../../lib/model/ids.ts'
import { NO_USAGE } from '../../lib/model/usage.ts'
import { inProcessWorkers } from '../../lib/mover/in-process.ts'
import { moveJob } from '../../lib/mover/move.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { publishCandidate } from '../../lib/repository/candidate.ts'
import { pointKey } from '../../lib/repository/object-keys.ts'
import { readPoint } from '../../lib/repository/points.ts'
import { VM_ID } from './tracked-vm.ts'
import { allPoints, backup, cancel, commit, depsOf, differingDisks, moverWorld, prepare, type World } from './world.ts'

async function smallWorld(): Promise<World> {
  const world = await moverWorld()
  world.vm.addDisk(2000, 9 * MiB + 77)
  world.vm.addDisk(2001, 200_000)
  world.vm.write(2000, 100_000, seededRandom(1).bytes(300_000))
  world.vm.write(2000, 8 * MiB + 5, seededRandom(1).bytes(300_000))
  world.vm.write(2001, 0, seededRandom(2).bytes(200_000))
  return world
}

function memoryStoreOf({ store }: World): MemoryObjectStore['objects'] {
  if (!('objects' in store) || !(store.objects instanceof Map)) throw new Error('the store is in memory')
  return store.objects
}

/** The mover's dependencies over another store on the same objects. */
function over(world: World, store: ObjectStore) {
  const { transports } = world
  const repository = { ...world.repository, store }
  return depsOf(world, { repository, openWorker: inProcessWorkers({ transports, store, random: systemRandom }) })
}

describe('moveJob() when something fails', () => {
  it('reads nothing of a job whose snapshot is being given back', async () => {
    const world = await smallWorld()
    const { job } = await prepare(world, { state: 'releasing' })
    const result = await moveJob({ jobId: job.id, attempt: 1, holder: 'late' }, depsOf(world), cancel)
    expect(result).toMatchObject({ kind: 'failed', code: 'attempt-over' })
    expect([...memoryStoreOf(world).keys()].filter((key) => key.startsWith('s/'))).toEqual([])
  })

  it.each(['before', 'after'] as const)(
    'leaves the earlier point alone and succeeds again, whichever store call fails (%s it took effect)',
    async (when) => {
      const world = await smallWorld()
      const first = await backup(world)
      world.vm.write(2000, 3 * MiB, seededRandom(3).bytes(200_000))
      world.vm.write(2001, 500, seededRandom(4).bytes(100))
      let failures = 0
      for (let call = 1; ; call++) {
        const { job, images } = await prepare(world)
        const faulty = faultyStore(world.store, failCall(call, when))
        const result = await moveJob({ jobId: job.id, attempt: 1, holder: 'first' }, over(world, faulty), cancel)
        expect(await allPoints(world.repository)).toHaveLength(1)
        if (result.kind === 'sealed') {
          const point = await commit(world, job)
          expect(await differingDisks(world, { point, images })).toEqual([])
          break
        }
        failures++
        expect(result, `call ${call}`).toMatchObject({ kind: 'failed', code: 'store-failed', retry: 'later' })
        const attempt = 2
        const found = await world.jobs.jobs.get(job.id, cancel)
        await world.jobs.jobs.replace(job.id, { value: { ...job, attempt }, version: found?.version ?? 0 }, cancel)
        const again = await moveJob({ jobId: job.id, attempt, holder: 'second' }, depsOf(world), cancel)
        expect(again.kind, `after call ${call}`).toBe('sealed')
      }
      expect(failures).toBeGreaterThan(10)
      expect(await differingDisks(world, first)).toEqual([])
    },
    120_000,
  )

  it('names every disk that no transport opens, with the reasons', async () => {
    const world = await smallWorld()
    const refusing = memoryTransport({ name: 'datastore', disk: () => null })
    const { job } = await prepare(world)
    const result = await moveJob(
      { jobId: job.id, attempt: 1, holder: 'a' },
      depsOf(world, { transports: [refusing] }),
      cancel,
    )
    expect(result).toMatchObject({ kind: 'failed', code: 'no-transport', retry: 'no' })
    expect(result.kind === 'failed' && result.message).toMatch(/Hard disk 1.*Hard disk 2/)
  })

  it('goes down the policy’s order of transports and keeps the one that worked', async () => {
    const world = await smallWorld()
    const nbd = memoryTransport({ name: 'nbd', disk: () => null, refusal: () => 'no VDDK here' })
    const transports = [...world.transports, nbd]
    const { job, images } = await prepare(world)
    const found = await world.jobs.jobs.get(job.id, cancel)
    const policy = { ...job.policy, transport: ['nbd', 'datastore'] as const }
    await world.jobs.jobs.replace(job.id, { value: { ...job, policy }, version: found?.version ?? 0 }, cancel)
    await moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, depsOf(world, { transports }), cancel)
    const point = await commit(world, job)
    expect(point.body.disks[0]?.transport).toBe('datastore')
    expect(world.log.lines).toContainEqual(
      expect.objectContaining({
        event: 'transport.refused',
        facts: expect.objectContaining({ transport: 'nbd', reason: 'no VDDK here' }),
      }),
    )
    expect(await differingDisks(world, { point, images })).toEqual([])
  })

  it('fails with the read’s own code when a disk cannot be read, and stores no candidate', async () => {
    const world = await smallWorld()
    const broken = memoryTransport({
      name: 'datastore',
      disk: world.vm.frozenBytes,
      beforeRead: ({ offsetBytes }) => {
        if (offsetBytes > 4 * MiB)
          throw new BackupError('Cannot read', { code: 'disk-read-failed', retry: 'later', hint: 'Look at the host' })
      },
    })
    const transports = [broken]
    const { job } = await prepare(world)
    const openWorker = inProcessWorkers({ transports, store: world.store, random: systemRandom })
    const result = await moveJob(
      { jobId: job.id, attempt: 1, holder: 'a' },
      depsOf(world, { transports, openWorker }),
      cancel,
    )
    expect(result).toEqual({
      kind: 'failed',
      code: 'disk-read-failed',
      message: 'Cannot read',
      hint: 'Look at the host',
      retry: 'later',
    })
    await expect(commit(world, job)).rejects.toMatchObject({ code: 'candidate-missing' })
    expect((await world.jobs.attempts.get(sessionIdOf(job.id, 1), cancel))?.value.result).toEqual(result)
  })

  it('stops, and writes no result, when another mover takes the attempt', async () => {
    const world = await smallWorld()
    const { job } = await prepare(world)
    const session = sessionIdOf(job.id, 1)
    let reads = 0
    const slow = memoryTransport({
      name: 'datastore',
      disk: world.vm.frozenBytes,
      beforeRead: async () => {
        if (++reads === 3) {
          const found = await world.jobs.attempts.get(session, cancel)
          if (found === null) throw new Error('held')
          await world.jobs.attempts.replace(
            session,
            { value: { ...found.value, holder: 'thief' }, version: found.version },
            cancel,
          )
        }
        await new Promise((resolve) => setTimeout(resolve, 5))
      },
    })
    const transports = [slow]
    const openWorker = inProcessWorkers({ transports, store: world.store, random: systemRandom })
    const times = { leaseMs: 300, renewMs: 20, progressMs: 10 }
    const settings = { ...world.settings, times, limits: { ...world.settings.limits, pieceBytes: 65_536 } }
    const moving = moveJob(
      { jobId: job.id, attempt: 1, holder: 'a' },
      depsOf(world, { transports, openWorker, settings, clock: systemClock }),
      cancel,
    )
    await expect(moving).rejects.toMatchObject({ code: 'attempt-lost' })
    expect((await world.jobs.attempts.get(session, cancel))?.value).toMatchObject({ holder: 'thief', result: null })
    const readsThen = reads
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(reads).toBe(readsThen)
  })

  it('stops by the caller’s signal without a result and gives its hold back', async () => {
    const world = await smallWorld()
    const { job } = await prepare(world)
    const stop = new AbortController()
    const transports = [
      memoryTransport({
        name: 'datastore',
        disk: world.vm.frozenBytes,
        beforeRead: () => stop.abort(new BackupError('Stopped', { code: 'interrupted' })),
      }),
    ]
    const openWorker = inProcessWorkers({ transports, store: world.store, random: systemRandom })
    const moving = moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, depsOf(world, { transports, openWorker }), {
      signal: stop.signal,
    })
    await expect(moving).rejects.toMatchObject({ code: 'interrupted' })
    const deps = depsOf(world)
    const record = await world.jobs.attempts.get(sessionIdOf(job.id, 1), cancel)
    expect(record?.value.result).toBeNull()
    expect((await moveJob({ jobId: job.id, attempt: 1, holder: 'b' }, deps, cancel)).kind).toBe('sealed')
  })

  it('answers again what an attempt that ended has answered', async () => {
    const world = await smallWorld()
    const { job } = await prepare(world)
    const first = await moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, depsOf(world), cancel)
    const objects = memoryObjectStore({ clock: systemClock })
    const deps = { ...depsOf(world), repository: { ...world.repository, store: objects } }
    expect(await moveJob({ jobId: job.id, attempt: 1, holder: 'b' }, deps, cancel)).toEqual(first)
  })

  it('finds the candidate of a mover that died before it could say so', async () => {
    const world = await smallWorld()
    const { job, images } = await prepare(world)
    const jobs = {
      ...world.jobs,
      attempts: {
        ...world.jobs.attempts,
        replace: async (...args: Parameters<typeof world.jobs.attempts.replace>) => {
          if (args[1].value.result !== null) throw new BackupError('The table is away', { code: 'table' })
          return world.jobs.attempts.replace(...args)
        },
      },
    }
    const dying = moveJob(
      { jobId: job.id, attempt: 1, holder: 'a' },
      depsOf(world, {
        jobs,
        clock: { ...systemClock, sleep: (ms, limits) => systemClock.sleep(Math.min(ms, 20), limits) },
      }),
      cancel,
    )
    await expect(dying).rejects.toMatchObject({ code: 'table' })
    const transports = [memoryTransport({ name: 'datastore', disk: () => null })]
    const result = await moveJob(
      { jobId: job.id, attempt: 1, holder: 'b' },
      depsOf(world, { transports, clock: systemClock }),
      cancel,
    )
    expect(result).toMatchObject({ kind: 'sealed', sequence: 1 })
    expect(await differingDisks(world, { point: await commit(world, job), images })).toEqual([])
  })

  it('finds that a pack it only inherits is gone, and heals it by storing everything anew', async () => {
    const world = await smallWorld()
    const first = await backup(world)
    world.vm.write(2001, 500, seededRandom(4).bytes(100))
    const objects = memoryStoreOf(world)
    const packs = [...objects.keys()].filter((key) => key.startsWith('p/'))
    const untouched = packs.find((key) => (objects.get(key)?.bytes.byteLength ?? 0) > MiB / 4) ?? ''
    objects.delete(untouched)
    const { job, images } = await prepare(world)
    const failed = await moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, depsOf(world), cancel)
    expect(failed).toMatchObject({ kind: 'failed', code: 'integrity', retry: 'as-full' })
    const second = { ...job, attempt: 2 }
    await world.jobs.jobs.replace(job.id, { value: second, version: 1 }, cancel)
    const result = await moveJob({ jobId: job.id, attempt: 2, holder: 'b' }, depsOf(world), cancel)
    expect(result).toMatchObject({ kind: 'sealed', notices: [{ code: 'point-damaged' }] })
    expect(await differingDisks(world, { point: await commit(world, second), images })).toEqual([])
    await expect(differingDisks(world, first)).rejects.toMatchObject({ code: 'integrity' })
  })

  it('still stores everything anew when another failure came between', async () => {
    const world = await smallWorld()
    await backup(world)
    const { job } = await prepare(world)
    const results = [
      { kind: 'failed', code: 'integrity', message: 'Damaged', hint: null, retry: 'as-full' },
      { kind: 'failed', code: 'store-failed', message: 'Away', hint: null, retry: 'later' },
    ] as const
    for (const [i, result] of results.entries()) {
      const record = {
        jobId: job.id,
        attempt: i + 1,
        holder: 'x',
        heldUntilMs: 0,
        progress: [],
        usage: NO_USAGE,
        result,
      }
      await world.jobs.attempts.create(sessionIdOf(job.id, i + 1), record, cancel)
    }
    const third = { ...job, attempt: 3 }
    await world.jobs.jobs.replace(job.id, { value: third, version: 1 }, cancel)
    await moveJob({ jobId: job.id, attempt: 3, holder: 'b' }, depsOf(world), cancel)
    expect((await commit(world, third)).envelope.parentSequence).toBeNull()
  })

  it.each([
    ['a name at the end of all numbers', [9_999_999_999], 2],
    ['names that follow the last point', [2, 3, 9_999_999_999], 4],
    ['more names than are looked at', [...Array.from({ length: 12 }, (_, i) => i + 2)], 14],
  ])('numbers on after the last authentic point past objects that are none: %s', async (_, junk, next) => {
    const world = await smallWorld()
    await backup(world)
    for (const sequence of junk) {
      await world.store.putIfAbsent({ key: pointKey({ vmId: VM_ID, sequence }), bytes: new Uint8Array(9) }, cancel)
    }
    const { job, images } = await prepare(world)
    const result = await moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, depsOf(world), cancel)
    expect(result).toMatchObject({ kind: 'sealed', sequence: next })
    const { repository } = world
    const sessionId = sessionIdOf(job.id, 1)
    expect(await publishCandidate({ repository, sessionId, clock: systemClock }, cancel)).toBe('published')
    const point = await readPoint({ repository, ref: { vmId: VM_ID, sequence: next } }, cancel)
    expect(await differingDisks(world, { point, images })).toEqual([])
  })

  it('stores everything anew after it found that what it continued is damaged', async () => {
    const world = await smallWorld()
    const first = await backup(world)
    const store = memoryObjectStore({ clock: systemClock })
    // A copy of the repository whose metadata packs are gone but for the newest point's own object.
    for await (const { key } of world.store.list('', cancel)) {
      const bytes = await world.store.get(key, cancel)
      const damaged = key.startsWith('m/') && bytes !== null
      await store.putIfAbsent(
        { key, bytes: damaged ? bytes.map((byte, at) => (at > 100 ? byte ^ 1 : byte)) : (bytes ?? new Uint8Array()) },
        cancel,
      )
    }
    const damagedWorld: World = { ...world, store, repository: { ...world.repository, store } }
    world.vm.write(2000, 0, seededRandom(6).bytes(1_000))
    const { job, images } = await prepare(damagedWorld)
    const failed = await moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, depsOf(damagedWorld), cancel)
    expect(failed).toMatchObject({ kind: 'failed', code: 'integrity', retry: 'as-full' })
    const second = { ...job, attempt: 2 }
    await world.jobs.jobs.replace(job.id, { value: second, version: 1 }, cancel)
    const result = await moveJob({ jobId: job.id, attempt: 2, holder: 'b' }, depsOf(damagedWorld), cancel)
    expect(result).toMatchObject({ kind: 'sealed', notices: [{ code: 'point-damaged' }] })
    const point = await commit(damagedWorld, second)
    expect(point.body.disks[0]).toMatchObject({
      readMode: 'full',
      readModeReason: 'What restore point 1 keeps is damaged',
    })
    expect(point.envelope).toMatchObject({ sequence: 2, parentSequence: null })
    expect(await differingDisks(damagedWorld, { point, images })).toEqual([])
    expect(await differingDisks(world, first)).toEqual([])
  })
})
