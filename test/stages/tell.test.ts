// The events of a job, and what it has used.

import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { memoryMeter } from '../../lib/adapters/memory/meter.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { parseJobId, sessionIdOf } from '../../lib/model/ids.ts'
import { costOf, DEFAULT_PRICES } from '../../lib/model/prices.ts'
import { addUsage } from '../../lib/model/usage.ts'
import { backUp, backUpOne, expectRest } from './backups.ts'
import { chaos } from './chaos.ts'
import { newEngine } from './engine.ts'
import { addVm, cancel, newWorld, type World } from './world.ts'

const MAIN_WAY = [
  'preparing',
  'capturing',
  'captured',
  'transferring',
  'transferred',
  'committed',
  'finishing',
  'done',
].map((state) => `coldframe.job.${state}`)

const OTHERS = [
  'job.releasing',
  'run.planned',
  'run.refused',
  ...['requested', 'started', 'running', 'done'].map((state) => `operation.${state}`),
].map((name) => `coldframe.${name}`)

async function worldWithVm() {
  const world = await newWorld()
  addVm(world)
  return { world, engine: newEngine(world) }
}

const stages = join(import.meta.dirname, '..', '..', 'lib', 'stages')
const typesOf = (world: World) => [...new Set(world.events.published.map(({ type }) => type))]

describe('events of a job', () => {
  it('tell each state once, in its order, and what ended it', async () => {
    const { world, engine } = await worldWithVm()
    const job = await backUpOne(engine)
    const [first, ...rest] = world.events.published.map(({ type }) => type)
    expect(first).toBe('coldframe.run.planned')
    expect(rest.filter((type) => type !== 'coldframe.job.releasing')).toEqual(MAIN_WAY)
    const last = world.events.published.at(-1)
    expect(last).toMatchObject({ subject: job.id, data: { outcome: 'success', point: job.pointId, policy: 'default' } })
    expect(world.events.published.find(({ type }) => type === 'coldframe.job.committed')?.data).toMatchObject({
      point: job.pointId,
      vm: 'db-1',
      attempt: 1,
    })
    await expectRest(engine)
  })

  it('are told again by whoever sends again what was lost', async () => {
    const { world, engine } = await worldWithVm()
    let lost = 0
    world.onSend = ({ kind }) => (kind === 'commit' && lost++ === 0 ? 'lose' : 'keep')
    await backUpOne(engine)
    const transferred = world.events.published.filter(({ type }) => type === 'coldframe.job.transferred')
    expect(transferred).toHaveLength(2)
    expect(new Set(transferred.map(({ id }) => id)).size).toBe(1)
  })

  it('hold up no backup when nobody takes them', async () => {
    const { world, engine } = await worldWithVm()
    let refused = 0
    const { publish } = world.events
    Object.assign(world.events, {
      publish: async (...args: Parameters<typeof publish>) => {
        if (args[0].type !== 'coldframe.job.done') {
          refused++
          throw new BackupError('The event bus refuses', { code: 'events-refused', retry: 'later' })
        }
        return publish(...args)
      },
    })
    const job = await backUpOne(engine)
    expect(job.outcome?.kind).toBe('success')
    expect(refused).toBeGreaterThanOrEqual(MAIN_WAY.length - 1)
    expect(typesOf(world)).toEqual(['coldframe.job.done'])
    await expectRest(engine)
  })
})

describe('events of a run', () => {
  it('tell why it was refused', async () => {
    const { world, engine } = await worldWithVm()
    await backUp(engine, { vms: ['db-9'] })
    expect(world.events.published.map(({ type, data }) => [type, data['code']])).toEqual([
      ['coldframe.run.refused', 'vm-not-found'],
    ])
  })
})

describe('words for people', () => {
  it('say why a backup failed and what to do, once, and nothing of one that did not', async () => {
    const { world, engine } = await worldWithVm()
    await backUpOne(engine)
    expect(world.notifier.sent).toEqual([])
    world.moverChaos = chaos(({ name }) => (name === 'transport.read' ? { when: 'before', blow: 'kill' } : null))
    const job = await backUpOne(engine)
    expect(job.outcome?.kind).toBe('failed')
    expect(world.notifier.sent).toHaveLength(1)
    expect(world.notifier.sent[0]).toMatchObject({
      id: `${job.id}.failed`,
      severity: 'critical',
      subject: 'The backup of VM "db-1" failed',
      message: expect.stringContaining(job.outcome?.message ?? '-'),
      facts: { code: job.outcome?.code },
    })
    await expectRest(engine)
  })

  it('hold up no job when nobody takes them', async () => {
    const { world, engine } = await worldWithVm()
    Object.assign(world.notifier, {
      notify: async () => {
        throw new BackupError('The topic refuses', { code: 'aws-refused', kind: 'refused' })
      },
    })
    world.moverChaos = chaos(({ name }) => (name === 'transport.read' ? { when: 'before', blow: 'kill' } : null))
    expect((await backUpOne(engine)).outcome?.kind).toBe('failed')
    expect(world.log.lines.filter(({ event }) => event === 'notification.lost')).toHaveLength(1)
    await expectRest(engine)
  })
})

describe('what a job has used', () => {
  it('is what its stages and its movers have, and the last event says its price', async () => {
    const { world, engine } = await worldWithVm()
    const meter = memoryMeter({ functionGb: 0.5 })
    const { depsOf } = world
    Object.assign(world, {
      depsOf: (process: Parameters<typeof depsOf>[0]) => {
        const deps = depsOf(process)
        const { events } = deps
        const publish: typeof events.publish = async (event, within) => {
          meter.add({ eventRequests: 1 })
          return events.publish(event, within)
        }
        return { ...deps, meter, events: { publish } }
      },
    })
    const job = await backUpOne(engine)
    expect(job.usage.stages.functionCalls).toBeGreaterThanOrEqual(6)
    // An event comes after the count of its own stage: the next one has it.
    expect(job.usage.stages.eventRequests).toBeGreaterThan(0)
    const attempt = await world.jobStore.attempts.get(sessionIdOf(parseJobId(job.id), 1), cancel)
    expect(job.usage.tasks).toEqual(attempt?.value.usage)
    const told = Number(world.events.published.at(-1)?.data['costUsd'])
    expect(told).toBeGreaterThan(0)
    expect(told).toBeLessThanOrEqual(costOf(addUsage(job.usage.stages, job.usage.tasks), DEFAULT_PRICES).total)
  })
})

describe('docs/EVENTS.md', () => {
  const document = new URL('../../docs/EVENTS.md', import.meta.url)
  const stageFiles = () => globSync('*.ts', { cwd: stages }).map((name) => join(stages, name))

  it('names every state that is told', async () => {
    const text = await readFile(document, 'utf8')
    for (const type of [...MAIN_WAY, ...OTHERS]) expect(text).toContain(`\n| \`${type}\` |`)
  })

  it('names every type that a stage writes out, and no other', async () => {
    const [text, ...sources] = await Promise.all([
      readFile(document, 'utf8'),
      ...stageFiles().map((path) => readFile(path, 'utf8')),
    ])
    const written = sources.flatMap((source) => source.match(/(?<=')coldframe\.[a-z]+\.[a-z]+(?=')/g) ?? [])
    expect(new Set(written).size).toBeGreaterThanOrEqual(5)
    const known = [...text.matchAll(/^\| `(coldframe\.[a-z.]+)` \|/gm)].map(([, type]) => type)
    expect(known.toSorted()).toEqual([...new Set([...MAIN_WAY, ...OTHERS, ...written])].toSorted())
  })
})
