// operate: a restore or a check is carried out by one task after another until it ends, whatever is lost, doubled or killed.

import { describe, expect, it } from 'vitest'
import { memoryTasks, type TaskProgram } from '../../lib/adapters/memory/tasks.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { type OperationId, operationIdOf } from '../../lib/model/ids.ts'
import { abandonOf } from '../../lib/model/message.ts'
import { endOperation, newOperation, type Operation } from '../../lib/model/operation.ts'
import type { TaskRequest, Tasks } from '../../lib/ports/tasks.ts'
import { changeOperation } from '../../lib/stages/operation-record.ts'
import { handleMessage } from '../../lib/stages/run-stage.ts'
import { watch } from '../../lib/stages/watch.ts'
import { BLOWS, chaos, type Process } from './chaos.ts'
import { newEngine, turnUntil } from './engine.ts'
import { cancel, newWorld, type World } from './world.ts'

const HOUR_MS = 3_600_000

async function worldWith(program: TaskProgram): Promise<World> {
  const world = await newWorld({ visibilityMs: 10_000 })
  world.tasks = memoryTasks(program)
  return world
}

async function ask(world: World, key = 'k'): Promise<OperationId> {
  const id = operationIdOf({ kind: 'verify', key })
  const requestedAt = new Date(world.clock.nowMs()).toISOString()
  const request = { kind: 'verify', point: null, deep: true } as const
  const start = { id, request, requestedAt, requestedBy: 'somebody', wakeAtMs: world.clock.nowMs() + 60_000 }
  await world.jobStore.operations.create(id, newOperation(start), cancel)
  await world.queue.send({ v: 1, kind: 'operate', operationId: id, round: 0 }, { delayMs: 0 }, cancel)
  return id
}

async function recordOf(world: World, id: OperationId): Promise<Operation> {
  const found = await world.jobStore.operations.get(id, cancel)
  if (found === null) throw new Error('the operation was asked for')
  return found.value
}

async function ended(world: World, id: OperationId, limitMs = 24 * HOUR_MS): Promise<Operation> {
  const engine = newEngine(world)
  await turnUntil(engine, async () => (await recordOf(world, id)).state === 'done', limitMs)
  return recordOf(world, id)
}

/** A task that takes the operation and carries it out, as the real one does. */
function doing(world: () => World, act: (operation: Operation) => Operation): TaskProgram {
  return async ({ work, clientToken }) => {
    if (work.kind !== 'operate') throw new Error('only operations')
    const deps = world()
    await changeOperation(
      work.operationId,
      (now) => {
        if (now.attempt !== work.attempt || now.state === 'done') return now
        return act({ ...now, state: 'running', holder: clientToken, heldUntilMs: deps.clock.nowMs(), failure: null })
      },
      { deps, cancel },
    )
  }
}

const good = { kind: 'success', code: 'ok', message: 'Checked', hint: null } as const
const finishing = (operation: Operation) =>
  endOperation(operation, { outcome: good, result: ['whole'], at: operation.requestedAt })

const process = (): Process => ({ name: 'test', stop: new AbortController(), dead: false, onDeath: () => undefined })

