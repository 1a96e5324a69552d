// The stage alarm: what becomes of alarms, whatever happens on the way, and that each ends in one decision.

import { describe, expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { isoTime } from '../../lib/base/clock.ts'
import { withMarksLifted } from '../../lib/model/vm-marks.ts'
import { listAnnotations } from '../../lib/repository/annotations.ts'
import { rememberVm } from '../../lib/stages/vm-history.ts'
import { alarmAbout, alarmPolicy, applyPolicy, decisionOf, tellAlarm } from './alarms.ts'
import { backUpOne } from './backups.ts'
import { BLOWS, chaos, type Strike } from './chaos.ts'
import { newEngine, turnFor, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld, type World } from './world.ts'

const MINUTE_MS = 60_000

async function worldWith(...names: readonly string[]) {
  const world = await newWorld()
  for (const name of names) addVm(world, { name, diskBytes: [64 * KiB] })
  return { world, engine: newEngine(world) }
}

async function runsOf(world: World) {
  return (await world.jobStore.recentRuns({ limit: 100 }, cancel)).toReversed()
}

/** At one call of the stage alarm, counted from 1. */
function strikeAlarm({ call, when, blow }: Strike) {
  let calls = 0
  return chaos(({ process }) => (process === 'alarm' && ++calls === call ? { when, blow } : null))
}

function isDecided(world: World, ids: readonly Parameters<typeof decisionOf>[1][]) {
  return async () => {
    const decisions = await Promise.all(ids.map((id) => decisionOf(world, id)))
    return decisions.every((decision) => decision !== null && decision.kind !== 'put-off')
  }
}

async function jobsDone(world: World, least = 1): Promise<boolean> {
  const jobs = await world.jobStore.recentJobs({ limit: 1000 }, cancel)
  return jobs.length >= least && jobs.every(({ state }) => state === 'done')
}

describe('an alarm that a rule matches', () => {
  it('starts a backup of its VM alone, which ends in a restore point', async () => {
    const { world, engine } = await worldWith('db-1', 'db-2')
    await applyPolicy(world, alarmPolicy())
    const id = await tellAlarm(world, alarmAbout(world, 'db-1'))
    await turnUntil(engine, () => jobsDone(world))

    const [run, ...others] = await runsOf(world)
    expect(others).toEqual([])
    expect(run).toMatchObject({ door: 'alarm', state: 'planned', policy: { name: 'gold' } })
    expect(await decisionOf(world, id)).toMatchObject({
      kind: 'acted',
      code: 'run-started',
      runId: run?.id,
      action: 'backup',
    })
    const jobs = await world.jobStore.recentJobs({ limit: 9 }, cancel)
    expect(jobs.map(({ vm, outcome }) => [vm.name, outcome?.kind])).toEqual([['db-1', 'success']])
  })

  it('is acted on once, however often its message comes', async () => {
    const { world, engine } = await worldWith('db-1')
    await applyPolicy(world, alarmPolicy())
    world.onSend = () => 'twice'
    const alarm = alarmAbout(world, 'db-1')
    for (let times = 0; times < 5; times++) await tellAlarm(world, alarm)
    await turnUntil(engine, () => jobsDone(world))
    await turnFor(engine, 5 * MINUTE_MS)
    expect(await runsOf(world)).toHaveLength(1)
    expect(engine.failures).toEqual([])
  })

  it('of a kind that only freezes starts nothing, and no point of the VM may be let go from then on', async () => {
    const { world, engine } = await worldWith('db-1')
    await applyPolicy(world, alarmPolicy({ rules: [{ alarm: '*', action: 'freeze-retention' }] }))
    const id = await tellAlarm(world, alarmAbout(world, 'db-1'))
    await turnUntil(engine, isDecided(world, [id]))
    expect(await decisionOf(world, id)).toMatchObject({ kind: 'acted', code: 'marked', runId: null })
    const [vm] = world.vcenter.vms
    const history = vm === undefined ? null : (await world.jobStore.vms.get(vm.vmId, cancel))?.value
    expect(history).toMatchObject({ quarantine: null, retentionFreeze: { alarmId: id } })
    expect(await runsOf(world)).toEqual([])
  })
})

describe('a VM in quarantine', () => {
  const suspects = async ({ repository }: World) => {
    const { annotations } = await listAnnotations({ repository }, cancel)
    return annotations.map(({ sequence, said }) => [sequence, said?.kind])
  }

  it('has each point marked as suspect that is written after the alarm, until it is lifted', async () => {
    const { world, engine } = await worldWith('db-1')
    await backUpOne(engine)
    await applyPolicy(world, alarmPolicy({ rules: [{ alarm: '*', action: 'backup+quarantine' }] }))
    const alarm = await tellAlarm(world, alarmAbout(world, 'db-1'))
    await turnUntil(engine, isDecided(world, [alarm]))
    await turnUntil(engine, () => jobsDone(world, 2))
    expect(await suspects(world)).toEqual([[2, 'suspect']])
    expect((await backUpOne(engine)).outcome).toMatchObject({ kind: 'warning', code: 'point-suspect' })
    const [vm] = world.vcenter.vms
    if (vm === undefined) throw new Error('no VM')
    const lift = { at: isoTime(world.clock.nowMs()), by: 'somebody', reason: 'a test' }
    await rememberVm(vm, (history) => withMarksLifted(history, lift), { deps: world, cancel })
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect(await suspects(world)).toEqual([
      [2, 'suspect'],
      [3, 'suspect'],
    ])
    const history = (await world.jobStore.vms.get(vm.vmId, cancel))?.value
    expect(history?.lifted.map(({ what, by }) => `${what} ${by}`)).toEqual([
      'quarantine somebody',
      'retention-freeze somebody',
    ])
  })

  it('has a point marked once, however often finish dies on the way', async () => {
    for (const when of ['before', 'after'] as const) {
      for (const blow of BLOWS) {
        const { world, engine } = await worldWith('db-1')
        await applyPolicy(world, alarmPolicy({ rules: [{ alarm: '*', action: 'backup+quarantine' }] }))
        let struck = 0
        world.chaos = chaos(({ process, name }) =>
          process === 'finish' && name === 'store.putIfAbsent' && struck++ < 2 ? { when, blow } : null,
        )
        await tellAlarm(world, alarmAbout(world, 'db-1'))
        await turnUntil(engine, () => jobsDone(world))
        expect(struck).toBeGreaterThan(0)
        expect(await suspects(world)).toEqual([[1, 'suspect']])
      }
    }
  })
})

describe('an alarm is recorded, with the reason, and starts nothing', () => {
  it.each([
    ['that no rule knows', 'no-rule', { alarmName: 'VM migrated' }],
    ['that is over', 'cleared', { state: 'cleared' }],
    [
      'about a host',
      'not-a-vm',
      { target: { moref: 'host-9', instanceUuid: null, name: 'esx-1', kind: 'HostSystem' } },
    ],
    [
      'about a VM that is not there',
      'vm-not-found',
      { target: { moref: null, instanceUuid: null, name: 'x', kind: null } },
    ],
    ['of another vCenter', 'other-vcenter', { vcenterId: '11111111-2222-4000-8000-000000000001' }],
  ] as const)('%s', async (_what, code, change) => {
    const { world, engine } = await worldWith('db-1')
    await applyPolicy(world, alarmPolicy())
    const id = await tellAlarm(world, alarmAbout(world, 'db-1', change))
    await turnUntil(engine, isDecided(world, [id]))
    expect(await decisionOf(world, id)).toMatchObject({ kind: 'recorded', code, runId: null })
    expect(await runsOf(world)).toEqual([])
  })

  it('of a VM that no policy with such a rule selects, or whose policy was removed', async () => {
    const { world, engine } = await worldWith('db-1')
    await applyPolicy(world, alarmPolicy({ select: { any: [{ name: 'web-*' }], all: [], none: [] } }))
    const first = await tellAlarm(world, alarmAbout(world, 'db-1'))
    await turnUntil(engine, isDecided(world, [first]))
    expect(await decisionOf(world, first)).toMatchObject({ code: 'not-selected' })
  })

  it('of a VM with a job at work; what is to be marked is marked all the same', async () => {
    const { world, engine } = await worldWith('db-1')
    await applyPolicy(world, alarmPolicy({ rules: [{ alarm: '*', action: 'backup+quarantine' }] }))
    const moving = Promise.withResolvers<void>()
    world.beforeMove = () => moving.promise
    const first = await tellAlarm(world, alarmAbout(world, 'db-1'))
    await turnUntil(engine, async () => world.moving > 0)
    const hour = 31 * MINUTE_MS
    await turnFor(engine, hour)
    const second = await tellAlarm(world, alarmAbout(world, 'db-1', { key: 'second' }))
    await turnUntil(engine, isDecided(world, [first, second]))
    expect(await decisionOf(world, second)).toMatchObject({ kind: 'acted', code: 'job-running', runId: null })
    expect(await runsOf(world)).toHaveLength(1)
    moving.resolve()
    await turnUntil(engine, () => jobsDone(world))
  })

  it('of a VM that an alarm has lately started a backup of, and no longer once that time is over', async () => {
    const { world, engine } = await worldWith('db-1')
    await applyPolicy(world, alarmPolicy())
    await tellAlarm(world, alarmAbout(world, 'db-1'))
    await turnUntil(engine, () => jobsDone(world))
    const second = await tellAlarm(world, alarmAbout(world, 'db-1', { key: 'second' }))
    await turnUntil(engine, isDecided(world, [second]))
    expect(await decisionOf(world, second)).toMatchObject({ kind: 'recorded', code: 'debounced' })
    await turnFor(engine, 30 * MINUTE_MS)
    const third = await tellAlarm(world, alarmAbout(world, 'db-1', { key: 'third' }))
    await turnUntil(engine, isDecided(world, [third]))
    expect(await decisionOf(world, third)).toMatchObject({ kind: 'acted' })
  })
})

describe('many alarms', () => {
  it('at once go together in the run after the first, and the day’s budget bounds the runs', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `db-${index}`)
    const { world, engine } = await worldWith(...names)
    await applyPolicy(world, alarmPolicy({ budgetPerDay: 2 }))
    const [first = '', ...rest] = names
    const ids = [await tellAlarm(world, alarmAbout(world, first))]
    await turnUntil(engine, isDecided(world, ids))
    for (const name of rest.slice(0, 10)) ids.push(await tellAlarm(world, alarmAbout(world, name)))
    await turnUntil(engine, isDecided(world, ids))
    const runs = await runsOf(world)
    expect(runs.map(({ vms }) => vms?.length)).toEqual([1, 10])
    expect(Date.parse(runs[1]?.requestedAt ?? '') - Date.parse(runs[0]?.requestedAt ?? '')).toBeGreaterThanOrEqual(
      MINUTE_MS,
    )
    const last = await tellAlarm(world, alarmAbout(world, rest[10] ?? ''))
    await turnUntil(engine, isDecided(world, [last]))
    expect(await decisionOf(world, last)).toMatchObject({ kind: 'recorded', code: 'budget-spent' })
    // The next day there is a new one.
    await turnFor(engine, 24 * 60 * MINUTE_MS)
    const later = await tellAlarm(world, alarmAbout(world, rest[10] ?? '', { key: 'next day' }))
    await turnUntil(engine, isDecided(world, [later]))
    expect(await decisionOf(world, later)).toMatchObject({ kind: 'acted' })
  })

  it('about a VM that is deleted before the run is planned do not keep the others from their backup', async () => {
    const { world, engine } = await worldWith('db-1', 'db-2', 'db-3')
    await applyPolicy(world, alarmPolicy())
    const first = await tellAlarm(world, alarmAbout(world, 'db-1'))
    await turnUntil(engine, isDecided(world, [first]))
    for (const name of ['db-2', 'db-3']) await tellAlarm(world, alarmAbout(world, name))
    await turnFor(engine, MINUTE_MS / 2)
    const gone = world.vcenter.vms.findIndex(({ name }) => name === 'db-2')
    world.vcenter.vms.splice(gone, 1)
    await turnUntil(engine, async () => {
      const runs = await runsOf(world)
      return runs.length === 2 && runs.every(({ state }) => state === 'planned')
    })
    await turnUntil(engine, () => jobsDone(world))
    const jobs = await world.jobStore.recentJobs({ limit: 9 }, cancel)
    expect(jobs.map(({ vm, outcome }) => `${vm.name} ${outcome?.kind}`).toSorted()).toEqual([
      'db-1 success',
      'db-3 success',
    ])
  })
})

