// Records of state as they are shown to people and programs: plain documents, the same for the API and for commands.

import { isoTime } from '../base/clock.ts'
import type { AlarmRecord } from '../model/alarm.ts'
import type { Operation, OperationTarget } from '../model/operation.ts'
import type { PointEntry } from '../model/point-entry.ts'
import type { Run } from '../model/run.ts'
import type { StoredPolicy } from '../model/stored-policy.ts'
import type { JobView } from './follow-run.ts'
import { sumProgress } from './job-words.ts'
import { reportJob } from './run-report.ts'

/** As its record alone says. */
export function documentOfRun(run: Run) {
  return {
    id: run.id,
    state: run.state,
    door: run.door,
    policy: run.policy.name,
    vms: run.vms === null ? null : [...run.vms],
    full: run.full,
    requestedAt: run.requestedAt,
    requestedBy: run.requestedBy,
    cancelRequestedAt: run.cancelRequestedAt,
    refusal: run.refusal,
    jobs: null,
  }
}

/** With what its jobs have come to. */
export function documentOfRunAndJobs(run: Run, jobs: readonly JobView['job'][]) {
  const outcomes = { success: 0, warning: 0, failed: 0, skipped: 0 }
  for (const { state, outcome } of jobs) if (state === 'done' && outcome !== null) outcomes[outcome.kind]++
  const done = jobs.filter(({ state }) => state === 'done').length
  const committed = jobs.filter(({ times }) => times.committedAt !== null).length
  const decided = jobs.filter(({ state, times }) => state === 'done' || times.committedAt !== null).length
  const total = Math.max(run.jobIds.length, jobs.length)
  return {
    ...documentOfRun(run),
    state: stateOfRun(run, { total, done, decided }),
    jobs: { total, done, committed, outcomes },
  }
}

type Counts = { readonly total: number; readonly done: number; readonly decided: number }

function stateOfRun(run: Run, { total, done, decided }: Counts) {
  if (run.state !== 'planned') return run.state
  if (done === total) return 'done'
  return decided === total ? 'committed' : 'running'
}

export function documentOfJob(view: JobView) {
  const { job, attempt } = view
  const report = reportJob(view)
  return {
    ...report,
    notices: [...report.notices],
    waitsFor: job.waitsFor,
    nextStage: job.nextStage,
    wakeAt: job.wakeAtMs === null ? null : isoTime(job.wakeAtMs),
    cancelRequestedAt: job.cancelRequestedAt,
    progress: sumProgress(attempt),
    disks: [...(attempt?.progress ?? [])],
  }
}

export function documentOfPoint({ pointId, vmName, policyName, disks, ...rest }: PointEntry) {
  return { id: pointId, vm: vmName, policy: policyName, disks: [...disks], ...rest }
}

export function documentOfOperation(operation: Operation) {
  const { request, point: resolved } = operation
  const { id, state, attempt, requestedAt, requestedBy, cancelRequestedAt, waitsFor, outcome, doneAt } = operation
  return {
    id,
    kind: request.kind,
    point: request.point,
    resolved,
    target: request.kind === 'restore' ? targetWords(request.target) : null,
    disks: request.kind !== 'restore' || request.disks === null ? null : [...request.disks],
    deep: request.kind === 'verify' ? request.deep : null,
    state,
    attempt,
    requestedAt,
    requestedBy,
    cancelRequestedAt,
    waitsFor,
    progress: [...operation.progress],
    outcome,
    result: [...operation.result],
    doneAt,
  }
}

function targetWords(target: OperationTarget): string {
  return target.kind === 'bucket' ? `s3://${target.bucket}/${target.prefix}` : `file://${target.folder}`
}

export function documentOfPolicy({ name, state, policy, sha256, appliedAt, appliedBy }: StoredPolicy) {
  return { name, state, schedule: policy.schedule, sha256, appliedAt, appliedBy }
}

export function documentOfAlarm({ alarm, decision }: AlarmRecord) {
  return {
    id: alarm.id,
    source: alarm.source,
    alarm: alarm.alarmName,
    vm: alarm.target.name ?? alarm.target.instanceUuid ?? alarm.target.moref,
    criticality: alarm.criticality,
    receivedAt: alarm.receivedAt,
    decision,
  }
}
