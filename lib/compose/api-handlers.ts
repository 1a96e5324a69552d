// What each route of the HTTP API does, by the name of the route.

import { hexOf } from '../base/bytes.ts'
import { BackupError, quote } from '../base/errors.ts'
import { cancelJob, cancelRun } from '../doors/cancel.ts'
import { requestRun } from '../doors/request-run.ts'
import { apiRunIdOf, isPolicyName, parseJobId, parseRunId } from '../model/ids.ts'
import { defaultPolicy, type Policy } from '../model/policy.ts'
import type { Run } from '../model/run.ts'
import type { StoredPolicy } from '../model/stored-policy.ts'
import {
  documentOfAlarm,
  documentOfJob,
  documentOfPoint,
  documentOfPolicy,
  documentOfRun,
  documentOfRunAndJobs,
} from '../operate/documents.ts'
import { viewJob } from '../operate/follow-run.ts'
import { jobsQuery, pageQuery, pointsQuery, startRun } from '../wire/api/requests.ts'
import type { RouteName } from '../wire/api/routes.ts'
import { type ApiAnswer, type ApiCall, type ApiHandler, LOOK_AGAIN_SECONDS } from './api-call.ts'
import { keyReused, knownId, notFound } from './api-errors.ts'
import { listPage, pageOf, pageOfAll } from './api-lists.ts'
import { operationHandlers } from './api-operations.ts'

export const HANDLERS: Readonly<Record<Exclude<RouteName, 'getOpenApi'>, ApiHandler>> = {
  startRun: beginRun,
  listRuns: async (call) => {
    const { jobStore } = call.deps
    const query = pageQuery.parse(call.query)
    const list = await listPage(query, (page) => jobStore.recentRuns(page, call.cancel))
    return pageOf(list, {
      items: list.map(documentOfRun),
      query,
      placeOf: (run) => ({ at: run.requestedAt, id: run.id }),
    })
  },
  getRun: async (call) => runView(await findRun(call), call),
  cancelRun: async (call) => {
    const run = await cancelRun(knownId(call, 'run', parseRunId), call)
    return { ...(await runView(run, call)), location: `/v1/runs/${run.id}` }
  },
  listJobs,
  getJob: async (call) => {
    const id = knownId(call, 'job', parseJobId)
    const found = await call.deps.jobStore.jobs.get(id, call.cancel)
    if (found === null) throw notFound('job', id)
    return jobView(found.value, call)
  },
  cancelJob: async (call) => {
    const job = await cancelJob(knownId(call, 'job', parseJobId), call)
    return { ...(await jobView(job, call)), location: `/v1/jobs/${job.id}` }
  },
  listPoints: async (call) => {
    const query = pointsQuery.parse(call.query)
    const own = query.vmId === undefined ? {} : { vmId: query.vmId }
    const list = await listPage(query, (page) => call.deps.jobStore.recentPoints({ ...page, ...own }, call.cancel))
    const placeOf = (point: (typeof list)[number]) => ({ at: point.capturedAt, id: point.pointId })
    return pageOf(list, { items: list.map(documentOfPoint), query, placeOf })
  },
  ...operationHandlers,
  listPolicies: async ({ deps, cancel }) => {
    const stored = await deps.jobStore.listPolicies(cancel)
    return { body: { items: stored.map(documentOfPolicy), next: null } }
  },
  getPolicy: async (call) => {
    const { name = '' } = call.named
    const stored = await findPolicy(name, call)
    if (stored === null) throw unknownPolicy(name, 'none of that name was applied')
    return { body: { ...documentOfPolicy(stored), text: stored.text } }
  },
  listAlarms: async (call) => {
    const query = pageQuery.parse(call.query)
    const list = await listPage(query, (page) => call.deps.jobStore.recentAlarms(page, call.cancel))
    const placeOf = ({ alarm }: (typeof list)[number]) => ({ at: alarm.receivedAt, id: alarm.id })
    return pageOf(list, { items: list.map(documentOfAlarm), query, placeOf })
  },
}

