// Ten thousand alarms about two thousand VMs within a minute: few runs, no VM left out that the budget allows, vCenter asked a few times,
// and one record that still fits an item of a table.

import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../lib/base/random.ts'
import type { AlarmId, VmId } from '../../lib/model/ids.ts'
import type { StageDeps } from '../../lib/stages/deps.ts'
import { handleMessage } from '../../lib/stages/run-stage.ts'
import { watch } from '../../lib/stages/watch.ts'
import { doorRecord } from '../../lib/wire/door-records.ts'
import { alarmAbout, alarmPolicy, applyPolicy, decisionOf, tellAlarm } from './alarms.ts'
import { cancel, newWorld, type World } from './world.ts'

const VMS = 2_000
const ALARMS = 10_000
/** An item of DynamoDB holds 400 KB, names and the columns beside the body among them. */
const ITEM_BYTES_MAX = 390_000

type Storm = {
  readonly world: World
  readonly deps: StageDeps
  readonly ids: readonly AlarmId[]
  readonly peakBytes: () => number
}

async function storm({ budgetPerDay = 20, alarms = ALARMS } = {}): Promise<Storm> {
  const world = await newWorld()
  for (let number = 0; number < VMS; number++) world.vcenter.addVm({ name: `vm-${number}`, diskBytes: [] })
  await applyPolicy(world, alarmPolicy({ budgetPerDay }))
  let peak = 0
  const { doors } = world.jobStore
  const measured: World['jobStore']['doors'] = {
    ...doors,
    replace: async (id, next, within) => {
      peak = Math.max(peak, doorRecord.encode(next.value).length)
      return doors.replace(id, next, within)
    },
  }
  // One process, so that what it remembers of vCenter counts.
  const process = { name: 'alarm', stop: new AbortController(), dead: false, onDeath: () => undefined }
  // A wait of some milliseconds, for a record that others write, is over at once.
  const clock = { ...world.clock, sleep: async () => undefined }
  const deps = {
    ...world.depsOf(process),
    clock,
    jobStore: { ...world.jobStore, doors: measured },
    sender: world.queue,
  }
  const random = seededRandom(3)
  const ids: AlarmId[] = []
  for (let number = 0; number < alarms; number++) {
    const name = `vm-${number < VMS ? number : Math.floor(random.fraction() * VMS)}`
    const criticality = number % 20 === 7 ? 'critical' : 'info'
    ids.push(await tellAlarm(world, alarmAbout(world, name, { key: `alarm ${number}`, to: null, criticality })))
  }
  return { world, deps, ids, peakBytes: () => peak }
}

/** Handles what is there, four messages at once, and lets time pass, until every alarm is decided. @returns minutes that passed */
async function calm({ world, deps, ids }: Storm): Promise<number> {
  const startedMs = world.clock.nowMs()
  for (;;) {
    const got = await world.queue.receive('alarm', { max: 4, visibilityMs: 600_000 }, cancel)
    const work = async (delivery: (typeof got)[number], index: number) => {
      await handleMessage(delivery.message, deps, { ...cancel, invocation: `${world.clock.nowMs()}/${index}` })
      await world.queue.remove(delivery, cancel)
    }
    await Promise.all(got.map(work))
    if (got.length > 0) {
      world.clock.advance(4)
      continue
    }
    const waits = await world.jobStore.dueAlarms({ beforeMs: Number.MAX_SAFE_INTEGER, limit: 1 }, cancel)
    if (waits.length === 0) break
    await watch(deps, cancel)
    world.clock.advance(10_000)
    if (world.clock.nowMs() - startedMs > 3_600_000)
      throw new Error(`${ids.length} alarms are not decided within an hour`)
  }
  return Math.ceil((world.clock.nowMs() - startedMs) / 60_000)
}

async function runsOf({ world }: Storm) {
  return (await world.jobStore.recentRuns({ limit: 1_000 }, cancel)).toReversed()
}

describe('a storm of alarms', () => {
  it('starts few runs, with every VM in one of them', async () => {
    const raging = await storm()
    const minutes = await calm(raging)
    const runs = await runsOf(raging)
    const vms = runs.flatMap((run) => run.vms ?? [])
    expect(runs.length).toBeLessThanOrEqual(minutes + 1)
    expect(runs.length).toBeLessThan(10)
    expect(vms).toHaveLength(VMS)
    expect(new Set(vms).size).toBe(VMS)
    expect(raging.peakBytes()).toBeLessThan(ITEM_BYTES_MAX)
    expect(raging.world.vcenter.calls.filter((call) => call === 'listVms').length).toBeLessThan(minutes + 5)
    const codes = new Map<string, number>()
    for (const id of raging.ids) {
      const decision = await decisionOf(raging.world, id)
      codes.set(decision?.code ?? 'none', (codes.get(decision?.code ?? 'none') ?? 0) + 1)
    }
    expect(codes.get('run-started')).toBe(VMS)
    expect([...codes.keys()].toSorted()).toEqual(['debounced', 'run-started', 'waits-already'])
  }, 60_000)

  it('within a budget of two runs backs the most urgent up, and says of the others that the budget is spent', async () => {
    const raging = await storm({ budgetPerDay: 2, alarms: 3_000 })
    await calm(raging)
    const runs = await runsOf(raging)
    expect(runs).toHaveLength(2)
    const started = new Set<string>(runs.flatMap((run) => run.vms ?? []))
    // The first goes at once; the second takes as many as a run may have.
    expect(started.size).toBeGreaterThan(1_000)
    expect(started.size).toBeLessThanOrEqual(1_004)
    const byName = new Map<string, VmId>(raging.world.vcenter.vms.map(({ name, vmId }) => [name, vmId]))
    const urgent = Array.from({ length: VMS }, (_, number) => number).filter((number) => number % 20 === 7)
    expect(urgent.filter((number) => !started.has(byName.get(`vm-${number}`) ?? ''))).toEqual([])
    const spent = await Promise.all(raging.ids.map((id) => decisionOf(raging.world, id)))
    expect(spent.some((decision) => decision?.code === 'budget-spent')).toBe(true)
    expect(spent.every((decision) => decision !== null && decision.kind !== 'put-off')).toBe(true)
  }, 60_000)

  it('survives a store without memory of what was sent: every message lost is found by watch', async () => {
    const raging = await storm()
    // All that was sent is lost: only records are left.
    for (;;) {
      const got = await raging.world.queue.receive('alarm', { max: 1_000, visibilityMs: 600_000 }, cancel)
      if (got.length === 0) break
      for (const delivery of got) await raging.world.queue.remove(delivery, cancel)
    }
    raging.world.clock.advance(61_000)
    for (let look = 0; look < 3; look++) expect(await watch(raging.deps, cancel)).toBe(100)
    const got = await raging.world.queue.receive('alarm', { max: 1_000, visibilityMs: 600_000 }, cancel)
    expect(new Set(got.map(({ message }) => JSON.stringify(message))).size).toBe(300)
  }, 60_000)
})
