// plan: which VMs now. Resolves a run against the live inventory and makes one job per VM; no guest is contacted.

import { changeRecord } from '../base/change-record.ts'
import { isoTime } from '../base/clock.ts'
import { BackupError } from '../base/errors.ts'
import { type Cancel, isAbort } from '../base/time-limit.ts'
import { groupsOf } from '../model/anti-affinity.ts'
import { cancelledRun } from '../model/cancel.ts'
import { chooseVms } from '../model/choose-vms.ts'
import type { JobId } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import type { PlanMessage } from '../model/message.ts'
import { newJob } from '../model/new-job.ts'
import type { Outcome } from '../model/outcome.ts'
import { policyForVm } from '../model/policy-for-vm.ts'
import type { LeftOut, Run } from '../model/run.ts'
import type { VmSummary } from '../model/vm.ts'
import { windowClosesAtMs } from '../model/window.ts'
import type { Versioned } from '../ports/job-store.ts'
import type { StageDeps } from './deps.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import { chooseScheduled, type ScheduledChoice } from './plan-scheduled.ts'
import { planLater, sendNext, withWake } from './send.ts'
import { tellRun } from './tell.ts'

const WRITES_MAX = 10

/**
 * A second plan finds its own jobs. What may pass is waited for, if nobody waits for the answer; what does not refuses the
 * run. Broken code is thrown.
 */
export async function plan(message: PlanMessage, deps: StageDeps, cancel: Cancel): Promise<void> {
  const found = await deps.jobStore.runs.get(message.runId, cancel)
  if (found === null)
    throw new BackupError(`Cannot plan run "${message.runId}": there is no such run`, { code: 'run-unknown' })
  const run = found.value
  if (run.state !== 'requested') return planOver(found, { deps, cancel })
  if (run.cancelRequestedAt !== null) return refuseRun(found, cancelledRun(run), { deps, cancel })

  let vms: readonly VmSummary[]
  try {
    await using session = await deps.vsphere.open(cancel)

    vms = await session.listVms(cancel)
  } catch (error) {
    return withoutInventory(error, found, { deps, cancel })
  }
  const choice = chooseVms({ ...run, vms: stillThere(run, vms) }, vms)
  if ('refusal' in choice) return refuseRun(found, choice.refusal, { deps, cancel })
  const scheduled = await scheduledOf(run, choice.vms, { deps, cancel })
  if (scheduled.kind === 'skip')
    return refuseRun(found, scheduled.outcome, { deps, cancel, leftOut: scheduled.leftOut })
  const { leftOut } = scheduled
  const createdAt = isoTime(deps.clock.nowMs())
  const beginBefore = run.door === 'schedule' ? beginBeforeOf(run, deps) : null
  const jobs = scheduled.vms.map((vm) => {
    const ofVm = { ...run, policy: policyForVm(run.policy, vm) }
    return withWake(newJob({ run: ofVm, vm, groups: groupsOf(vm, ofVm.policy), beginBefore, createdAt }), deps, 0)
  })
  const named = await nameJobs(found, jobs, { deps, cancel })
  if (named.value.state === 'refused') return planOver(named, { deps, cancel })
  for (const job of jobs) await deps.jobStore.jobs.create(job.id, job, cancel)
  const planned = await writePlanned(named, jobs, { deps, cancel, leftOut })
  deps.log.info('run.planned', { run: run.id, jobs: planned.jobIds.length })
  await tellRun(planned, deps, cancel)
  await sendWaiting(planned, deps, cancel)
}

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }
/** VMs that this plan leaves out; those of an earlier one stand as they are. */
type LeavingOut = Call & { readonly leftOut?: readonly LeftOut[] }

/** Only a schedule comes again by itself: what somebody asked for, or an alarm, is started for every VM. */
async function scheduledOf(run: Run, vms: readonly VmSummary[], call: Call): Promise<ScheduledChoice> {
  if (run.door !== 'schedule') return { kind: 'start', vms, leftOut: [] }
  const choice = await chooseScheduled(run, vms, call)
  for (const { code, count } of choice.leftOut) {
    if (code === 'coalesced') call.deps.metrics.count('schedule.coalesced', count)
    call.deps.log.info('run.left-out', { run: run.id, policy: run.policy.name, code, count })
  }
  return choice
}

function beginBeforeOf({ policy }: Run, { clock }: StageDeps): string | null {
  const closesMs = windowClosesAtMs(policy, clock.nowMs())
  return closesMs === null ? null : isoTime(closesMs)
}

/** Alarms about many VMs go together in one run: one that was deleted meanwhile does not keep the others from their backup. */
function stillThere({ door, vms }: Run, inventory: readonly VmSummary[]): Run['vms'] {
  if (door !== 'alarm' || vms === null) return vms
  const known = new Set<string>(inventory.map(({ vmId }) => vmId))
  const there = vms.filter((vm) => known.has(vm))
  return there.length === 0 ? vms : there
}

/** A copy that comes when the plan is over. Jobs of a plan that died before it could say so join the run. */
async function planOver(found: Versioned<Run>, { deps, cancel }: Call): Promise<void> {
  const { id, state, jobIds } = found.value
  const made = await deps.jobStore.jobsOfRun(id, cancel)
  if (state === 'refused' && made.length === 0) return
  const isWhole = state === 'planned' && made.every((job) => jobIds.includes(job.id))
  return sendWaiting(isWhole ? found.value : await writePlanned(found, [], { deps, cancel }), deps, cancel)
}

