// The engine of this machine, as commands see it: what they ask for is written into the state of the home, and done here unless another process
// does it.

import { hexOf } from '../lib/base/bytes.ts'
import { BackupError, hasCode } from '../lib/base/errors.ts'
import { cancelJob, cancelOperation, cancelRun } from '../lib/doors/cancel.ts'
import { requestOperation } from '../lib/doors/request-operation.ts'
import { requestRun } from '../lib/doors/request-run.ts'
import { isPolicyName, type OperationId, parseOperationId, type RunId } from '../lib/model/ids.ts'
import type { Job } from '../lib/model/job.ts'
import type { OperationRequest } from '../lib/model/operation.ts'
import { defaultPolicy } from '../lib/model/policy.ts'
import { documentOfJob, documentOfOperation, documentOfPoint, documentOfPolicy } from '../lib/operate/documents.ts'
import { isOver, type RunView, viewJob, viewRun } from '../lib/operate/follow-run.ts'
import { unknownPolicy } from '../lib/operate/policy-apply.ts'
import type { OperationDocument } from '../lib/wire/api/documents.ts'
import { defaultPolicyNote } from './backup-note.ts'
import { createRepository, openHome, openHomeIfThere, work } from './context.ts'
import type { BackedUp, Cancelled, Engine, WantedBackup } from './engine.ts'
import { findByBeginning, isBeginning } from './find-by-beginning.ts'
import { policyNamed, policyOfFile } from './policy-files.ts'
import type { Progress } from './progress.ts'
import { interruptedWork } from './resume.ts'
import { readSettings } from './settings.ts'
import { showJob, showWholeJob } from './show-job.ts'
import { jobTeller, operationTeller } from './tell-jobs.ts'
import type { World } from './world.ts'

/** Jobs and runs that are looked through for an id. */
const searchedMax = 100_000

/** The last look at the records must succeed also right after Ctrl-C. */
const lastLookMs = 5_000

export function localEngine(world: World): Engine {
  return {
    backUp: (wanted, progress) => backUp(wanted, { progress, world }),
    recentJobs: async (limit) => {
      using state = await openHomeIfThere(await readSettings(world, []), world)

      if (state === null) return []
      const shown = []
      for (const job of await state.jobStore.recentJobs({ limit }, world)) shown.push(await showJob(job, state, world))
      return shown
    },
    job: async (id) => {
      using state = await openHomeIfThere(await readSettings(world, []), world)

      const all = state === null ? [] : await state.jobStore.recentJobs({ limit: searchedMax }, world)
      const job = findByBeginning(all, { what: 'job', id, idOf: (one) => one.id })
      if (state === null) throw new Error('a job that was found is in a state')
      return await showWholeJob(job, state, world)
    },
    operate: ({ request, key }, progress) => operate({ request, key }, { progress, world }),
    cancel: (id, progress) => cancel(id, { progress, world }),
    points: async (vm) => {
      using state = await openHomeIfThere(await readSettings(world, []), world)

      const noted = state === null ? [] : await state.jobStore.recentPoints({ limit: searchedMax }, world)
      const points = noted.map(documentOfPoint)
      return vm === null ? points : points.filter((point) => point.vm === vm || point.vmId === vm.toLowerCase())
    },
    policies: async () => {
      using state = await openHomeIfThere(await readSettings(world, []), world)

      return state === null ? [] : (await state.jobStore.listPolicies(world)).map(documentOfPolicy)
    },
    policy: async (name) => {
      using state = await openHomeIfThere(await readSettings(world, []), world)

      const found = state === null || !isPolicyName(name) ? null : await state.jobStore.policies.get(name, world)
      if (found === null) throw unknownPolicy(name)
      const { text, policy } = found.value
      return { ...documentOfPolicy(found.value), text, policy }
    },
  }
}

type Here = { readonly progress: Progress; readonly world: World }

async function backUp(wanted: WantedBackup, { progress, world }: Here): Promise<BackedUp> {
  const given = wanted.policy === null ? defaultPolicy() : await policyOfFile(wanted.policy)
  const settings = await readSettings(world, ['vcenter', 'repository'])
  const policy = given ?? (await policyNamed(wanted.policy ?? '', settings, world))
  const repository = await createRepository(settings, world)
  using state = await openHome(settings, world)

  if (wanted.policy === null) progress.say(defaultPolicyNote)
  const key = wanted.key ?? hexOf(world.random.bytes(16))
  const deps = { clock: world.clock, jobStore: state.jobStore, sender: state.queue }
  const { vms, full } = wanted
  const runId = await requestRun({ door: 'api', policy, vms, full, key }, deps, world)
  const tell = jobTeller(progress)
  let view: RunView | null = null
  const isDone = async (): Promise<boolean> => {
    view = await viewRun({ runId, jobStore: state.jobStore }, world)
    tell(view.jobs.map(documentOfJob))
    return isOver(view)
  }
  try {
    await work({ settings, state, repository, isDone, say: progress.say }, world)
  } catch (error) {
    if (!world.signal.aborted) throw error
    // Stopped while it waited for others only: what was asked for is done.
    if (view === null || !isOver(view)) throw await interruptedWork(state.jobStore, error)
  }
  const { run, jobs } = await viewRun({ runId, jobStore: state.jobStore }, { signal: AbortSignal.timeout(lastLookMs) })
  return { id: run.id, policy: run.policy.name, refusal: run.refusal, jobs: jobs.map(documentOfJob) }
}

