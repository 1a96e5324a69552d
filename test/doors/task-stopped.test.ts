// Ends of tasks: whom they wake, and that a message too many harms no job.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog } from '../../lib/adapters/memory/log.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { wakeForStopped } from '../../lib/doors/task-stopped.ts'
import type { Debt, Job } from '../../lib/model/job.ts'
import type { StageMessage } from '../../lib/model/message.ts'
import type { Operation } from '../../lib/model/operation.ts'
import { startedByOf } from '../../lib/wire/started-by.ts'
import { parseStoppedTask, type StoppedTask } from '../../lib/wire/task-state-change.ts'
import { sampleJob, sampleOperation } from '../kit/record-samples.ts'
import { backUpOne, expectRest } from '../stages/backups.ts'
import { chaos } from '../stages/chaos.ts'
import { newEngine } from '../stages/engine.ts'
import { addVm, cancel, newWorld, type World } from '../stages/world.ts'

const taskId = 'arn:aws:ecs:eu-central-1:111122223333:task/coldframe/00112233445566778899aabbccddeeff'
const mover = (change: Partial<Extract<Debt, { kind: 'mover' }>> = {}): Debt => ({
  ...{ kind: 'mover', attempt: 2, clientToken: 'c', placement: 0, taskId },
  ...change,
})
const transferring = (change: Partial<Job> = {}): Job =>
  sampleJob({ state: 'transferring', nextStage: 'transfer', attempt: 2, round: 5, owes: [mover()], ...change })
const started = (change: Partial<Operation> = {}): Operation =>
  sampleOperation({ state: 'running', attempt: 2, round: 3, taskId, ...change })

async function eventOf(change: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
  const path = join(import.meta.dirname, '..', '..', 'events', 'task-stopped.json')
  const event: { detail: object } = JSON.parse(await readFile(path, 'utf8'))
  return { ...event, detail: { ...event.detail, ...change } }
}

/** What is sent for the end of a task when these are the records. */
async function woken(stopped: StoppedTask, records: { readonly job?: Job; readonly operation?: Operation }) {
  const jobStore = memoryJobStore()
  if (records.job !== undefined) await jobStore.jobs.create(records.job.id, records.job, cancel)
  if (records.operation !== undefined) {
    await jobStore.operations.create(records.operation.id, records.operation, cancel)
  }
  const sent: { readonly message: StageMessage; readonly delayMs: number }[] = []
  const sender = {
    send: async (message: StageMessage, { delayMs }: { readonly delayMs: number }) =>
      void sent.push({ message, delayMs }),
  }
  await wakeForStopped(stopped, { jobStore, sender, log: memoryLog() }, cancel)
  return sent
}

const ofMove = (job: Job, attempt = 2): StoppedTask => ({
  ...{ taskId, reason: 'ended' },
  work: { kind: 'move', jobId: job.id, attempt },
})

describe('the event of a stopped task', () => {
  it('tells job, attempt and reason', async () => {
    expect(parseStoppedTask(await eventOf())).toEqual({
      taskId: 'arn:aws:ecs:eu-central-1:111122223333:task/coldframe/4f8a1c0e9d2b47e6a3c5b1d0e7f92a64',
      work: { kind: 'move', jobId: '00112233445566778899aabbccddeeff', attempt: 1 },
      reason: 'Essential container in task exited (EssentialContainerExited)',
    })
  })

  it.each([
    ['a task that still runs', { lastStatus: 'RUNNING' }],
    ['one that is about to stop', { lastStatus: 'DEPROVISIONING' }],
    ["somebody else's", { startedBy: 'ecs-svc/4588926217284356' }],
    ['one that nobody named', { startedBy: undefined }],
    ['one whose word is almost ours', { startedBy: 'coldframe/move/0011/1/x' }],
  ])('of %s means nothing', async (_what, change) => {
    expect(parseStoppedTask(await eventOf(change))).toBeNull()
  })

  it.each([[null], ['{}'], [{}], [{ source: 'aws.ecs', 'detail-type': 'ECS Service Action', detail: {} }]])(
    'is refused when it is none: %j',
    (value) => {
      expect(() => parseStoppedTask(value)).toThrow(/^Cannot read an event about a task: /)
    },
  )

  it('has the words that tasks are started with, of every kind of work', () => {
    const { id: jobId } = sampleJob()
    const { id: operationId } = sampleOperation()
    for (const work of [
      { kind: 'move', jobId, attempt: 9999 } as const,
      { kind: 'operate', operationId, attempt: 1 } as const,
    ]) {
      const startedBy = startedByOf({ work, clientToken: 'f'.repeat(64) })
      expect(startedBy).toMatch(/^[A-Za-z0-9_/-]{1,128}$/)
      const detail = { taskArn: taskId, lastStatus: 'STOPPED', startedBy }
      const event = { source: 'aws.ecs', 'detail-type': 'ECS Task State Change', detail }
      expect(parseStoppedTask(event)).toEqual({ taskId, work, reason: 'ECS gives no reason' })
    }
  })
})

