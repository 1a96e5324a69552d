// The start of movers: places without room, answers that are lost, deaths between the record and the call.

import { describe, expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { Debt } from '../../lib/model/job.ts'
import type { TaskRequest, Tasks } from '../../lib/ports/tasks.ts'
import { backUpOne, expectRest } from './backups.ts'
import { chaos } from './chaos.ts'
import { newEngine } from './engine.ts'
import { addVm, cancel, newWorld, type World } from './world.ts'

/** A world whose tasks have places; `tried` has each start, and what the job's record said of its mover at that moment. */
async function worldWithPlaces(placements: number, answer: (request: TaskRequest, start: number) => Error | null) {
  const world = await newWorld()
  addVm(world, { diskBytes: [192 * KiB] })
  const tried: { readonly token: string; readonly placement: number; readonly owed: readonly Debt[] }[] = []
  const { tasks } = world
  const start: Tasks['start'] = async (request, each) => {
    tried.push({ token: request.clientToken, placement: request.placement, owed: await moversOf(world) })
    const error = answer(request, tried.length)
    if (error !== null) throw error
    return tasks.start(request, each)
  }
  world.tasks = { ...tasks, placements, start }
  return { world, tried, engine: newEngine(world) }
}

async function moversOf(world: World): Promise<readonly Debt[]> {
  const jobs = await world.jobStore.recentJobs({ limit: 10 }, cancel)
  return jobs.flatMap(({ owes }) => owes.filter(({ kind }) => kind === 'mover'))
}

const full = () => new BackupError('Cannot start a task: RESOURCE:ENI', { code: 'no-capacity', retry: 'later' })
const lost = () => new BackupError('Cannot reach ECS', { code: 'aws-unreachable', retry: 'later' })

describe('the start of a mover', () => {
  it('tries each place in turn with a token of its own, recorded before the call', async () => {
    const { tried, engine } = await worldWithPlaces(3, (_request, start) => (start <= 2 ? full() : null))
    expect(await backUpOne(engine)).toMatchObject({ attempt: 1, outcome: { kind: 'success' } })

    expect(tried.map(({ placement }) => placement)).toEqual([0, 1, 2])
    expect(new Set(tried.map(({ token }) => token)).size).toBe(3)
    for (const { token, placement, owed } of tried) {
      expect(owed).toEqual([{ kind: 'mover', attempt: 1, clientToken: token, placement, taskId: null }])
    }
    await expectRest(engine)
  })

  it('waits when no place has room, and begins again with the first and with tokens that were never used', async () => {
    const { world, tried, engine } = await worldWithPlaces(2, (_request, start) => (start <= 7 ? full() : null))
    expect(await backUpOne(engine)).toMatchObject({ attempt: 1, outcome: { kind: 'success' } })

    expect(tried.map(({ placement }) => placement)).toEqual([0, 1, 0, 1, 0, 1, 0, 1])
    expect(new Set(tried.map(({ token }) => token)).size).toBe(8)
    expect(world.log.lines.filter(({ event }) => event === 'placement.full')).toHaveLength(7)
    await expectRest(engine)
  })

  it('fails after the time of a stage when there is never room, and says so', async () => {
    const { world, engine } = await worldWithPlaces(2, full)
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'no-capacity' })
    expect(job.outcome?.message).toContain('in any of 2 places')
    expect(await moversOf(world)).toEqual([])
    await expectRest(engine)
  })

  it('is repeated in the same place with the same token when nobody knows what became of it', async () => {
    const { world, tried, engine } = await worldWithPlaces(3, (_request, start) => (start === 1 ? full() : null))
    const { tasks } = world
    // The second and third start take effect, and their answers are lost.
    world.tasks = {
      ...tasks,
      start: async (request, each) => {
        const started = await tasks.start(request, each)
        if (tried.length === 2 || tried.length === 3) throw lost()
        return started
      },
    }
    expect(await backUpOne(engine)).toMatchObject({ attempt: 1, outcome: { kind: 'success' } })
    expect(tried.map(({ placement }) => placement)).toEqual([0, 1, 1, 1])
    expect(new Set(tried.slice(1).map(({ token }) => token)).size).toBe(1)
    await expectRest(engine)
  })

  it.each(['before', 'after'] as const)(
    'goes on with the recorded token when the stage dies %s the call',
    async (when) => {
      const { world, tried, engine } = await worldWithPlaces(2, (_request, start) => (start === 1 ? full() : null))
      let struck = 0
      world.chaos = chaos(({ name }) => (name === 'tasks.start' && ++struck === 2 ? { when, blow: 'kill' } : null))
      expect(await backUpOne(engine)).toMatchObject({ attempt: 1, outcome: { kind: 'success' } })
      const later = tried.filter(({ placement }) => placement === 1)
      expect(new Set(later.map(({ token }) => token)).size).toBe(1)
      expect(tried.map(({ placement }) => placement)).toEqual(when === 'before' ? [0, 1] : [0, 1, 1])
      await expectRest(engine)
    },
  )

  it('goes on when the stage dies between the refusal and its record: the same token is asked for again', async () => {
    const { world, tried, engine } = await worldWithPlaces(2, (_request, start) => (start <= 2 ? full() : null))
    let struck = false
    world.chaos = chaos(({ name }) => {
      if (name !== 'jobs.replace' || tried.length === 0 || struck) return null
      struck = true
      return { when: 'before', blow: 'kill' }
    })
    expect(await backUpOne(engine)).toMatchObject({ outcome: { kind: 'success' } })
    expect(tried.map(({ placement }) => placement)).toEqual([0, 0, 1])
    expect(tried[0]?.token).toBe(tried[1]?.token)
    await expectRest(engine)
  })

  it('that took effect before the job failed is found and stopped by release', async () => {
    const { world, engine } = await worldWithPlaces(2, (_request, start) => (start === 1 ? full() : null))
    const { tasks } = world
    const stopped: string[] = []
    let taskId = ''
    world.moverChaos = chaos(({ name }) =>
      name === 'transport.read' ? { when: 'before', blow: 'pause', until: new Promise(() => undefined) } : null,
    )
    world.tasks = {
      ...tasks,
      start: async (request, each) => {
        taskId = (await tasks.start(request, each)).taskId
        throw new BackupError('Cannot start a task: the role was changed', { code: 'aws-refused', kind: 'refused' })
      },
      stop: async (id, each) => {
        stopped.push(id)
        await tasks.stop(id, each)
      },
    }
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'aws-refused' })
    expect(stopped[0]).toBe(taskId)
    await expectRest(engine)
  })

  it('is not two tasks when the places became fewer in between', async () => {
    const { world, tried, engine } = await worldWithPlaces(3, (_request, start) => {
      if (start <= 2) return full()
      return start === 3 ? lost() : null
    })
    Object.defineProperty(world.tasks, 'placements', { get: () => (tried.length >= 3 ? 1 : 3) })
    expect(await backUpOne(engine)).toMatchObject({ attempt: 1, outcome: { kind: 'success' } })
    expect(tried.map(({ placement }) => placement)).toEqual([0, 1, 2, 0])
    expect(tried[3]?.token).toBe(tried[2]?.token)
    await expectRest(engine)
  })
})
