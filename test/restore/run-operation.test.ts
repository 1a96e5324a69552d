// A restore or a check from its request to its end, with real points: the stage, the task, and what strikes them.

import { describe, expect, it } from 'vitest'
import { memoryTarget } from '../../lib/adapters/memory/disk.ts'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryTasks } from '../../lib/adapters/memory/tasks.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { BucketImage } from '../../lib/compose/bucket-image.ts'
import { operationDeps } from '../../lib/compose/operation-task.ts'
import { cancelOperation } from '../../lib/doors/cancel.ts'
import { requestOperation } from '../../lib/doors/request-operation.ts'
import type { OperationId } from '../../lib/model/ids.ts'
import type { Operation, OperationRequest, OperationTarget } from '../../lib/model/operation.ts'
import type { DiskTarget } from '../../lib/ports/disk.ts'
import { runOperation } from '../../lib/restore/run-operation.ts'
import type { RepositoryPlace } from '../../lib/wire/repository-place.ts'
import { backUpOne } from '../stages/backups.ts'
import type { Process } from '../stages/chaos.ts'
import { type Engine, newEngine, turn, turnUntil } from '../stages/engine.ts'
import { addVm, cancel, newWorld, type World } from '../stages/world.ts'

const target: OperationTarget = { kind: 'bucket', bucket: 'restored', prefix: 'vms/' }
const place: RepositoryPlace = {
  ...{ kind: 's3', bucket: 'restored', prefix: 'vms/repository/', region: 'eu-central-1' },
  ...{ endpoint: null, lock: null, objectKey: null },
}
const door = (): Process => ({ name: 'door', stop: new AbortController(), dead: false, onDeath: () => undefined })

type Site = {
  readonly world: World
  readonly engine: Engine
  /** By key: what was committed. */
  readonly objects: Map<string, Buffer>
  /** How often each was opened. */
  readonly opened: string[]
  /** Called before each write into a target. */
  beforeWrite: (key: string, signal: AbortSignal) => Promise<void>
  vmBytes: () => Buffer[]
}

async function siteWithPoint(change: { readonly targets?: readonly OperationTarget[] } = {}): Promise<Site> {
  const world = await newWorld({ visibilityMs: 10_000 })
  world.guestsWrite = false
  const vm = addVm(world, { diskBytes: [192 * KiB, 64 * KiB] })
  const engine = newEngine(world)
  const job = await backUpOne(engine)
  expect(job.outcome?.kind).toBe('success')
  const movers = world.tasks
  const site: Site = {
    world,
    engine,
    objects: new Map(),
    opened: [],
    beforeWrite: async () => undefined,
    vmBytes: () => vm.disks.map(({ bytes }) => Buffer.from(bytes)),
  }
  const openBucketImage = async ({ key, capacityBytes }: BucketImage): Promise<DiskTarget> => {
    site.opened.push(key)
    const inner = memoryTarget(capacityBytes)
    return {
      ...inner,
      write: async (range, within) => {
        await site.beforeWrite(key, within.signal)
        await inner.write(range, within)
      },
      commit: async (within) => {
        await inner.commit(within)
        site.objects.set(key, Buffer.from(inner.bytes()))
      },
    }
  }
  const { jobStore, repository, clock, log } = world
  const deps = operationDeps({
    ...{ jobStore, repository, log, openBucketImage, around: { clock } },
    targets: change.targets ?? [target],
    place,
  })
  const operations = memoryTasks(async ({ work, clientToken }, within) => {
    if (work.kind !== 'operate') throw new Error('only operations')
    await runOperation({ operationId: work.operationId, attempt: work.attempt, holder: clientToken }, deps, within)
  })
  world.tasks = {
    placements: 1,
    start: (request, within) => (request.work.kind === 'move' ? movers : operations).start(request, within),
    find: (request, within) => (request.work.kind === 'move' ? movers : operations).find(request, within),
    describe: async (id, within) => {
      const state = await operations.describe(id, within)
      return state.kind === 'unknown' ? movers.describe(id, within) : state
    },
    stop: async (id, within) => {
      await operations.stop(id, within)
      await movers.stop(id, within)
    },
  }
  return site
}

async function askFor({ world }: Site, request: OperationRequest): Promise<OperationId> {
  const deps = world.depsOf(door())
  return (await requestOperation({ request, requestedBy: 'somebody', key: `${world.sent.length}` }, deps, cancel)).id
}

async function recordOf({ world }: Site, id: OperationId): Promise<Operation> {
  const found = await world.jobStore.operations.get(id, cancel)
  if (found === null) throw new Error('it was asked for')
  return found.value
}