describe('a stopped task wakes', () => {
  it.each([
    ['transfer, which waits for it', transferring(), 'transfer'],
    [
      'transfer, whose caller died before it heard of the task',
      transferring({ owes: [mover({ taskId: null })] }),
      'transfer',
    ],
    ['release, which waits for it to stop', transferring({ state: 'releasing', nextStage: 'release' }), 'release'],
    ['release of a later attempt', transferring({ state: 'releasing', nextStage: 'release', attempt: 3 }), 'release'],
  ] as const)('%s', async (_what, job, kind) => {
    const { id: jobId, attempt, round } = job
    expect(await woken(ofMove(job), { job })).toEqual([
      { message: { v: 1, kind, jobId, attempt, round }, delayMs: 2000 },
    ])
  })

  it('operate, which waits for it', async () => {
    const operation = started()
    const stopped = {
      taskId,
      reason: 'ended',
      work: { kind: 'operate' as const, operationId: operation.id, attempt: 2 },
    }
    const message = { v: 1, kind: 'operate', operationId: operation.id, round: 3 }
    expect(await woken(stopped, { operation })).toEqual([{ message, delayMs: 2000 }])
    for (const other of [{ state: 'done' as const }, { attempt: 3 }, { taskId: `${taskId}0` }]) {
      expect(await woken(stopped, { operation: started(other) })).toEqual([])
    }
    expect(await woken(stopped, {})).toEqual([])
  })

  it.each([
    ['there is no job', undefined],
    [
      'the job has gone on to another attempt',
      transferring({ attempt: 3, owes: [mover(), mover({ attempt: 3, clientToken: 'd' })] }),
    ],
    ['the attempt runs in another task', transferring({ owes: [mover({ taskId: `${taskId}0` })] })],
    ['the candidate is being committed', transferring({ state: 'transferred', nextStage: 'commit' })],
    ['the job is done', transferring({ state: 'done', nextStage: null, owes: [] })],
  ])('nobody when %s', async (_what, job) => {
    expect(await woken(ofMove(job ?? sampleJob()), job === undefined ? {} : { job })).toEqual([])
  })
})

/** Each end of a mover is an event, as often and as late as EventBridge may bring it. */
function knocking(world: World, copies: number): void {
  const { tasks } = world
  const process = { name: 'door', stop: new AbortController(), dead: false, onDeath: () => undefined }
  world.tasks = {
    ...tasks,
    start: async (request, each) => {
      const { taskId: id } = await tasks.start(request, each)
      void (async () => {
        while ((await tasks.describe(id, cancel)).kind !== 'stopped') await world.clock.sleep(1000, cancel)
        const stopped = { taskId: id, work: request.work, reason: 'ended' }
        for (let copy = 0; copy < copies; copy++) await wakeForStopped(stopped, world.depsOf(process), cancel)
      })()
      return { taskId: id }
    },
  }
}

describe('a backup whose movers die', () => {
  async function minutesOf(copies: number) {
    const world = await newWorld({ limits: { pollMs: 600_000 } })
    addVm(world, { diskBytes: [192 * KiB] })
    world.moverChaos = chaos(({ name, process }) =>
      name === 'transport.read' && process !== 'mover/3' ? { when: 'before', blow: 'kill' } : null,
    )
    if (copies > 0) knocking(world, copies)
    const engine = newEngine(world)
    const startedMs = world.clock.nowMs()
    expect(await backUpOne(engine)).toMatchObject({ attempt: 3, outcome: { kind: 'success' } })
    await expectRest(engine)
    return {
      minutes: (world.clock.nowMs() - startedMs) / 60_000,
      transfers: world.sent.filter(({ kind }) => kind === 'transfer'),
    }
  }

  it('goes on at once when their ends are told, and no slower when they are told ten times', async () => {
    const [alone, told, often] = [await minutesOf(0), await minutesOf(1), await minutesOf(10)]
    expect(alone.minutes).toBeGreaterThan(20)
    expect(told.minutes).toBeLessThan(10)
    expect(often.minutes).toBeLessThan(10)
    // Copies are handled once: the rounds of a wait do not multiply.
    expect(often.transfers.length).toBeLessThan(told.transfers.length + 3 * 10)
  })
})