describe('an alarm whose stage fails', () => {
  it('at any call, in any way, ends in one decision and one run', async () => {
    const playOnce = async (around: World['chaos']) => {
      const { world, engine } = await worldWith('db-1')
      await applyPolicy(world, alarmPolicy({ rules: [{ alarm: '*', action: 'backup+quarantine' }] }))
      // What the run does is tested elsewhere.
      world.onSend = ({ kind }) => (kind === 'prepare' ? 'lose' : 'keep')
      world.chaos = around
      const id = await tellAlarm(world, alarmAbout(world, 'db-1'))
      await turnUntil(engine, isDecided(world, [id]))
      return { world, engine, decision: await decisionOf(world, id) }
    }
    let calls = 0
    await playOnce(
      chaos(({ process }) => {
        if (process === 'alarm') calls++
        return null
      }),
    )
    expect(calls).toBeGreaterThan(15)
    for (let call = 1; call <= calls; call++) {
      for (const blow of BLOWS) {
        for (const when of ['before', 'after'] as const) {
          const { world, engine, decision } = await playOnce(strikeAlarm({ call, when, blow }))
          await turnFor(engine, 5 * MINUTE_MS)
          expect({ call, blow, when, runs: (await runsOf(world)).length, kind: decision?.kind }).toEqual({
            ...{ call, blow, when, runs: 1, kind: 'acted' },
          })
        }
      }
    }
  }, 60_000)

  it('for as long as a stage may wait says what kept it', async () => {
    const { world, engine } = await worldWith('db-1')
    await applyPolicy(world, alarmPolicy())
    world.chaos = chaos(({ process, name }) =>
      process === 'alarm' && name === 'vsphere.open' ? { when: 'before', blow: 'unreachable' } : null,
    )
    const id = await tellAlarm(world, alarmAbout(world, 'db-1'))
    await turnFor(engine, 50 * MINUTE_MS)
    expect(await decisionOf(world, id)).toBeNull()
    await turnUntil(engine, isDecided(world, [id]))
    const decision = await decisionOf(world, id)
    expect(decision?.kind).toBe('recorded')
    expect(decision?.message).toMatch(/Nothing was done about alarm "Ransomware suspected"/)
  })

  it('with broken code is given up, visibly', async () => {
    const { world, engine } = await worldWith('db-1')
    await applyPolicy(world, alarmPolicy())
    world.chaos = chaos(({ process, name }) =>
      process === 'alarm' && name === 'listPolicies' ? { when: 'before', blow: 'broken' } : null,
    )
    const id = await tellAlarm(world, alarmAbout(world, 'db-1'))
    await turnUntil(engine, isDecided(world, [id]))
    expect(await decisionOf(world, id)).toMatchObject({ kind: 'recorded', code: 'abandoned' })
  })

  it('or whose message is lost is found by watch', async () => {
    const { world, engine } = await worldWith('db-1', 'db-2')
    await applyPolicy(world, alarmPolicy())
    let lost = 0
    world.onSend = ({ kind }) => (kind === 'alarm' && lost++ < 3 ? 'lose' : 'keep')
    const first = alarmAbout(world, 'db-1')
    await world.jobStore.alarms.create(
      first.id,
      { alarm: first, decision: null, wakeAtMs: world.clock.nowMs() },
      cancel,
    )
    const second = await tellAlarm(world, alarmAbout(world, 'db-2'))
    await turnUntil(engine, isDecided(world, [first.id, second]))
    expect(lost).toBeGreaterThan(1)
    expect((await decisionOf(world, first.id))?.kind).toBe('acted')
  })
})