async function ended(site: Site, id: OperationId): Promise<Operation> {
  await turnUntil(site.engine, async () => (await recordOf(site, id)).state === 'done', 24 * 3_600_000)
  return recordOf(site, id)
}

const restoreAll: OperationRequest = { kind: 'restore', point: 'db-1@latest', disks: null, target }

describe('a restore', () => {
  it('writes every disk as it was, below what was asked for, and says where', async () => {
    const site = await siteWithPoint()
    const id = await askFor(site, restoreAll)
    const operation = await ended(site, id)
    expect(operation.outcome).toMatchObject({ kind: 'success', message: '2 disks of "db-1@1" restored, 256 KiB' })
    const folder = `vms/db-1-1-${id.slice(0, 12)}`
    expect(operation.result).toEqual([2000, 2001].map((key) => `s3://restored/${folder}/disk-${key}.raw`))
    expect([...site.objects.keys()]).toEqual([`${folder}/disk-2000.raw`, `${folder}/disk-2001.raw`])
    expect(
      [...site.objects.values()].map((bytes, index) => bytes.equals(site.vmBytes()[index] ?? Buffer.alloc(0))),
    ).toEqual([true, true])
    expect(operation.progress.map(({ doneBytes, totalBytes }) => doneBytes === totalBytes)).toEqual([true, true])
    expect(operation.point).toMatchObject({ sequence: 1 })
  })

  it.each([
    [{ ...restoreAll, point: 'db-9@latest' }, 'point-not-found'],
    [{ ...restoreAll, disks: [7] }, 'disk-not-found'],
    [{ ...restoreAll, target: { kind: 'bucket', bucket: 'restored', prefix: 'other/' } }, 'target-not-allowed'],
    [{ ...restoreAll, target: { kind: 'folder', folder: '/etc/' } }, 'target-not-allowed'],
    [{ ...restoreAll, target: { ...target, prefix: 'vms/repository/x/' } }, 'target-is-repository'],
  ] as const)('of %j fails once, with a reason, and writes nothing', async (request, code) => {
    const site = await siteWithPoint()
    const operation = await ended(site, await askFor(site, request))
    expect(operation).toMatchObject({ attempt: 1, outcome: { kind: 'failed', code }, result: [] })
    expect(site.opened).toEqual([])
  })

  it('that dies in its second disk goes on with it, and does not write the first again', async () => {
    const site = await siteWithPoint()
    let deaths = 0
    site.beforeWrite = async (key) => {
      if (key.endsWith('2001.raw') && ++deaths === 1) throw new Error('out of memory')
    }
    const operation = await ended(site, await askFor(site, restoreAll))
    expect([operation.outcome?.kind, operation.attempt]).toEqual(['success', 2])
    expect(site.opened.map((key) => key.slice(-8))).toEqual(['2000.raw', '2001.raw', '2001.raw'])
    expect(site.objects.get(site.opened[1] ?? '')?.equals(site.vmBytes()[1] ?? Buffer.alloc(0))).toBe(true)
  })

  it('of "latest" stays with the point that the first task found, also when another is made meanwhile', async () => {
    const site = await siteWithPoint()
    let fails = true
    site.beforeWrite = async () => {
      if (fails) throw new BackupError('The bucket does not answer', { code: 'store-away', retry: 'later' })
    }
    const id = await askFor(site, restoreAll)
    await turnUntil(site.engine, async () => (await recordOf(site, id)).attempt === 2, 3_600_000)
    expect((await backUpOne(site.engine)).outcome?.kind).toBe('success')
    fails = false
    const operation = await ended(site, id)
    expect(operation).toMatchObject({ outcome: { kind: 'success' }, point: { sequence: 1 } })
  })

  it('that fails each time for a cause that may pass says that cause in the end', async () => {
    const site = await siteWithPoint()
    site.beforeWrite = async () => {
      throw new BackupError('The bucket does not answer', { code: 'store-away', retry: 'later' })
    }
    const operation = await ended(site, await askFor(site, restoreAll))
    expect(operation).toMatchObject({ attempt: 3, outcome: { kind: 'failed', code: 'store-away' } })
    expect(site.objects.size).toBe(0)
  })

  it('that is cancelled stops, and its unfinished disk is nowhere', async () => {
    const site = await siteWithPoint()
    site.beforeWrite = (_key, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    const id = await askFor(site, restoreAll)
    await turnUntil(site.engine, async () => site.opened.length === 1, 3_600_000)
    const askedMs = site.world.clock.nowMs()
    await cancelOperation(id, { deps: site.world.depsOf(door()), cancel })
    const operation = await ended(site, id)
    expect(operation.outcome).toMatchObject({ kind: 'failed', code: 'cancelled' })
    expect(site.world.clock.nowMs() - askedMs).toBeLessThan(60_000)
    expect(site.objects.size).toBe(0)
  })

  it('is carried out by one task: another of the same attempt is refused, and one of an older attempt, too', async () => {
    const site = await siteWithPoint()
    const held = Promise.withResolvers<void>()
    site.beforeWrite = () => held.promise
    const id = await askFor(site, restoreAll)
    await turnUntil(site.engine, async () => site.opened.length === 1, 3_600_000)
    const { jobStore, repository, clock, log } = site.world
    const openBucketImage = () => Promise.reject(new Error('nothing is opened'))
    const deps = operationDeps({
      jobStore,
      repository,
      log,
      openBucketImage,
      around: { clock },
      targets: [target],
      place,
    })
    const other = { operationId: id, attempt: 1, holder: 'another' }
    await expect(runOperation(other, deps, cancel)).rejects.toMatchObject({ code: 'operation-held' })
    await expect(runOperation({ ...other, attempt: 2 }, deps, cancel)).rejects.toMatchObject({ code: 'operation-over' })
    held.resolve()
    expect((await ended(site, id)).outcome?.kind).toBe('success')
    await expect(runOperation(other, deps, cancel)).rejects.toMatchObject({ code: 'operation-over' })
  })

  it('that somebody else ended writes nothing more', async () => {
    const site = await siteWithPoint()
    site.beforeWrite = (_key, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    const id = await askFor(site, restoreAll)
    await turnUntil(site.engine, async () => site.opened.length === 1, 3_600_000)
    const found = await site.world.jobStore.operations.get(id, cancel)
    if (found === null) throw new Error('it was asked for')
    const outcome = { kind: 'failed', code: 'abandoned', message: 'x', hint: null } as const
    const value = { ...found.value, state: 'done' as const, wakeAtMs: null, outcome, doneAt: found.value.requestedAt }
    await site.world.jobStore.operations.replace(id, { value, version: found.version }, cancel)
    for (let turns = 0; turns < 300; turns++) await turn(site.engine)
    expect((await recordOf(site, id)).outcome).toEqual(outcome)
    expect(site.objects.size).toBe(0)
  })
})

describe('a check', () => {
  it('says of each point whether it is whole', async () => {
    const site = await siteWithPoint()
    await backUpOne(site.engine)
    const operation = await ended(site, await askFor(site, { kind: 'verify', point: null, deep: true }))
    expect(operation.outcome).toMatchObject({
      kind: 'success',
      message: '2 restore points checked, nothing is damaged',
    })
    expect(operation.result.map((line) => line.split(',')[0])).toEqual(['db-1@1: whole', 'db-1@2: whole'])
  })

  it('of everything mends the list of points that the state has lost', async () => {
    const site = await siteWithPoint()
    const [noted] = await site.world.jobStore.recentPoints({ limit: 9 }, cancel)
    const { jobStore } = site.world
    const lost = memoryJobStore()
    const points = { ...jobStore, points: lost.points, recentPoints: lost.recentPoints }
    const { repository, clock, log } = site.world
    const openBucketImage = () => Promise.reject(new Error('nothing is opened'))
    const deps = operationDeps({
      jobStore: points,
      repository,
      log,
      openBucketImage,
      around: { clock },
      targets: [],
      place,
    })
    const listed = (await deps.listPoints(cancel)).points
    expect([await deps.notePoints(listed, cancel), await deps.notePoints(listed, cancel)]).toEqual([1, 0])
    const [found] = await lost.recentPoints({ limit: 9 }, cancel)
    expect({ ...found, committedAt: noted?.committedAt }).toEqual(noted)
    const operation = await ended(site, await askFor(site, { kind: 'verify', point: null, deep: false }))
    expect(operation.outcome?.kind).toBe('success')
  })

  it('tells damage first, and restores refuse it', async () => {
    const site = await siteWithPoint()
    for (const [key, { bytes }] of site.world.store.objects)
      if (key.startsWith('p/')) for (let at = 20; at < bytes.length; at += 500) bytes[at] = (bytes[at] ?? 0) ^ 1
    const checked = await ended(site, await askFor(site, { kind: 'verify', point: 'db-1@1', deep: true }))
    expect(checked.outcome).toMatchObject({ kind: 'failed', code: 'integrity' })
    expect(checked.result[0]).toContain('db-1@1: DAMAGED: ')
    const restored = await ended(site, await askFor(site, restoreAll))
    expect(restored).toMatchObject({ attempt: 1, outcome: { kind: 'failed', code: 'integrity' } })
  })
})
