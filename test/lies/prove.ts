// One lie through the whole product: it is noticed, it is healed or refused by name, every point that exists restores what was frozen,
// and nothing of ours is left. COLDFRAME_SEED replays a run.

import { describe, expect, it } from 'vitest'
import type { MemoryLog } from '../../lib/adapters/memory/log.ts'
import type { Job } from '../../lib/model/job.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { actOn } from '../../sim/estate/act.ts'
import type { Act, Chapter, Lie, Rule, Sign } from './lie.ts'
import { type LieWorld, openLieWorld, VM } from './world.ts'

export const seed = Number(process.env['COLDFRAME_SEED'] ?? Date.now() % 1_000_000)
const WRITE_BYTES = 400_000

/** A test for every lie of these chapters; a few at once, since they wait more than they compute. */
export function proveLies(chapters: readonly Chapter[]): void {
  for (const { title, lies } of chapters) {
    describe.concurrent(`${title} (COLDFRAME_SEED=${seed})`, () => {
      it.each(lies)('$lie: $ends.kind ($ends.code)', { timeout: 120_000 }, (lie) => proveLie(lie))
    })
  }
}

async function proveLie(lie: Lie): Promise<void> {
  await using world = await openLieWorld({ seed, ...lie })

  if (lie.first !== true) await firstBackup(world)
  for (const act of lie.before ?? []) carryOut(world, act)
  for (const rule of lie.rules ?? []) arm(world, rule)
  const logged = world.product.log.lines.length
  const waited = world.product.waits.length
  const called = world.scenario.calls()
  world.product.limit(lie.limits ?? {})
  const job = await world.product.backUp(VM, lie.policy ?? {})
  world.product.limit({})
  const lines = world.product.log.lines.slice(logged)
  const why = explain(job, lines)
  expect(world.scenario.failures(), why).toEqual([])
  expect(world.scenario.waiting(), why).toEqual([])
  const waits = world.product.waits.slice(waited)
  world.scenario.disarm()
  expect(job.outcome, why).toMatchObject(lie.ends)
  const isMade = lie.ends.kind === 'success' || lie.ends.kind === 'warning'
  const points = await world.product.points()
  expect(points.length, why).toBe((isMade ? 1 : 0) + (lie.first ? 0 : 1))
  const callsOf = (call: string) => (world.scenario.calls()[call] ?? 0) - (called[call] ?? 0)
  for (const sign of lie.noticed)
    expect(shows(sign, { job, lines, points, waits, callsOf }), `${JSON.stringify(sign)} in ${why}`).toBe(true)
  if (lie.pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, lie.pauseMs))
  for (const act of lie.after ?? []) carryOut(world, act)

  if (lie.quiet !== true) machineOf(world).guest.burst(WRITE_BYTES)
  const next = await world.product.backUp(VM, lie.nextPolicy ?? {})
  expect(next.outcome, explain(next, [])).toMatchObject(lie.next ?? { kind: 'success' })
  await expectRest(world, lie)
}

/** What one lie holds up, the other may have kept from being let go. */
const CALM: readonly Act[] = [
  { action: 'end-tasks' },
  { action: 'list-late', body: { ms: 0 } },
  { action: 'hold-consolidation', body: { ms: 0 } },
  { action: 'others-read' },
]

