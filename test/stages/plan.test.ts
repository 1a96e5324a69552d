// plan and watch: which VMs a run means, runs that wait for vCenter, and messages that got lost.

import { describe, expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { isoTime } from '../../lib/base/clock.ts'
import { chooseVms } from '../../lib/model/choose-vms.ts'
import { parseRunId } from '../../lib/model/ids.ts'
import type { VmSummary } from '../../lib/model/vm.ts'
import { sampleRun } from '../kit/record-samples.ts'
import { backUp, backUpOne, expectRest, request } from './backups.ts'
import { chaos } from './chaos.ts'
import { isOver, jobsOf, newEngine, runOf, turnFor, turnUntil } from './engine.ts'
import { addVm, newWorld, policyWith, type World } from './world.ts'

const HOUR_MS = 3_600_000

async function worldWithVms(...names: readonly string[]) {
  const world = await newWorld()
  for (const name of names) addVm(world, { name, diskBytes: [64 * KiB] })
  return { world, engine: newEngine(world) }
}

async function inventoryOf(world: World): Promise<readonly VmSummary[]> {
  const cancel = { signal: new AbortController().signal }
  await using session = await world.vcenter.vsphere.open(cancel)

  return await session.listVms(cancel)
}

function unreachable(until: () => boolean, process = 'plan') {
  return chaos((call) =>
    call.process === process && call.name === 'vsphere.open' && !until()
      ? { when: 'before', blow: 'unreachable' }
      : null,
  )
}

describe('plan', () => {
  it('makes one job for each VM that the policy selects, and none for templates', async () => {
    const { world, engine } = await worldWithVms('db-1', 'db-2', 'web-1', 'db-template')
    for (const vm of world.vcenter.vms) vm.template = vm.name === 'db-template'
    const policy = policyWith({ select: { any: [{ name: 'db-*' }], all: [], none: [] } })
    const jobs = await backUp(engine, { vms: null, policy })
    expect(jobs.map((job) => job.vm.name).toSorted()).toEqual(['db-1', 'db-2'])
    expect(jobs.every((job) => job.outcome?.kind === 'success')).toBe(true)
    await expectRest(engine)
  })

  it('refuses a run with a sentence that helps', async () => {
    const { world } = await worldWithVms('db-1', 'db-2', 'db-2', 'gold-image')
    for (const vm of world.vcenter.vms) vm.template = vm.name === 'gold-image'
    const vms = await inventoryOf(world)
    const policy = policyWith()
    const refusal = (...names: readonly string[]) => {
      const choice = chooseVms({ vms: names, policy }, vms)
      return 'refusal' in choice ? choice.refusal : null
    }
    expect(refusal('db-1', 'db1')).toMatchObject({
      code: 'vm-not-found',
      message: 'Cannot find VM "db1"',
      hint: 'Did you mean "db-1" or "db-2"?',
    })
    expect(refusal('db-2')).toMatchObject({ code: 'vm-ambiguous' })
    expect(refusal('db-2')?.message).toContain('"vm-102" in "/DC/Servers"')
    expect(refusal('gold-image')).toMatchObject({ code: 'vm-template' })
    expect(chooseVms({ vms: null, policy }, vms)).toMatchObject({ refusal: { code: 'nothing-selected' } })
    expect(chooseVms({ vms: ['vm-102', 'DB-1'.toLowerCase(), 'vm-101'], policy }, vms)).toMatchObject({
      vms: [vms[1], vms[0]],
    })
  })

  it('of a schedule waits while vCenter is away, with few messages, and goes on', async () => {
    const { world, engine } = await worldWithVms('db-1')
    const backMs = world.clock.nowMs() + 50 * 60_000
    world.chaos = unreachable(() => world.clock.nowMs() >= backMs)
    const id = await request(world, { door: 'schedule' })
    await turnUntil(engine, () => isOver(world, id))
    expect((await jobsOf(world, id))[0]?.outcome?.kind).toBe('success')
    expect(world.sent.filter(({ kind }) => kind === 'plan').length).toBeLessThan(25)
    await expectRest(engine)
  })

  it('of a schedule is refused with the reason when vCenter is away for too long', async () => {
    const { world, engine } = await worldWithVms('db-1')
    world.chaos = unreachable(() => false)
    const id = await request(world, { door: 'schedule' })
    await turnUntil(engine, () => isOver(world, id), 2 * HOUR_MS)
    expect((await runOf(world, id)).refusal).toMatchObject({ kind: 'failed', code: 'struck-unreachable' })
  })

  it('that takes longer than watch waits is refused all the same', async () => {
    const { world, engine } = await worldWithVms('db-1')
    world.chaos = chaos(({ process, name }) =>
      process === 'plan' && name === 'vsphere.open'
        ? { when: 'before', blow: 'delay', until: world.clock.sleep(300_000, { signal: new AbortController().signal }) }
        : null,
    )
    const id = await request(world, { vms: ['nobody'] })
    await turnUntil(engine, () => isOver(world, id), 15 * 60_000)
    expect((await runOf(world, id)).refusal).toMatchObject({ code: 'vm-not-found' })
  })

  it('on demand is refused at once: whoever asked is there to ask again', async () => {
    const { world, engine } = await worldWithVms('db-1')
    world.chaos = unreachable(() => false)
    const id = await request(world)
    await turnUntil(engine, () => isOver(world, id), 60_000)
    expect((await runOf(world, id)).refusal).toMatchObject({ code: 'struck-unreachable' })
  })

  it('that died half-way and is then refused keeps the jobs that it made', async () => {
    const { world, engine } = await worldWithVms('db-1', 'db-2')
    let made = 0
    world.chaos = chaos(({ process, name }) => {
      if (process === 'plan' && name === 'vsphere.open' && made > 0) return { when: 'before', blow: 'refused' }
      if (process === 'plan' && name === 'jobs.create' && ++made === 2) return { when: 'before', blow: 'kill' }
      return null
    })
    const jobs = await backUp(engine, { vms: ['db-1', 'db-2'] })
    expect(jobs.map((job) => [job.vm.name, job.outcome?.kind])).toEqual([['db-1', 'success']])
    expect((await runOf(world, jobs[0]?.runId ?? expect.fail())).state).toBe('planned')
    await expectRest(engine)
  })

  it('twice at once over different inventories leaves a run with the jobs of both', async () => {
    const { world, engine } = await worldWithVms('db-1')
    const policy = policyWith({ select: { any: [{ name: '*' }], all: [], none: [] } })
    let plans = 0
    world.onSend = ({ kind }) => (kind === 'plan' ? 'twice' : 'keep')
    engine.deliveriesMax = 10
    world.chaos = chaos(({ process, name }) => {
      if (process === 'plan' && name === 'vsphere.listVms' && ++plans === 2)
        addVm(world, { name: 'db-2', diskBytes: [64 * KiB] })
      return null
    })
    const jobs = await backUp(engine, { vms: null, policy })
    expect(plans).toBe(2)
    expect(jobs.map((job) => job.vm.name)).toEqual(['db-1', 'db-2'])
    expect((await runOf(world, jobs[0]?.runId ?? expect.fail())).jobIds.toSorted()).toEqual(
      jobs.map((job) => job.id).toSorted(),
    )
    await expectRest(engine)
  })
})

describe('watch', () => {
  it('sends again whichever message gets lost', async () => {
    const kinds = ['plan', 'prepare', 'capture', 'transfer', 'commit', 'release', 'finish']
    for (const kind of kinds) {
      const { world, engine } = await worldWithVms('db-1')
      let lost = 0
      world.onSend = (message) => (message.kind === kind && lost++ === 0 ? 'lose' : 'keep')
      const started = world.clock.nowMs()
      expect((await backUpOne(engine)).outcome?.kind).toBe('success')
      expect(lost).toBeGreaterThan(0)
      expect(world.clock.nowMs() - started).toBeLessThan(5 * 60_000)
      await expectRest(engine)
    }
  })

  it('plans a run whose door died before it could send', async () => {
    const { world, engine } = await worldWithVms('db-1')
    world.chaos = chaos(({ process, name }) =>
      process === 'door' && name === 'queue.send' ? { when: 'before', blow: 'broken' } : null,
    )
    await expect(request(world, { vms: ['db-1'] })).rejects.toThrow('broken')
    await turnFor(engine, 10 * 60_000)
    const [run] = await world.jobStore.recentRuns({ limit: 1 }, { signal: new AbortController().signal })
    expect(run?.state).toBe('planned')
    expect(await isOver(world, run?.id ?? expect.fail())).toBe(true)
    await expectRest(engine)
  })

  it('plans a run whose message was lost, however many newer runs there are', async () => {
    const { world, engine } = await worldWithVms('db-1')
    let lost = 0
    world.onSend = ({ kind }) => (kind === 'plan' && lost++ === 0 ? 'lose' : 'keep')
    const id = await request(world, { vms: ['db-1'] })
    for (let number = 0; number < 150; number++) {
      const newer = sampleRun({
        id: parseRunId(number.toString(16).padStart(32, '0')),
        state: 'refused',
        requestedAt: isoTime(world.clock.nowMs() + 1_000 + number),
      })
      await world.jobStore.runs.create(newer.id, newer, { signal: new AbortController().signal })
    }
    await turnFor(engine, 10 * 60_000)
    expect(lost).toBeGreaterThan(0)
    expect((await runOf(world, id)).state).toBe('planned')
    expect(await isOver(world, id)).toBe(true)
  })

  it('keeps quiet while everything is on its way', async () => {
    const { world, engine } = await worldWithVms('db-1')
    world.beforeMove = () => world.clock.sleep(10 * 60_000, { signal: new AbortController().signal })
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect(world.log.lines.filter(({ event }) => event === 'job.overdue')).toEqual([])
  })
})