/** The run's id follows from the caller and the key alone, so that another body under the same key is seen. */
async function beginRun(call: ApiCall): Promise<ApiAnswer> {
  const { deps, cancel, caller } = call
  const asked = startRun.parse(call.body)
  if (asked.policy === null && asked.vms === null)
    throw new BackupError('Nothing says what to back up', {
      code: 'request-malformed',
      kind: 'usage',
      hint: 'Name a policy that selects VMs, or VMs, or both',
    })
  const key = call.key ?? hexOf(deps.random.bytes(16))
  const id = apiRunIdOf({ caller: caller.name, key })
  const before = await deps.jobStore.runs.get(id, cancel)
  const policy = before?.value.policy ?? (await policyNamed(asked.policy, call))
  const { vms, full } = asked
  await requestRun({ id, door: 'api', policy, vms, full, requestedBy: caller.name, key }, deps, cancel)
  const found = await deps.jobStore.runs.get(id, cancel)
  if (found === null) throw notFound('run', id)
  const run = found.value
  const name = asked.policy ?? defaultPolicy().name
  const isSame = run.policy.name === name && run.full === full && JSON.stringify(run.vms) === JSON.stringify(vms)
  if (!isSame) throw keyReused(key)
  return { ...(await runView(run, call)), location: `/v1/runs/${id}` }
}

async function policyNamed(name: string | null, call: ApiCall): Promise<Policy> {
  if (name === null) return defaultPolicy()
  const stored = await findPolicy(name, call)
  if (stored?.state === 'active') return stored.policy
  throw unknownPolicy(name, stored === null ? 'none of that name was applied' : 'it was removed')
}

async function findPolicy(text: string, { deps, cancel }: ApiCall): Promise<StoredPolicy | null> {
  if (!isPolicyName(text)) return null
  return (await deps.jobStore.policies.get(text, cancel))?.value ?? null
}

function unknownPolicy(text: string, why: string): BackupError {
  return new BackupError(`Cannot find policy ${quote(text)}: ${why}`, {
    code: 'policy-not-found',
    kind: 'not-found',
    hint: 'GET /v1/policies lists them; "coldframe policy apply" applies one',
    facts: { policy: text },
  })
}

async function listJobs(call: ApiCall): Promise<ApiAnswer> {
  const { deps, cancel } = call
  const query = jobsQuery.parse(call.query)
  const inRun = query.run === undefined ? null : await findRun({ ...call, named: { id: query.run } })
  const own = inRun === null ? null : await deps.jobStore.jobsOfRun(inRun.id, cancel)
  const placeOf = (job: { times: { createdAt: string }; id: string }) => ({ at: job.times.createdAt, id: job.id })
  const list = await listPage(query, async (page) =>
    own === null ? deps.jobStore.recentJobs(page, cancel) : pageOfAll(own, { page, placeOf }),
  )
  const items = []
  for (const job of list) items.push(documentOfJob(await viewJob(job, deps, cancel)))
  return pageOf(list, { items, query, placeOf })
}

async function jobView(job: Parameters<typeof viewJob>[0], { deps, cancel }: ApiCall): Promise<ApiAnswer> {
  const retryAfter = job.state === 'done' ? null : LOOK_AGAIN_SECONDS
  return { body: documentOfJob(await viewJob(job, deps, cancel)), retryAfter }
}

async function runView(run: Run, { deps, cancel }: ApiCall): Promise<ApiAnswer> {
  const body = documentOfRunAndJobs(run, await deps.jobStore.jobsOfRun(run.id, cancel))
  return { body, retryAfter: body.state === 'done' || body.state === 'refused' ? null : LOOK_AGAIN_SECONDS }
}

async function findRun(call: ApiCall): Promise<Run> {
  const id = knownId(call, 'run', parseRunId)
  const found = await call.deps.jobStore.runs.get(id, call.cancel)
  if (found === null) throw notFound('run', id)
  return found.value
}
