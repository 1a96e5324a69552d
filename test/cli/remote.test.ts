// The commands with an engine elsewhere: through HTTP to the API, behind which backups of simulated VMs run.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memoryTarget } from '../../lib/adapters/memory/disk.ts'
import { memoryTasks } from '../../lib/adapters/memory/tasks.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { operationDeps } from '../../lib/compose/operation-task.ts'
import { parsePolicyName } from '../../lib/model/ids.ts'
import { defaultPolicy } from '../../lib/model/policy.ts'
import { runOperation } from '../../lib/restore/run-operation.ts'
import { type ApiServer, openApiServer } from '../kit/api-server.ts'
import { sampleStoredPolicy } from '../kit/record-samples.ts'
import type { Process } from '../stages/chaos.ts'
import { newEngine, turn } from '../stages/engine.ts'
import { addVm, cancel, newWorld, type World } from '../stages/world.ts'
import { coldframe } from './coldframe.ts'

const patience = { timeout: 60_000 }
const all = 'coldframe/read coldframe/backup coldframe/restore'
const door: Process = { name: 'door', stop: new AbortController(), dead: false, onDeath: () => undefined }
const objects = new Map<string, Buffer>()

let world: World
let server: ApiServer
let folder = ''
let pumping = true
let pump: Promise<void>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coldframe-remote-'))
  world = await newWorld({ visibilityMs: 10_000 })
  world.guestsWrite = false
  for (const name of ['db-1', 'db-2']) addVm(world, { name, diskBytes: [128 * KiB] })
  const name = parsePolicyName('gold')
  const policy = { ...defaultPolicy(), name, select: { any: [{ name: 'db-*' }], all: [], none: [] } }
  await world.jobStore.policies.create(name, sampleStoredPolicy({ name, policy }), cancel)
  const target = { kind: 'bucket', bucket: 'restored', prefix: 'vms/' } as const
  useOperations(target)
  const { clock, random, log, jobStore } = world
  const deps = { clock, random, log, jobStore, sender: world.depsOf(door).sender }
  const access = { kind: 'jwt', scopePrefix: 'coldframe/' } as const
  server = await openApiServer({ ...deps, access, targets: [target] }, { all, reader: 'coldframe/read' })
  pump = keepTurning()
})

