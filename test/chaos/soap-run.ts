// One run over SOAP and HTTPS: the real adapter, engine, mover and folder repository against the simulator, and the same look at
// everything in the end. The plan is the seed's; time is real, so that two goes of one plan may differ in what comes first.

import type { Job } from '../../lib/model/job.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { actOn } from '../../sim/estate/act.ts'
import type { MachineAction } from '../../sim/estate/actions.ts'
import { type LieWorld, openLieWorld, VM } from '../lies/world.ts'
import type { Findings } from './checks.ts'
import { isOurs } from './play.ts'
import { FOREIGN, type SoapPlan } from './soap-plan.ts'

export type SoapResult = Findings & {
  readonly plan: SoapPlan
  readonly struck: Readonly<Record<string, number>>
  readonly elapsedMs: number
  readonly calls: number
  readonly log: readonly string[]
}

/** A job waits for each of them at most; nothing that goes wrong here lasts so long. */
const LIMITS = { captureMs: 2_000, stageMs: 4_000, busyMs: 4_000, releaseMs: 4_000, transferMs: 10_000 }
const BACKUP_MS = 60_000
const HUNTS_MAX = 3

export async function carryOutSoap(plan: SoapPlan): Promise<SoapResult> {
  const startedMs = performance.now()
  await using world = await openLieWorld({ seed: plan.seed + plan.run })

  world.product.limit(LIMITS)
  const jobs: Job[] = []
  const faults: string[] = []
  try {
    for (const { rules, writtenBytes } of plan.backups) {
      for (const rule of rules) world.scenario.arm(rule)
      // Whoever asks by hand is told at once that the inventory cannot be read, and asks again.
      const job = await backUp(world).catch((error: unknown) => orRefused(error))
      if (job !== null) jobs.push(job)
      world.scenario.disarm()
      if (writtenBytes > 0) machineOf(world).guest.burst(writtenBytes)
    }
    faults.push(...(await calmDown(world)))
    jobs.push(await backUp(world))
  } catch (error) {
    faults.push(`The run did not come to its end: ${error instanceof Error ? error.stack : String(error)}`)
  }
  const found = await check(world, jobs)
  const { scenario, product } = world
  return {
    ...found,
    faults: [...faults, ...found.faults],
    plan,
    struck: Object.fromEntries(Object.entries(scenario.struck()).map(([kind, count]) => [`soap ${kind}`, count])),
    elapsedMs: Math.round(performance.now() - startedMs),
    calls: Object.values(scenario.calls()).reduce((sum, count) => sum + count, 0),
    log: product.log.lines.map(({ level, event, facts }) => `${level} ${event} ${JSON.stringify(facts)}`),
  }
}

async function backUp({ product }: LieWorld): Promise<Job> {
  const late = AbortSignal.timeout(BACKUP_MS)
  const tooLate = new Promise<never>((_, reject) => {
    late.addEventListener('abort', () => reject(new Error(`A backup took longer than ${BACKUP_MS} ms`)))
  })
  return await Promise.race([product.backUp(VM, {}), tooLate])
}

/** @throws what is no refusal of the run */
function orRefused(error: unknown): null {
  if (error instanceof Error && error.message.startsWith('Refused: ')) return null
  throw error
}

function machineOf({ estate }: LieWorld) {
  const [machine] = estate.named(VM)
  if (machine === undefined) throw new Error('The machine is gone')
  return machine
}

/** What goes on ends, hunt comes by, and the other product takes its snapshots away. @returns what is not as it must be */
async function calmDown(world: LieWorld): Promise<readonly string[]> {
  const act = (action: MachineAction, body: object) => void actOn(world.estate, { vm: VM, action, body })
  const taken = world.scenario.struck()['snapshot'] ?? 0
  act('end-tasks', {})
  act('list-late', { ms: 0 })
  act('hold-consolidation', { ms: 0 })
  for (let hunts = 0; hunts < HUNTS_MAX; hunts++) {
    await world.product.hunt()
    if (orphansOf(world).length === 0) break
  }
  const left = orphansOf(world)
  const foreign = machineOf(world).snapshots.filter(({ name }) => name === FOREIGN).length
  for (let each = 0; each < foreign; each++) act('remove-snapshot', { name: FOREIGN })
  return [...left, ...(foreign === taken ? [] : [`${foreign} of ${taken} snapshots of another product are there`])]
}

function orphansOf(world: LieWorld): readonly string[] {
  const { snapshots, consolidationNeeded } = machineOf(world)
  return [
    ...snapshots.filter(({ name }) => isOurs(name)).map(({ name }) => `Snapshot "${name}" is left on "${VM}"`),
    ...(consolidationNeeded ? [`"${VM}" still needs consolidation`] : []),
  ]
}

async function check(world: LieWorld, jobs: readonly Job[]): Promise<Findings> {
  const { product } = world
  const points = await product.points()
  const marked = await product.unproven()
  const wrong: string[] = []
  let unprovenDisks = 0
  for (const point of points) {
    const keys = await wrongDisksOf(world, point)
    if (marked.includes(point.envelope.sequence)) unprovenDisks += keys.length
    else
      wrong.push(
        ...keys.map((key) => `Restored bytes are not what was frozen: @${point.envelope.sequence} disk ${key}`),
      )
  }
  const orphans = orphansOf(world)
  const held = await product.held()
  const good = jobs.filter(isGood)
  const last = jobs.at(-1)
  return {
    faults: [
      ...[...wrong, ...orphans, ...held, ...world.scenario.failures()],
      ...jobs.flatMap(wordsOf),
      ...(good.length === points.length ? [] : [`${good.length} jobs ended well with ${points.length} points`]),
      ...(last !== undefined && isGood(last)
        ? []
        : [`The last backup, in calm, ended as ${last?.outcome?.code}: ${last?.outcome?.message}`]),
    ],
    points: points.length,
    disks: points.reduce((sum, { envelope }) => sum + envelope.disks.length, 0),
    wrongDisks: wrong.length,
    unprovenDisks,
    unseenDisks: 0,
    orphans: orphans.length,
    leakedPlaces: held.length,
    crowded: 0,
    outcomes: jobs.map(({ outcome }) => `${outcome?.kind} ${outcome?.code}`),
  }
}

function isGood({ outcome }: Job): boolean {
  return outcome?.kind === 'success' || outcome?.kind === 'warning'
}

function wordsOf({ outcome }: Job): readonly string[] {
  if (outcome === null) return ['A job that is done has no outcome']
  const { code, message } = outcome
  return [
    ...(/^[A-Z"0-9].{10,}[^.\s]$/s.test(message) ? [] : [`A job that ended as ${code} says: ${message}`]),
    ...(outcome.kind === 'failed' && outcome.hint === null ? [`A job failed as ${code} without a hint`] : []),
  ]
}

async function wrongDisksOf(world: LieWorld, point: StoredPoint): Promise<readonly string[]> {
  try {
    return (await world.wrongDisks(point)).map(String)
  } catch (error) {
    return [`that cannot be read: ${String(error)}`]
  }
}
