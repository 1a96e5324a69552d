// A backup struck at its first, second, third … call, and what must be true after each strike.

import { expect } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import type { Outcome } from '../../lib/model/outcome.ts'
import type { Policy } from '../../lib/model/policy.ts'
import { allPoints, backUpOne, expectRest, pointOfJob, request } from '../stages/backups.ts'
import { type Blow, type Chaos, chaos, noChaos, type Strike } from '../stages/chaos.ts'
import { type Engine, isOver, jobsOf, newEngine, runOf, turnUntil } from '../stages/engine.ts'
import { addVm, newWorld, policyWith, type World } from '../stages/world.ts'

/** Whose calls are struck: those of the stages and of watch, or those of the movers. */
export type Target = 'stages' | 'mover'

/** A backup's calls before its handlers': the door's own two, which fail to the face of whoever asks. */
const DOOR_CALLS = 2

/** A world with one VM, one restore point and tracking to be turned on, so that each kind of call is made. */
export async function worldWithPoint(seed = 1): Promise<Engine> {
  const world = await newWorld({ seed })
  const vm = addVm(world, { diskBytes: [128 * KiB] })
  const engine = newEngine(world)
  expect((await backUpOne(engine)).outcome?.kind).toBe('success')
  vm.tracking = false
  vm.trackingReal = false
  return engine
}

/** A world in which the next backup's audit catches tracking, with points to mark and a reset to remember. */
export async function worldWithLie(seed = 1): Promise<Engine> {
  const world = await newWorld({ seed })
  world.guestsWrite = false
  const vm = addVm(world, { diskBytes: [128 * KiB] })
  const engine = newEngine(world)
  for (let point = 1; point <= 3; point++)
    await backUpOne(engine, { policy: policyWith({ changeTracking: { auditPercent: 0 } }) })
  vm.mishaps.trackingBlind = true
  world.vcenter.write(vm, { key: 2000, offsetBytes: 70_000, bytes: world.random.bytes(10) })
  vm.mishaps.trackingBlind = false
  return engine
}

/** What is struck: how its world comes to be, what the struck backup does, and what is true once it and the next are done. */
export type Scene = {
  readonly build: (seed?: number) => Promise<Engine>
  readonly policy: Policy
  readonly check: (world: World) => Promise<void>
}

const plainScene: Scene = { build: worldWithPoint, policy: policyWith(), check: async () => undefined }

/** The names of the calls that one backup makes. */
export async function callsOfBackup(target: Target, scene: Scene = plainScene): Promise<readonly string[]> {
  const engine = await scene.build()
  const counting = noChaos()
  strikeWith(engine, target, counting)
  await backUpOne(engine, { policy: scene.policy })
  return counting.calls
}

/**
 * The second backup meets the strikes; then everything comes to rest, and a third backup succeeds.
 * @returns how the second ended: its job's outcome, or its run's refusal
 */
export async function survive(
  target: Target,
  strikes: readonly Strike[],
  { seed = 1, scene = plainScene }: { readonly seed?: number; readonly scene?: Scene } = {},
): Promise<Outcome> {
  const engine = await scene.build(seed)
  const { world } = engine
  const { policy } = scene
  const id = await request(world, { door: 'schedule', policy })
  const first = target === 'stages' ? DOOR_CALLS : 0
  strikeWith(
    engine,
    target,
    chaos(({ number }) => strikes.find((strike) => strike.call === number + first) ?? null),
  )
  await turnUntil(engine, () => isOver(world, id))
  strikeWith(engine, target, noChaos())
  // Points do not change: what they restore is looked at once, at the end.
  await expectRest(engine, { restores: false })
  const [job] = await jobsOf(world, id)
  const end = job?.outcome ?? (await runOf(world, id)).refusal
  if (end === null) throw new Error('it ended without an outcome')
  expect(end.message).toMatch(/^[A-Z"].*[^.]$/s)
  const retry = await backUpOne(engine, { policy })
  expect(retry.outcome?.kind).toMatch(/success|warning/)
  expect(await pointOfJob(world, retry)).not.toBeNull()
  await expectRest(engine)
  const points = await allPoints(world)
  expect(points.map(({ envelope }) => envelope.sequence)).toEqual(points.map((_, index) => index + 1))
  await scene.check(world)
  // Bounded: no copy of a message bears copies.
  expect(world.sent.length).toBeLessThan(80)
  return end
}

/** How often a point was written and how often the job failed. All faults are reported together, with the strike that shows them; `step` leaves calls out. */
export async function surviveEach(
  target: Target,
  {
    step = 1,
    scene = plainScene,
    ...blow
  }: { readonly blow: Blow; readonly when: Strike['when']; readonly step?: number; readonly scene?: Scene },
): Promise<Readonly<Record<string, number>>> {
  const calls = await callsOfBackup(target, scene)
  const ends: Record<string, number> = {}
  const faults: string[] = []
  // Where calls are left out, "after" strikes those that "before" leaves out.
  const first = (target === 'stages' ? DOOR_CALLS + 1 : 1) + (blow.when === 'after' ? step - 1 : 0)
  for (let call = first; call <= calls.length; call += step) {
    try {
      const { kind } = await survive(target, [{ call, ...blow }], { scene })
      const end = kind === 'failed' ? 'failed' : 'written'
      ends[end] = (ends[end] ?? 0) + 1
    } catch (error) {
      faults.push(`call ${call} (${calls[call - 1]}): ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  expect(faults, `${blow.blow} ${blow.when}`).toEqual([])
  return ends
}

function strikeWith({ world }: Engine, target: Target, blows: Chaos): void {
  if (target === 'stages') world.chaos = blows
  else world.moverChaos = blows
}