afterAll(async () => {
  pumping = false
  await pump
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function keepTurning(): Promise<void> {
  const engine = newEngine(world)
  while (pumping) {
    await turn(engine)
    await wait(1)
  }
}

/** Tasks of restores and checks beside the movers. */
function useOperations(target: { readonly kind: 'bucket'; readonly bucket: string; readonly prefix: string }): void {
  const movers = world.tasks
  const { jobStore, repository, clock, log } = world
  const operations = memoryTasks(async ({ work, clientToken }, within) => {
    if (work.kind !== 'operate') throw new Error('only operations')
    const place = { kind: 'folder', folder: '/nowhere' } as const
    const deps = operationDeps({
      ...{ jobStore, repository, log, around: { clock }, targets: [target], place },
      openBucketImage: async ({ key, capacityBytes }) => {
        const disk = memoryTarget(capacityBytes)
        objects.set(key, Buffer.from(disk.bytes().buffer))
        return disk
      },
    })
    await runOperation({ operationId: work.operationId, attempt: work.attempt, holder: clientToken }, deps, within)
  })
  world.tasks = {
    ...movers,
    start: (request, within) => (request.work.kind === 'move' ? movers : operations).start(request, within),
    find: (request, within) => (request.work.kind === 'move' ? movers : operations).find(request, within),
    describe: async (id, within) => {
      const state = await operations.describe(id, within)
      return state.kind === 'unknown' ? movers.describe(id, within) : state
    },
  }
}

async function run(args: readonly string[], { token = 'all', ...more }: Record<string, string> = {}) {
  const environment = {
    COLDFRAME_ENGINE: 'aws:prod',
    COLDFRAME_API_URL: server.url,
    COLDFRAME_API_TOKEN: token,
    ...more,
  }
  const ended = await coldframe([...args, '--json'], { folder, environment })
  const document: ReturnType<typeof JSON.parse> = JSON.parse(ended.stdout)
  return { ...ended, document, data: document.data, error: document.error }
}

describe('with an engine elsewhere', () => {
  it('a backup is started, followed and told as on one machine, and its answers may be lost', patience, async () => {
    server.fates.push('lose', 503)
    const { exitCode, data, stderr } = await run(['backup', '--policy', 'gold'])
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining('db-1, Hard disk 1: ')])
    expect(data.policy).toEqual({ name: 'gold', note: null })
    expect(data.jobs.map(({ vm, outcome }: never) => [vm['name'], outcome['kind']]).toSorted()).toEqual([
      ['db-1', 'success'],
      ['db-2', 'success'],
    ])
    // The lost answer's request was sent again under the same key: one run.
    expect(server.asked.filter((line) => line === 'POST /v1/runs')).toHaveLength(3)
    expect(await world.jobStore.recentRuns({ limit: 9 }, cancel)).toHaveLength(1)
    const again = await run(['backup', '--vm', 'db-1', '--key', 'k'])
    expect((await run(['backup', '--vm', 'db-1', '--key', 'k'])).data.runId).toBe(again.data.runId)
  })

  it('jobs, points and policies are listed, in words and as documents', patience, async () => {
    const { data } = await run(['jobs'])
    expect(data.jobs.length).toBeGreaterThanOrEqual(3)
    const one = await run(['jobs', '--job', data.jobs[0].id.slice(0, 10)])
    expect(one.data.job).toEqual(data.jobs[0])
    const environment = { COLDFRAME_ENGINE: 'aws:prod', COLDFRAME_API_URL: server.url, COLDFRAME_API_TOKEN: 'reader' }
    const words = await coldframe(['points', '--vm', 'db-2'], { folder, environment })
    expect(words.stdout).toMatch(/^VM +POINT.*\ndb-2 +@1 /)
    const points = await run(['points'])
    expect(points.data.points[0]).toMatchObject({ vm: 'db-1', sequence: 1, grade: expect.any(String) })
    expect((await run(['points', '--vm', 'db-9'])).exitCode).toBe(3)
  })

  it('a restore goes into a bucket by a task, a check reads everything', patience, async () => {
    const restored = await run(['restore', 'db-1@latest', '--to', 's3://restored/vms/mine'])
    expect([restored.exitCode, restored.data.operation.outcome.kind]).toEqual([0, 'success'])
    const [vm] = world.vcenter.vms
    expect([...objects.values()].some((bytes) => bytes.equals(Buffer.from(vm?.disks[0]?.bytes ?? [])))).toBe(true)
    expect(restored.data.operation.result[0]).toMatch(
      /^s3:\/\/restored\/vms\/mine\/db-1-\d+-[0-9a-f]{12}\/disk-2000\.raw$/,
    )
    const refused = await run(['restore', 'db-1@latest', '--to', 's3://elsewhere/x'])
    expect([refused.exitCode, refused.error.code]).toEqual([4, 'target-not-allowed'])
    const checked = await run(['verify', '--all'])
    expect([checked.exitCode, checked.data.operation.result.length]).toEqual([0, expect.any(Number)])
    expect((await run(['verify', 'db-7@1'])).exitCode).toBe(3)
  })

  it('a cancel ends a backup that is at work', patience, async () => {
    const held = Promise.withResolvers<void>()
    world.beforeMove = () => held.promise
    const backup = run(['backup', '--vm', 'db-2'])
    const running = async () => (await world.jobStore.recentJobs({ limit: 1 }, cancel))[0]
    while ((await running())?.state !== 'transferring') await wait(20)
    const id = (await running())?.id ?? ''
    const cancelling = run(['cancel', id])
    while ((await running())?.cancelRequestedAt === null) await wait(20)
    held.resolve()
    const cancelled = await cancelling
    world.beforeMove = async () => undefined
    expect([cancelled.exitCode, cancelled.data.jobs[0].outcome.code]).toEqual([0, 'cancelled'])
    const ended = await backup
    expect([ended.exitCode, ended.error.code]).toEqual([1, 'cancelled'])
    expect((await run(['cancel', id])).exitCode).toBe(0)
    const done = (await run(['jobs'])).data.jobs.find(({ outcome }: never) => outcome['kind'] === 'success')
    const late = await run(['cancel', done.id])
    expect([late.exitCode, late.error.code]).toEqual([4, 'too-late-to-cancel'])
    expect((await run(['cancel', 'abcdef99'])).exitCode).toBe(3)
  })

  it('who may not is told so by the exit code, and what is not for it is refused', patience, async () => {
    const reader = await run(['backup', '--vm', 'db-1'], { token: 'reader' })
    expect([reader.exitCode, reader.error.code]).toEqual([4, 'scope-missing'])
    const stranger = await run(['jobs'], { token: 'nobody' })
    expect([stranger.exitCode, stranger.error.code]).toEqual([4, 'not-authenticated'])
    expect(stranger.stdout).not.toContain('nobody')
    for (const args of [['resume'], ['hunt', '--dry-run']]) {
      const { exitCode } = await run(args, { COLDFRAME_REPOSITORY: `file:${folder}/r`, COLDFRAME_PASSPHRASE: 'p' })
      expect([args, exitCode === 4 || exitCode === 2]).toEqual([args, true])
    }
    const file = await run(['backup', '--policy', './gold.yaml'])
    expect([file.exitCode, file.error.code]).toEqual([2, 'usage'])
  })

  it('settings that are wrong are told before anything is asked', patience, async () => {
    const before = server.asked.length
    const faults = async (more: Record<string, string>) => (await run(['jobs'], more)).error.facts.faults
    expect(await faults({ COLDFRAME_ENGINE: 'azure:x' })).toMatchObject([expect.stringContaining('aws:STACK')])
    expect(await faults({ COLDFRAME_API_URL: 'http://api.example.org' })).toMatchObject([
      expect.stringContaining('https'),
    ])
    expect(await faults({ COLDFRAME_API_TOKEN: '', COLDFRAME_API_URL: '' })).toHaveLength(2)
    await writeFile(join(folder, 'token'), 'all\n')
    expect(await faults({ COLDFRAME_API_TOKEN_FILE: 'token' })).toHaveLength(1)
    expect(server.asked.length).toBe(before)
    const byFile = await run(['jobs'], { COLDFRAME_API_TOKEN: '', COLDFRAME_API_TOKEN_FILE: join(folder, 'token') })
    expect(byFile.exitCode).toBe(0)
  })
})

it('an API that cannot be reached is told as that', patience, async () => {
  const { error, exitCode } = await run(['jobs'], { COLDFRAME_API_URL: 'http://127.0.0.1:9' })
  expect([exitCode, error.code]).toEqual([1, 'api-unreachable'])
})