/** Names jobs in the run before they are made: whoever reads the run misses none of them, however late an index is. */
async function nameJobs(found: Versioned<Run>, jobs: readonly Job[], call: Call): Promise<Versioned<Run>> {
  const name = (run: Run): Run => {
    const jobIds = [...new Set([...run.jobIds, ...jobs.map((job) => job.id)])]
    return run.state === 'requested' ? { ...run, jobIds } : run
  }
  return await changeRun(found, async (run) => name(run), call)
}

/** Whoever asks on demand waits for the answer and asks again; a schedule or an alarm does not. */
async function withoutInventory(error: unknown, found: Versioned<Run>, { deps, cancel }: Call): Promise<void> {
  const { door, requestedAt, wakeAtMs } = found.value
  if (cancel.signal.aborted || !(error instanceof BackupError || isAbort(error))) throw error
  const { againFirstMs, againMostMs, overdueMs, stageMs } = deps.limits
  const nowMs = deps.clock.nowMs()
  const ageMs = nowMs - Date.parse(requestedAt)
  const mayPass = isAbort(error) || (error instanceof BackupError && error.retry === 'later')
  if (!mayPass || door === 'api' || ageMs >= stageMs) return refuseRun(found, outcomeOfError(error), { deps, cancel })
  deps.log.error('plan.failed', error, { run: found.value.id, ageMs })
  // A copy that comes early leaves the next try to the message that is on its way.
  if (wakeAtMs !== null && wakeAtMs - overdueMs > nowMs + againFirstMs) return
  await planLater(found, deps, { delayMs: Math.min(againMostMs, Math.max(againFirstMs, ageMs)), ...cancel })
}

/**
 * Two plans at once may have seen different inventories: the run has the jobs of both. What a plan named and did not make leaves
 * the run; if that plan is still at work, it writes the run once more when it has made it.
 * @param own that the caller has made: they belong to the run, whoever took their names out of it meanwhile
 */
async function writePlanned(found: Versioned<Run>, own: readonly Job[], call: LeavingOut): Promise<Run> {
  // Asked anew for each version of the run: whoever wrote in between may have made more.
  const plan = async (run: Run): Promise<Run> => {
    const others = await call.deps.jobStore.jobsOfRun(run.id, call.cancel)
    const made = new Set([...own, ...others].map((job) => job.id))
    const jobIds = [...new Set([...run.jobIds.filter((id) => made.has(id)), ...made])]
    return { ...run, state: 'planned', wakeAtMs: null, jobIds, refusal: null, leftOut: call.leftOut ?? run.leftOut }
  }
  return (await changeRun(found, plan, call)).value
}

/** Writes over what others wrote meanwhile, watch's wake-up for one. A change that leaves the run as it is writes nothing. */
async function changeRun(
  first: Versioned<Run>,
  change: (run: Run) => Promise<Run>,
  { deps, cancel }: Call,
): Promise<Versioned<Run>> {
  const { id } = first.value
  let found = first
  for (let write = 1; write <= WRITES_MAX; write++) {
    const value = await change(found.value)
    if (value === found.value) return found
    if ((await deps.jobStore.runs.replace(id, { value, version: found.version }, cancel)) === 'replaced')
      return { value, version: found.version + 1 }
    found = (await deps.jobStore.runs.get(id, cancel)) ?? found
  }
  throw new BackupError(`Cannot write run "${id}": others write it all the time`, {
    code: 'run-contended',
    retry: 'later',
  })
}

async function sendWaiting(run: Run, deps: StageDeps, cancel: Cancel): Promise<void> {
  for (const id of run.jobIds) {
    if (run.cancelRequestedAt !== null) await cancelToo(id, run.cancelRequestedAt, { deps, cancel })
    const found = await deps.jobStore.jobs.get(id, cancel)
    if (found?.value.state === 'waiting' && found.value.round === 0)
      await sendNext(found.value, deps, { delayMs: 0, ...cancel })
  }
}

/** Whoever cancelled the run saw no jobs yet. */
async function cancelToo(id: JobId, cancelRequestedAt: string, { deps, cancel }: Call): Promise<void> {
  const change = (job: Job): Job => (job.cancelRequestedAt === null ? { ...job, cancelRequestedAt } : job)
  await changeRecord(deps.jobStore.jobs, { id, change }, cancel)
}

/** A run that has jobs already, of a plan that died half-way, is planned with those: they are at work. */
export async function refuseRun(
  found: Versioned<Run>,
  refusal: Outcome,
  { deps, cancel, leftOut }: LeavingOut,
): Promise<void> {
  if ((await deps.jobStore.jobsOfRun(found.value.id, cancel)).length > 0)
    return sendWaiting(await writePlanned(found, [], { deps, cancel }), deps, cancel)
  const refuse = async (run: Run): Promise<Run> =>
    run.state === 'requested'
      ? { ...run, state: 'refused', wakeAtMs: null, refusal, leftOut: leftOut ?? run.leftOut }
      : run
  const { value } = await changeRun(found, refuse, { deps, cancel })
  if (value.state !== 'refused') return
  deps.log.warn('run.refused', { run: value.id, code: refusal.code, message: refusal.message })
  await tellRun(value, deps, cancel)
}