/** Only what must hold whatever happens: how the backup ends is not foretold. */
export async function provePair(one: Lie, other: Lie): Promise<void> {
  const lie = { ...one, ...other, foreign: foreignOf(one, other) }
  await using world = await openLieWorld({ seed, ...lie })

  await firstBackup(world)
  for (const act of [...(one.before ?? []), ...(other.before ?? [])]) carryOut(world, act)
  for (const rule of [...(one.rules ?? []), ...(other.rules ?? [])]) arm(world, rule)
  const logged = world.product.log.lines.length
  world.product.limit(lie.limits ?? {})
  world.product.limit({ ...one.limits, ...other.limits })
  const job = await world.product.backUp(VM, lie.policy ?? {})
  world.product.limit({})
  world.product.limit({})
  const why = explain(job, world.product.log.lines.slice(logged))
  world.scenario.disarm()
  expect(job.outcome?.message, why).toMatch(/^[A-Z"0-9].{10,}[^.\s]$/s)
  expect(job.outcome?.code, why).toMatch(/^[a-z][a-z-]+$/)
  const pauseMs = Math.max(one.pauseMs ?? 0, other.pauseMs ?? 0)
  if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
  for (const act of [...(one.after ?? []), ...(other.after ?? []), ...CALM]) carryOut(world, act)
  const next = await world.product.backUp(VM, { changeTracking: { auditPercent: 100 } })
  const told = `${why}\n${explain(next, [])}`
  const blocked = machineOf(world).snapshots.length > 0
  expect(next.outcome?.kind, told).toBeOneOf(blocked ? ['failed'] : ['success', 'warning'])
  await expectRest(
    world,
    { foreign: machineOf(world).snapshots.flatMap(({ name }) => (lie.foreign.includes(name) ? [name] : [])) },
    told,
  )
}

function foreignOf(...lies: readonly Lie[]): readonly string[] {
  return lies.flatMap(({ foreign }) => foreign ?? [])
}

async function firstBackup(world: LieWorld): Promise<void> {
  expect((await world.product.backUp(VM, {})).outcome).toMatchObject({ kind: 'success' })
  machineOf(world).guest.burst(WRITE_BYTES)
}

async function expectRest(world: LieWorld, lie: Pick<Lie, 'foreign' | 'unproven'>, why = ''): Promise<void> {
  const points = await world.product.points()
  const marked = lie.unproven ?? []
  expect(await world.product.unproven(), why).toEqual(marked)
  for (const point of points) {
    const { sequence } = point.envelope
    const isWrong = (await world.wrongDisks(point)).length > 0
    expect([sequence, isWrong], why).toEqual([sequence, marked.includes(sequence)])
  }
  const machine = machineOf(world)
  expect(
    machine.snapshots.map(({ name }) => name),
    why,
  ).toEqual(lie.foreign ?? [])
  expect(machine.consolidationNeeded, why).toBe(false)
  expect(await world.product.debts(), why).toEqual([])
}

function machineOf({ estate }: LieWorld) {
  const [machine] = estate.named(VM)
  if (machine === undefined) throw new Error('The machine is gone')
  return machine
}

function carryOut({ estate }: LieWorld, { action, body = {} }: Act): void {
  actOn(estate, { vm: VM, action, body })
}

function arm({ scenario }: LieWorld, { call, nth = 1, times = 1, mishap }: Rule): void {
  const wish = mishap.kind === 'action' ? { ...mishap, vm: VM, body: mishap.body ?? {} } : mishap
  scenario.arm({ call, when: { kind: 'nth', nth }, times, mishap: wish })
}

function explain({ outcome, notices, attempt }: Job, lines: MemoryLog['lines']): string {
  const told = lines.map(
    ({ level, event, facts }) => `${level} ${event} ${JSON.stringify({ ...facts, job: undefined, vm: undefined })}`,
  )
  return [JSON.stringify({ outcome, notices, attempt }), ...told].join('\n')
}

type Seen = {
  readonly waits: readonly string[]
  readonly callsOf: (call: string) => number
  readonly job: Job
  readonly lines: MemoryLog['lines']
  readonly points: readonly StoredPoint[]
}

function shows(sign: Sign, { job, lines, points, waits, callsOf }: Seen): boolean {
  if ('read' in sign) return points.at(-1)?.body.disks.some(({ readModeCode }) => readModeCode === sign.read) ?? false
  if ('notice' in sign) return job.notices.some(({ code }) => code === sign.notice)
  if ('outcome' in sign) return job.outcome?.code === sign.outcome
  if ('harmless' in sign || 'later' in sign) return true
  if ('readBytes' in sign) return job.counts.readBytes >= sign.readBytes
  if ('waits' in sign) return waits.some((each) => each.includes(sign.waits))
  if ('repeats' in sign) return callsOf(sign.repeats) >= sign.calls
  if ('attempts' in sign) return job.attempt === sign.attempts
  return lines.some(({ event, facts }) => event === sign.log && (sign.says?.test(JSON.stringify(facts)) ?? true))
}
