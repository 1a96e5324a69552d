// The pump of the test world: receives, handles, removes on success, buries what dies, watches, and moves the clock on.

import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import { assert } from '../../lib/base/errors.ts'
import type { RunId } from '../../lib/model/ids.ts'
import type { Job } from '../../lib/model/job.ts'
import { abandonOf, STAGE_KINDS } from '../../lib/model/message.ts'
import type { Run } from '../../lib/model/run.ts'
import type { Delivery } from '../../lib/ports/queue.ts'
import { handleMessage } from '../../lib/stages/run-stage.ts'
import { watch } from '../../lib/stages/watch.ts'
import type { Process } from './chaos.ts'
import { cancel, type World, writeSome } from './world.ts'

const WATCH_MS = 60_000
const BUSY_STEP_MS = 100
const IDLE_STEP_MS_MAX = 30_000

export type Engine = {
  readonly world: World
  /** Handlers and watches at work. */
  readonly living: Set<Process>
  /** What handlers threw, by message kind. */
  readonly failures: { readonly kind: string; readonly error: unknown }[]
  /** Dead letters of abandon itself: nobody takes them. */
  readonly buried: Delivery['message'][]
  watchedAtMs: number
  stepMs: number
  invocations: number
  watches: boolean
  /** Messages handed out in one turn, from all queues together; they start in the same moment. */
  deliveriesMax: number
}

export function newEngine(world: World): Engine {
  return {
    world,
    living: new Set(),
    failures: [],
    buried: [],
    watchedAtMs: world.clock.nowMs(),
    stepMs: BUSY_STEP_MS,
    invocations: 0,
    watches: true,
    deliveriesMax: 1,
  }
}

/** Turns until `done`. @throws when the clock has moved on by `limitMs` (8 days) before */
export async function turnUntil(
  engine: Engine,
  done: () => Promise<boolean>,
  limitMs = 8 * 24 * 3_600_000,
): Promise<void> {
  const { clock } = engine.world
  const startedMs = clock.nowMs()
  while (!(await done())) {
    assert(clock.nowMs() - startedMs < limitMs, `the world comes to rest within ${limitMs} ms`)
    await turn(engine)
  }
}

/** Lets this much time pass. */
export async function turnFor(engine: Engine, ms: number): Promise<void> {
  const endMs = engine.world.clock.nowMs() + ms
  await turnUntil(engine, async () => engine.world.clock.nowMs() >= endMs)
}

export async function turn(engine: Engine): Promise<void> {
  const { world, living } = engine
  for (const dead of await world.queue.takeDead(cancel)) {
    if (dead.kind === 'abandon') engine.buried.push(dead)
    else await world.queue.send(abandonOf(dead, 'its message was delivered too often'), { delayMs: 0 }, cancel)
  }
  const delivered = await deliver(engine)
  const nowMs = world.clock.nowMs()
  if (engine.watches && nowMs - engine.watchedAtMs >= WATCH_MS) {
    engine.watchedAtMs = nowMs
    launch(engine, {
      name: 'watch',
      work: (process) => watch(world.depsOf(process), { signal: process.stop.signal }).then(() => undefined),
    })
  }
  await eventLoopTurn()
  const busy = delivered > 0 || living.size > 0 || world.moving > 0
  if (world.guestsWrite && world.random.fraction() < (busy ? 0.3 : 0.02)) writeSomewhere(world)
  engine.stepMs = busy ? BUSY_STEP_MS : Math.min(IDLE_STEP_MS_MAX, engine.stepMs * 2)
  world.clock.advance(engine.stepMs)
}

/** From the queues in a random order. @returns how many messages were handed out */
async function deliver(engine: Engine): Promise<number> {
  const { world } = engine
  const kinds = [...STAGE_KINDS].sort(() => world.random.fraction() - 0.5)
  let delivered = 0
  for (const kind of kinds) {
    const options = { max: engine.deliveriesMax - delivered, visibilityMs: world.visibilityMs }
    if (options.max <= 0) break
    for (const delivery of await world.queue.receive(kind, options, cancel)) {
      start(engine, delivery)
      delivered++
    }
  }
  return delivered
}

function start(engine: Engine, delivery: Delivery): void {
  const { world } = engine
  const { message } = delivery
  const invocation = `invocation-${++engine.invocations}`
  launch(engine, {
    name: message.kind,
    work: async (process) => {
      await handleMessage(message, world.depsOf(process), { invocation, signal: process.stop.signal })
      await world.queue.remove(delivery, cancel)
    },
  })
}

function launch(
  engine: Engine,
  task: { readonly name: string; readonly work: (process: Process) => Promise<void> },
): void {
  const { living, failures } = engine
  const process: Process = {
    name: task.name,
    stop: new AbortController(),
    dead: false,
    onDeath: () => living.delete(process),
  }
  living.add(process)
  // What fails is delivered again when its time of being hidden has passed.
  task
    .work(process)
    .catch((error: unknown) => void failures.push({ kind: task.name, error }))
    .finally(() => living.delete(process))
}

function writeSomewhere(world: World): void {
  const running = world.vcenter.vms.filter((vm) => vm.powerState === 'poweredOn')
  const vm = running[Math.floor(world.random.fraction() * running.length)]
  const disk = vm?.disks[Math.floor(world.random.fraction() * vm.disks.length)]
  if (vm !== undefined && disk !== undefined) writeSome(world, vm, disk.key)
}

export async function runOf({ jobStore }: World, id: RunId): Promise<Run> {
  const found = await jobStore.runs.get(id, cancel)
  assert(found !== null, 'the run was requested')
  return found.value
}

export async function jobsOf({ jobStore }: World, id: RunId): Promise<readonly Job[]> {
  return jobStore.jobsOfRun(id, cancel)
}

/** Whether the run was refused, or planned and all its jobs are done. */
export async function isOver(world: World, id: RunId): Promise<boolean> {
  const { state } = await runOf(world, id)
  if (state === 'requested') return false
  return (await jobsOf(world, id)).every((job) => job.state === 'done')
}
