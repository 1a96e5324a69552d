// plan over the table of AWS while the index of a run's jobs lags: what plans made belongs to the run all the same.

import { expect, it } from 'vitest'
import { dynamoJobStore } from '../../../lib/adapters/aws/job-store.ts'
import { KiB } from '../../../lib/base/bytes.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { runIdOf } from '../../../lib/model/ids.ts'
import type { Job } from '../../../lib/model/job.ts'
import type { JobStore } from '../../../lib/ports/job-store.ts'
import type { StageDeps } from '../../../lib/stages/deps.ts'
import { plan } from '../../../lib/stages/plan.ts'
import { sampleRun } from '../../kit/record-samples.ts'
import { openTable } from '../../kit/state-table.ts'
import { addVm, newWorld, policyWith } from '../../stages/world.ts'

const cancel = { signal: new AbortController().signal }

/** A run over everything, and a table whose index of a run's jobs shows nothing until it is told to. */
async function openRun() {
  const world = await newWorld()
  const policy = policyWith({ select: { any: [{ name: '*' }], all: [], none: [] } })
  const opened = await openTable()
  let lags = true
  const table: typeof opened.table = {
    ...opened.table,
    query: async (query, within) => (lags && query.index === 'byOwner' ? [] : await opened.table.query(query, within)),
  }
  const store = dynamoJobStore(table, { clock: world.clock })
  const run = sampleRun({
    id: runIdOf({ policy: policy.name, key: 'k' }),
    policy,
    vms: null,
    cancelRequestedAt: null,
    scheduledAt: null,
  })
  await store.runs.create(run.id, run, cancel)
  const process = { name: 'plan', stop: new AbortController(), dead: false, onDeath: () => undefined }
  return {
    world,
    store,
    catchUp: () => {
      lags = false
    },
    plan: (change: Partial<StageDeps> = {}, jobStore: JobStore = store) =>
      plan({ v: 1, kind: 'plan', runId: run.id }, { ...world.depsOf(process), jobStore, ...change }, cancel),
    runNow: async () => (await store.runs.get(run.id, cancel))?.value ?? expect.fail('the run is gone'),
    namesOf: async (ids: readonly Job['id'][]) => {
      const jobs = await Promise.all(ids.map((id) => store.jobs.get(id, cancel)))
      return jobs.map((job) => job?.value.vm.name ?? null)
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
}

/** A store whose creation of jobs goes through `around`. */
function creating(
  store: JobStore,
  around: (create: () => Promise<unknown>, number: number) => Promise<void>,
): JobStore {
  let number = 0
  const create: JobStore['jobs']['create'] = async (...args) => {
    let answer: 'created' | 'exists' = 'exists'
    await around(async () => {
      answer = await store.jobs.create(...args)
    }, ++number)
    return answer
  }
  return { ...store, jobs: { ...store.jobs, create } }
}

const lost = () => Promise.reject(new BackupError('It died', { code: 'died' }))
const refusing = { open: () => Promise.reject(new BackupError('vCenter refuses', { code: 'refused' })) }

it('a plan that died half-way leaves a run with the jobs it made, also when the next one is refused', async () => {
  await using opened = await openRun()
  for (const name of ['db-1', 'db-2', 'db-3']) addVm(opened.world, { name, diskBytes: [64 * KiB] })
  const dies = creating(opened.store, (create, number) => (number === 3 ? lost() : create().then(() => undefined)))
  await expect(opened.plan({}, dies)).rejects.toThrow('It died')

  await opened.plan({ vsphere: refusing })
  const run = await opened.runNow()
  expect(run.state).toBe('planned')
  expect(await opened.namesOf(run.jobIds)).toEqual(['db-1', 'db-2'])
  expect(opened.world.sent.map(({ kind }) => kind)).toEqual(['prepare', 'prepare'])
})

it('a plan that died before it made anything leaves a run that can be refused', async () => {
  await using opened = await openRun()
  addVm(opened.world, { name: 'db-1', diskBytes: [64 * KiB] })
  await expect(opened.plan({}, creating(opened.store, lost))).rejects.toThrow('It died')
  await opened.plan({ vsphere: refusing })
  expect(await opened.runNow()).toMatchObject({ state: 'refused', refusal: { code: 'refused' } })
})

it('two plans at once over different inventories leave a run with the jobs of both', async () => {
  for (const dies of [false, true]) {
    await using opened = await openRun()
    addVm(opened.world, { name: 'db-1', diskBytes: [64 * KiB] })
    const gone = addVm(opened.world, { name: 'db-2', diskBytes: [64 * KiB] })
    // The first plan stands still before it makes its second job, until the other one is done.
    const other = Promise.withResolvers<void>()
    const named = Promise.withResolvers<void>()
    const slow = creating(opened.store, async (create, number) => {
      if (number === 2) {
        named.resolve()
        await other.promise
      }
      await create()
      if (number === 2 && dies) throw new BackupError('It died', { code: 'died' })
    })
    const first = opened.plan({}, slow)
    await named.promise
    opened.world.vcenter.vms.splice(opened.world.vcenter.vms.indexOf(gone), 1)
    await opened.plan()
    expect(await opened.namesOf((await opened.runNow()).jobIds)).toEqual(['db-1'])
    other.resolve()
    if (dies) {
      // Its message comes again when the index has long caught up.
      await expect(first).rejects.toThrow('It died')
      opened.catchUp()
      await opened.plan()
    } else await first
    const run = await opened.runNow()
    expect(run.state).toBe('planned')
    expect(await opened.namesOf(run.jobIds)).toEqual(['db-1', 'db-2'])
  }
})