async function operate(
  { request, key }: { readonly request: OperationRequest; readonly key: string | null },
  { progress, world }: Here,
): Promise<OperationDocument> {
  const settings = await readSettings(world, ['vcenter', 'repository'])
  const repository = await createRepository(settings, world)
  using state = await openHome(settings, world)

  const deps = { clock: world.clock, jobStore: state.jobStore, sender: state.queue }
  const asked = { request, requestedBy: 'this machine', key: key ?? hexOf(world.random.bytes(16)) }
  const { id } = await requestOperation(asked, deps, world)
  const isDone = operationWatch(id, { jobStore: state.jobStore, progress, world })
  await work({ settings, state, repository, isDone, say: progress.say }, world)
  return await readOperation(id, state, world)
}

function operationWatch(
  id: OperationId,
  { jobStore, progress, world }: Here & { readonly jobStore: Parameters<typeof readOperation>[1]['jobStore'] },
): () => Promise<boolean> {
  const tell = operationTeller(progress)
  return async () => {
    const operation = await readOperation(id, { jobStore }, world)
    tell(operation)
    return operation.state === 'done'
  }
}

async function readOperation(
  id: OperationId,
  { jobStore }: { readonly jobStore: Awaited<ReturnType<typeof openHome>>['jobStore'] },
  world: World,
): Promise<OperationDocument> {
  const found = await jobStore.operations.get(id, world)
  if (found !== null) return documentOfOperation(found.value)
  throw new BackupError(`Cannot find operation "${id}"`, { code: 'operation-not-found', kind: 'not-found' })
}

async function cancel(id: string, { progress, world }: Here): Promise<Cancelled> {
  const settings = await readSettings(world, ['vcenter', 'repository'])
  using state = await openHome(settings, world)

  const { jobStore } = state
  const call = { deps: { clock: world.clock, jobStore, sender: state.queue }, cancel: world }
  const operation = /^[0-9a-f]{32}$/.test(id) ? await jobStore.operations.get(parseOperationId(id), world) : null
  const say = progress.say
  if (operation !== null) {
    await cancelOperation(operation.value.id, call)
    const isDone = operationWatch(operation.value.id, { jobStore, progress, world })
    await work({ settings, state, repository: await createRepository(settings, world), isDone, say }, world)
    return { kind: 'operation', operation: await readOperation(operation.value.id, { jobStore }, world) }
  }
  const ids = await cancelJobs(id, { call, world })
  const tell = jobTeller(progress)
  const look = async () => {
    const views = []
    for (const jobId of ids) {
      const found = await jobStore.jobs.get(jobId, world)
      if (found !== null) views.push(documentOfJob(await viewJob(found.value, { jobStore }, world)))
    }
    return views
  }
  const isDone = async () => {
    const jobs = await look()
    tell(jobs)
    return jobs.every(({ state: now }) => now === 'done')
  }
  await work({ settings, state, repository: await createRepository(settings, world), isDone, say }, world)
  return { kind: 'jobs', jobs: await look() }
}

type CancelCall = { readonly call: Parameters<typeof cancelJob>[1]; readonly world: World }

/** A job by the beginning of its id; else a run. @returns the jobs that are meant */
async function cancelJobs(id: string, { call, world }: CancelCall): Promise<readonly Job['id'][]> {
  const { jobStore } = call.deps
  const jobs = await jobStore.recentJobs({ limit: searchedMax }, world)
  const ofRun = jobs.find(({ runId }) => isBeginning(id) && runId.startsWith(id.toLowerCase()))?.runId
  try {
    const job = findByBeginning(jobs, { what: 'job', id, idOf: (one) => one.id })
    return [(await cancelJob(job.id, call)).id]
  } catch (error) {
    if (!hasCode(error, 'job-not-found')) throw error
    const runs = ofRun === undefined ? await jobStore.recentRuns({ limit: 1_000 }, world) : []
    const runId: RunId = ofRun ?? findByBeginning(runs, { what: 'run', id, idOf: (one) => one.id }).id
    return (await cancelRun(runId, call)).jobIds
  }
}