describe('operate', () => {
  it('starts one task, and the operation ends as the task says', async () => {
    const started: TaskRequest[] = []
    const world: World = await worldWith(async (request, within) => {
      started.push(request)
      await doing(() => world, finishing)(request, within)
    })
    const id = await ask(world)
    expect(await ended(world, id)).toMatchObject({ outcome: good, result: ['whole'], attempt: 1, wakeAtMs: null })
    expect(started.map(({ work }) => work)).toEqual([{ kind: 'operate', operationId: id, attempt: 1 }])
  })

  it('starts another task when one dies, and gives up after three with a reason', async () => {
    const attempts: number[] = []
    const world: World = await worldWith(async ({ work }) => {
      attempts.push(work.attempt)
      throw new Error('out of memory')
    })
    const operation = await ended(world, await ask(world))
    expect(attempts).toEqual([1, 2, 3])
    expect(operation.outcome).toMatchObject({ kind: 'failed', code: 'task-died' })
    expect(operation.outcome?.message).toContain('out of memory')
  })

  it('tries again what may pass, and what the last task said is the outcome', async () => {
    const failure = { kind: 'failed', code: 'store-away', message: 'The store does not answer', hint: null } as const
    let tries = 0
    const world: World = await worldWith((request, within) =>
      doing(
        () => world,
        (now) => (++tries === 3 ? { ...now, failure } : { ...now, failure }),
      )(request, within),
    )
    expect(await ended(world, await ask(world))).toMatchObject({ attempt: 3, outcome: failure })
    expect(tries).toBe(3)
  })

  it('goes through the places that have no room, each with a token of its own, and waits in bounds', async () => {
    const world: World = await worldWith(async () => undefined)
    const tried: (readonly [number, string])[] = []
    const full: Tasks = {
      ...world.tasks,
      placements: 3,
      start: async ({ placement, clientToken }) => {
        tried.push([placement, clientToken])
        throw new BackupError('No room', { code: 'no-capacity', retry: 'later' })
      },
    }
    world.tasks = full
    const operation = await ended(world, await ask(world))
    expect(operation.outcome).toMatchObject({ kind: 'failed', code: 'no-capacity' })
    expect(tried.slice(0, 4).map(([placement]) => placement)).toEqual([0, 1, 2, 0])
    expect(new Set(tried.map(([, token]) => token)).size).toBe(tried.length)
  })

  it('does not start a second task while nobody knows whether the first start took effect', async () => {
    const tokens = new Set<string>()
    let lost = 0
    const world: World = await worldWith((request, within) => doing(() => world, finishing)(request, within))
    const inner = world.tasks
    world.tasks = {
      ...inner,
      placements: 2,
      start: async (request, within) => {
        tokens.add(request.clientToken)
        const answer = await inner.start(request, within)
        if (++lost <= 2) throw new BackupError('The answer was lost', { code: 'ecs-away', retry: 'later' })
        return answer
      },
    }
    expect((await ended(world, await ask(world))).outcome).toEqual(good)
    expect(tokens.size).toBe(1)
  })

  it('stops the task of a cancelled operation and says so', async () => {
    const world: World = await worldWith(async (request, { signal }) => {
      await doing(
        () => world,
        (now) => ({ ...now, heldUntilMs: now.heldUntilMs }),
      )(request, { signal })
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    const id = await ask(world)
    const engine = newEngine(world)
    await turnUntil(engine, async () => (await recordOf(world, id)).state === 'running', HOUR_MS)
    await changeOperation(id, (now) => ({ ...now, cancelRequestedAt: now.requestedAt }), { deps: world, cancel })
    expect(await ended(world, id)).toMatchObject({ outcome: { kind: 'failed', code: 'cancelled' } })
  })

  it('is sent again by watch when its message was lost', async () => {
    const world: World = await worldWith((request, within) => doing(() => world, finishing)(request, within))
    const id = await ask(world)
    for (const delivery of await world.queue.receive('operate', { max: 1, visibilityMs: 1 }, cancel))
      await world.queue.remove(delivery, cancel)
    expect(await watch(world.depsOf(process()), cancel)).toBe(0)
    expect((await ended(world, id)).outcome).toEqual(good)
  })

  it('ends visibly when its messages die', async () => {
    const world = await worldWith(async () => undefined)
    world.chaos = chaos(({ process: { length }, name }) =>
      length > 0 && name.startsWith('tasks') ? { when: 'before', blow: 'broken' } : null,
    )
    const operation = await ended(world, await ask(world))
    expect(operation.outcome).toMatchObject({ kind: 'failed', code: 'abandoned' })
  })

  it('is not given up by a message that died before it went on', async () => {
    const world: World = await worldWith((request, within) => doing(() => world, finishing)(request, within))
    const id = await ask(world)
    await changeOperation(id, (now) => ({ ...now, round: 1 }), { deps: world, cancel })
    const dead = abandonOf({ v: 1, kind: 'operate', operationId: id, round: 0 }, 'it failed')
    await handleMessage(dead, world.depsOf(process()), { ...cancel, invocation: 'i' })
    expect((await recordOf(world, id)).state).toBe('requested')
  })

  it('handled twice at once starts one task and sends itself on once', async () => {
    let tasks = 0
    const world = await worldWith(async () => void tasks++)
    const id = await ask(world)
    const message = { v: 1, kind: 'operate', operationId: id, round: 0 } as const
    const deps = world.depsOf(process())
    await Promise.all([1, 2, 3].map((n) => handleMessage(message, deps, { ...cancel, invocation: `i${n}` })))
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(tasks).toBe(1)
    expect(world.sent.filter(({ kind }) => kind === 'operate')).toHaveLength(1)
  })

  it.each(BLOWS)('ends well when any one of its calls is struck: %s', async (blow) => {
    for (const when of ['before', 'after'] as const) {
      for (let call = 1; call <= 12; call++) {
        const started = new Set<string>()
        const world: World = await worldWith(async (request, within) => {
          started.add(request.clientToken)
          await doing(() => world, finishing)(request, within)
        })
        world.chaos = chaos(({ number }) => (number === call ? { when, blow } : null))
        const operation = await ended(world, await ask(world))
        // Only a refusal may decide its end; and never do two tasks of one attempt run.
        if (operation.outcome?.code !== 'ok') expect(blow).toBe('refused')
        else expect([started.size, when, call]).toEqual([1, when, call])
      }
    }
  })
})
