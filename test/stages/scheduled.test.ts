// Runs that a schedule starts: one a time, not doubled, most overdue first, and nothing begins when the window has closed.

import { describe, expect, it } from 'vitest'
import { memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { isoTime } from '../../lib/base/clock.ts'
import { startScheduled } from '../../lib/doors/schedule.ts'
import { parsePointId, parseVmId, type RunId } from '../../lib/model/ids.ts'
import type { Policy } from '../../lib/model/policy.ts'
import { rpoWatchOf, WATCHED_MAX } from '../../lib/model/rpo-watch.ts'
import type { StoredPolicy } from '../../lib/model/stored-policy.ts'
import { watchRpo } from '../../lib/stages/watch-rpo.ts'
import { expectRest } from './backups.ts'
import { chaos, type Process } from './chaos.ts'
import { type Engine, isOver, jobsOf, newEngine, runOf, turnFor, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld, policyWith, type World } from './world.ts'

const HOUR_MS = 3_600_000

type Schedule = NonNullable<Policy['schedule']>

function scheduled(change: Partial<Schedule>): Policy {
  const base = {
    cron: null,
    rateMs: null,
    rpoMs: null,
    timeZone: 'UTC',
    windowOpen: null,
    windowClose: null,
    jitterMs: 0,
  }
  return policyWith({ select: { any: [{ name: '*' }], all: [], none: [] }, schedule: { ...base, ...change } })
}

async function worldWith(policy: Policy, names: readonly string[] = ['db-1', 'db-2']) {
  const world = await newWorld()
  for (const name of names) addVm(world, { name, diskBytes: [64 * KiB] })
  await store(world, policy, 'active')
  return { world, engine: newEngine(world) }
}

async function store(world: World, policy: Policy, state: StoredPolicy['state']): Promise<void> {
  const at = isoTime(world.clock.nowMs())
  const { name } = policy
  const value: StoredPolicy = { name, policy, text: '', sha256: '', appliedAt: at, appliedBy: 'test', state }
  const found = await world.jobStore.policies.get(name, cancel)
  if (found === null) await world.jobStore.policies.create(name, value, cancel)
  else await world.jobStore.policies.replace(name, { value, version: found.version }, cancel)
}

function door(world: World) {
  const process: Process = { name: 'door', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const metrics = memoryMetrics()
  const start = (policy: Pick<Policy, 'name'>, scheduledAt = isoTime(world.clock.nowMs())) =>
    startScheduled({ policy: policy.name, scheduledAt }, { ...world.depsOf(process), metrics }, cancel)
  return { start, metrics }
}

async function started(world: World, policy: Policy): Promise<RunId> {
  const answer = await door(world).start(policy)
  if (answer.kind !== 'started') throw new Error(answer.message)
  return answer.runId
}

async function run(engine: Engine, policy: Policy) {
  const id = await started(engine.world, policy)
  await turnUntil(engine, () => isOver(engine.world, id))
  return await runOf(engine.world, id)
}

describe('startScheduled()', () => {
  it('starts one run for one time, however often and in whatever form it is told', async () => {
    const policy = scheduled({ cron: '0 22 * * *' })
    const { world, engine } = await worldWith(policy)
    const { start } = door(world)
    const first = await start(policy, '2026-01-02T22:00:00Z')
    expect(await start(policy, '2026-01-02T22:00:00.000Z')).toEqual(first)
    if (first.kind !== 'started') throw new Error(first.message)
    await turnUntil(engine, () => isOver(world, first.runId))
    expect(await start(policy, '2026-01-02T22:00:00Z')).toEqual(first)
    await turnFor(engine, HOUR_MS)
    expect(await world.jobStore.recentJobs({ limit: 10 }, cancel)).toHaveLength(2)
    expect(await runOf(world, first.runId)).toMatchObject({ door: 'schedule', scheduledAt: '2026-01-02T22:00:00.000Z' })
    await expectRest(engine)
  })

  it('starts nothing for a policy that is unknown, removed, or has no schedule, and says so', async () => {
    const policy = scheduled({ rateMs: HOUR_MS })
    const { world } = await worldWith(policy)
    const { start, metrics } = door(world)
    expect(await start(policyWith({ name: scheduled({}).name }), '2026-01-01T00:00:00Z')).toMatchObject({
      kind: 'started',
    })
    await store(world, policy, 'removed')
    expect(await start(policy)).toMatchObject({ kind: 'not-started', code: 'policy-removed' })
    await store(world, { ...policy, schedule: null }, 'active')
    expect(await start(policy)).toMatchObject({ kind: 'not-started', code: 'not-scheduled' })
    const other = await newWorld()
    expect(await door(other).start(policy)).toMatchObject({ kind: 'not-started', code: 'policy-unknown' })
    expect(metrics.total('schedule.not-started')).toBe(2)
    expect(await world.jobStore.recentRuns({ limit: 10 }, cancel)).toHaveLength(1)
  })

  it('starts nothing outside of the window', async () => {
    const policy = scheduled({ rateMs: HOUR_MS, windowOpen: '22:00', windowClose: '06:00' })
    const { world } = await worldWith(policy)
    const { start } = door(world)
    const startAtHour = async (hour: number) => {
      while (new Date(world.clock.nowMs()).getUTCHours() !== hour) world.clock.advance(60_000)
      return await start(policy)
    }
    expect(await startAtHour(12)).toMatchObject({ code: 'outside-window', message: /until 06:00, UTC/ })
    expect(await startAtHour(22)).toMatchObject({ kind: 'started' })
    expect(await startAtHour(5)).toMatchObject({ kind: 'started' })
    expect(await startAtHour(6)).toMatchObject({ code: 'outside-window' })
  })
})

describe('a scheduled run', () => {
  it('leaves out a VM whose job of the same policy still runs, starts the others, and says so', async () => {
    const policy = scheduled({ rateMs: HOUR_MS })
    const { world, engine } = await worldWith(policy)
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    let holding = true
    world.beforeMove = async ({ jobId }) => {
      const job = await world.jobStore.jobs.get(jobId, cancel)
      if (holding && job?.value.vm.name === 'db-1') await held
    }
    const first = await started(world, policy)
    await turnUntil(engine, async () =>
      (await jobsOf(world, first)).some(({ vm, state }) => vm.name === 'db-2' && state === 'done'),
    )
    const second = await run(engine, policy)
    expect(second).toMatchObject({ state: 'planned', leftOut: [{ code: 'coalesced', count: 1, names: ['db-1'] }] })
    expect((await jobsOf(world, second.id)).map(({ vm }) => vm.name)).toEqual(['db-2'])
    holding = false
    release()
    await turnUntil(engine, () => isOver(world, first))
    expect((await run(engine, policy)).leftOut).toEqual([])
    await expectRest(engine)
  })

  it('of which every VM is still being backed up is refused as coalesced, and another policy or a request is not', async () => {
    const policy = scheduled({ rateMs: HOUR_MS })
    const { world, engine } = await worldWith(policy, ['db-1'])
    const first = await started(world, policy)
    await turnUntil(engine, async () => (await jobsOf(world, first)).length > 0)
    const second = await run(engine, policy)
    expect(second).toMatchObject({
      state: 'refused',
      refusal: { kind: 'skipped', code: 'coalesced' },
      leftOut: [{ code: 'coalesced', count: 1, names: ['db-1'] }],
    })
    await turnUntil(engine, () => isOver(world, first))
    await expectRest(engine)
  })

  // A plan that dies after it made some jobs must not take its own jobs for those of an earlier run.
  it('that is planned again after its plan died half-way starts every VM', async () => {
    const policy = scheduled({ rateMs: HOUR_MS })
    const { world, engine } = await worldWith(policy, ['db-1', 'db-2', 'db-3'])
    let creates = 0
    world.chaos = chaos((call) =>
      call.name === 'jobs.create' && ++creates === 3 ? { when: 'before', blow: 'kill' } : null,
    )
    const planned = await run(engine, policy)
    expect(creates).toBeGreaterThanOrEqual(3)
    expect(planned.leftOut).toEqual([])
    expect((await jobsOf(world, planned.id)).map(({ vm }) => vm.name).toSorted()).toEqual(['db-1', 'db-2', 'db-3'])
    await expectRest(engine)
  })

  it('with an RPO starts what would be too old by the next look, most overdue first, and nothing else', async () => {
    const policy = scheduled({ rpoMs: 4 * HOUR_MS })
    const { world, engine } = await worldWith(policy, ['db-1', 'db-2', 'db-3'])
    const names = async (id: RunId) => {
      const { jobIds } = await runOf(world, id)
      const jobs = await jobsOf(world, id)
      return jobIds.map((jobId) => jobs.find(({ id: own }) => own === jobId)?.vm.name)
    }
    expect(await names((await run(engine, policy)).id)).toEqual(['db-1', 'db-2', 'db-3'])
    expect(await run(engine, policy)).toMatchObject({ state: 'refused', refusal: { kind: 'skipped', code: 'not-due' } })
    const age = async (name: string, ms: number) => {
      const vm = world.vcenter.vms.find((each) => each.name === name)
      if (vm === undefined) throw new Error(name)
      const found = await world.jobStore.vms.get(vm.vmId, cancel)
      if (found?.value.lastSuccess == null) throw new Error('no success is remembered')
      const lastSuccess = { ...found.value.lastSuccess, at: isoTime(world.clock.nowMs() - ms), tookMs: 0 }
      await world.jobStore.vms.replace(
        vm.vmId,
        { value: { ...found.value, lastSuccess }, version: found.version },
        cancel,
      )
    }
    await age('db-1', 3.6 * HOUR_MS)
    await age('db-2', 3.4 * HOUR_MS)
    await age('db-3', 5 * HOUR_MS)
    const again = await run(engine, policy)
    expect(await names(again.id)).toEqual(['db-3', 'db-1'])
    expect(again.leftOut).toMatchObject([{ code: 'not-due', count: 1, names: ['db-2'] }])
    await expectRest(engine)
  })

  it('with an RPO tries a VM that fails ever more rarely, and at once again after a success', async () => {
    const policy = { ...scheduled({ rpoMs: 4 * HOUR_MS }), attemptsMax: 1 }
    const { world, engine } = await worldWith(policy, ['db-1'])
    let broken = true
    world.beforeMove = async () => {
      if (broken) throw new Error('No mover today')
    }
    const starts: number[] = []
    const until = world.clock.nowMs() + 10 * HOUR_MS
    while (world.clock.nowMs() < until) {
      const result = await run(engine, policy)
      if (result.state === 'planned') starts.push(world.clock.nowMs())
      await turnFor(engine, HOUR_MS / 2)
    }
    expect(starts.length).toBeGreaterThan(2)
    expect(starts.length).toBeLessThan(8)
    broken = false
    await turnFor(engine, 4 * HOUR_MS)
    await run(engine, policy)
    const [history] = await Promise.all(world.vcenter.vms.map(({ vmId }) => world.jobStore.vms.get(vmId, cancel)))
    expect(history?.value).toMatchObject({ failures: null, lastSuccess: { grade: expect.any(String) } })
    await expectRest(engine)
  })
})

describe('a window that closes', () => {
  it('skips what has not begun to capture, and lets what has begun come to its end', async () => {
    const policy = scheduled({ cron: '0 22 * * *', windowClose: '22:05' })
    const { world, engine } = await worldWith(policy)
    while (new Date(world.clock.nowMs()).getUTCHours() !== 22) world.clock.advance(60_000)
    // db-2 has a task of somebody else's on it until long after the window.
    const db2 = world.vcenter.vms.find(({ name }) => name === 'db-2')
    if (db2 === undefined) throw new Error('db-2')
    world.beforeMove = async ({ jobId }) => {
      const job = await world.jobStore.jobs.get(jobId, cancel)
      if (job?.value.vm.name === 'db-1') await world.clock.sleep(HOUR_MS / 5, cancel)
    }
    db2.runningTasks.push('CloneVM_Task')
    const id = await started(world, policy)
    await turnUntil(engine, () => isOver(world, id))
    const ends = (await jobsOf(world, id)).map(({ vm, outcome }) => `${vm.name} ${outcome?.kind} ${outcome?.code}`)
    expect(ends.toSorted()).toEqual(['db-1 success ok', 'db-2 skipped window-closed'])
    await expectRest(engine)
  })

  it('before the VMs could be listed starts none', async () => {
    const policy = scheduled({ cron: '0 22 * * *', windowClose: '22:10' })
    const { world, engine } = await worldWith(policy)
    while (new Date(world.clock.nowMs()).getUTCHours() !== 22) world.clock.advance(60_000)
    const untilMs = world.clock.nowMs() + HOUR_MS / 2
    world.chaos = chaos((call) =>
      call.name === 'vsphere.open' && world.clock.nowMs() < untilMs ? { when: 'before', blow: 'unreachable' } : null,
    )
    expect(await run(engine, policy)).toMatchObject({ state: 'refused', refusal: { code: 'window-closed' } })
    expect(await world.jobStore.recentJobs({ limit: 10 }, cancel)).toEqual([])
  })
})

describe('a missed RPO', () => {
  it('is counted each minute and told once, also while vCenter is away, and no more after a backup', async () => {
    const policy = scheduled({ rpoMs: 4 * HOUR_MS })
    const { world, engine } = await worldWith(policy, ['db-1', 'db-2'])
    await run(engine, policy)
    const process: Process = { name: 'watch', stop: new AbortController(), dead: false, onDeath: () => undefined }
    const metrics = memoryMetrics()
    const look = () => watchRpo({ ...world.depsOf(process), metrics }, cancel)
    const told = () => world.events.published.filter(({ type }) => type === 'coldframe.rpo.missed')
    await turnFor(engine, 3 * HOUR_MS)
    expect(await look()).toBe(0)
    world.chaos = chaos((call) => (call.name === 'vsphere.open' ? { when: 'before', blow: 'unreachable' } : null))
    await turnFor(engine, 1.2 * HOUR_MS)
    expect(await look()).toBe(2)
    expect(await look()).toBe(2)
    expect(metrics.total('rpo.missed')).toBe(4)
    expect(new Set(told().map(({ id }) => id)).size).toBe(2)
    expect(told()).toHaveLength(2)
    world.chaos = chaos(() => null)
    await run(engine, policy)
    expect(await look()).toBe(0)
    await store(world, policy, 'removed')
    await turnFor(engine, 8 * HOUR_MS)
    expect(await look()).toBe(0)
  })

  it('of a VM that never had a point comes once its policy has had the time of an RPO', async () => {
    const policy = { ...scheduled({ rpoMs: HOUR_MS }), attemptsMax: 1 }
    const { world, engine } = await worldWith(policy, ['db-1'])
    world.beforeMove = async () => {
      throw new Error('No mover today')
    }
    for (let minutes = 0; minutes < 120; minutes += 10) {
      await run(engine, policy)
      await turnFor(engine, HOUR_MS / 6)
    }
    const told = world.events.published.filter(({ type }) => type === 'coldframe.rpo.missed')
    expect(told).toHaveLength(1)
    expect(told[0]?.data).toMatchObject({ policy: policy.name, vm: 'db-1' })
  })

  it('is looked for at the VMs whose time ends first, in a record that stays small', () => {
    const vms = Array.from({ length: 500 }, (_, index) => ({
      vmId: parseVmId(`00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`),
      name: `vm-${index}`,
    }))
    const nowMs = Date.UTC(2026, 0, 1)
    const histories = new Map(
      vms.slice(10).map(({ vmId }, index) => [
        vmId,
        {
          lastSuccess: {
            at: isoTime(nowMs - index * 1_000),
            pointId: parsePointId('a'.repeat(32)),
            grade: 'crash' as const,
            tookMs: 1,
          },
        },
      ]),
    )
    const first = rpoWatchOf({ vms, histories, rpoMs: HOUR_MS, nowMs, before: null })
    expect(first.watched).toHaveLength(WATCHED_MAX)
    expect(first.watched[0]?.name).toBe('vm-499')
    const late = rpoWatchOf({ vms: vms.slice(0, 10), histories, rpoMs: HOUR_MS, nowMs, before: null })
    const later = rpoWatchOf({ vms: vms.slice(0, 10), histories, rpoMs: HOUR_MS, nowMs: nowMs + HOUR_MS, before: late })
    expect(later.watched).toEqual(late.watched)
  })
})
