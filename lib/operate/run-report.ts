// What became of a run: one report a job, and whether the whole is good news.

import { BackupError, type ErrorKind, type Facts } from '../base/errors.ts'
import type { GradeRecord } from '../model/grade.ts'
import type { JobId, Moref, PointId, RunId, VmId } from '../model/ids.ts'
import type { JobCounts, JobState, JobTimes } from '../model/job.ts'
import type { Notice, Outcome } from '../model/outcome.ts'
import type { JobView } from './follow-run.ts'

export type JobReport = {
  readonly id: JobId
  readonly runId: RunId
  readonly vm: { readonly name: string; readonly vmId: VmId; readonly moref: Moref }
  readonly policy: string
  readonly state: JobState
  readonly outcome: Outcome | null
  /** Only once the point is written: a candidate that was never committed is none. */
  readonly pointId: PointId | null
  /** The point's number among those of its VM; null when there is no point. */
  readonly sequence: number | null
  /** How consistent the point is; null when there is no point. */
  readonly grade: GradeRecord['reached'] | null
  readonly attempt: number
  readonly times: JobTimes
  readonly counts: JobCounts
  readonly notices: readonly Notice[]
}

export function reportJob({ job, attempt }: JobView): JobReport {
  const sealed = attempt?.result?.kind === 'sealed' ? attempt.result : null
  const pointId = job.times.committedAt === null ? null : job.pointId
  return {
    id: job.id,
    runId: job.runId,
    vm: { name: job.vm.name, vmId: job.vm.vmId, moref: job.vm.moref },
    policy: job.policy.name,
    state: job.state,
    outcome: job.outcome,
    pointId,
    sequence: sealed !== null && sealed.pointId === pointId ? sealed.sequence : null,
    grade: pointId === null ? null : (job.capture?.grade.reached ?? null),
    attempt: job.attempt,
    times: job.times,
    counts: job.counts,
    notices: job.notices,
  }
}

/**
 * Why a run that is over was no success; null when every job ended in success or warning.
 * A refused run speaks for itself; of several failed jobs the first is named.
 */
export function faultOfRun({ id, refusal, jobs }: EndedRun): BackupError | null {
  if (refusal !== null) return refusalError(refusal, id)
  return faultOfJobs(jobs, { runId: id })
}

export type EndedJob = { readonly vm: { readonly name: string }; readonly outcome: Outcome | null }
export type EndedRun = { readonly id: string; readonly refusal: Outcome | null; readonly jobs: readonly EndedJob[] }

/** The same for jobs of any runs, all of them over. */
export function faultOfJobs(jobs: readonly EndedJob[], facts: Facts): BackupError | null {
  const bad = jobs.flatMap(({ vm, outcome }) =>
    outcome === null || isGood(outcome) ? [] : [{ name: vm.name, outcome }],
  )
  const [first] = bad
  if (first === undefined) return null
  const { code, hint, message } = first.outcome
  const many = `${bad.length} of ${jobs.length} VMs were not backed up; first: ${message}`
  return new BackupError(jobs.length === 1 ? message : many, {
    code,
    ...(hint === null ? {} : { hint }),
    facts: { ...facts, failed: bad.map((one) => one.name) },
  })
}

function isGood({ kind }: Outcome): boolean {
  return kind === 'success' || kind === 'warning'
}

function refusalError(refusal: Outcome, runId: string): BackupError {
  return new BackupError(refusal.message, {
    code: refusal.code,
    kind: kindOfRefusal(refusal.code),
    ...(refusal.hint === null ? {} : { hint: refusal.hint }),
    facts: { runId },
  })
}

/** A run keeps its refusal's code alone; what an operator's shell is told of it is decided here. */
const refusalKinds: Readonly<Record<string, ErrorKind>> = {
  'vm-not-found': 'not-found',
  'vm-ambiguous': 'not-found',
  'nothing-selected': 'not-found',
  'vm-template': 'refused',
  'vcenter-login': 'refused',
  'vcenter-thumbprint': 'refused',
  'vcenter-certificate': 'refused',
  'vcenter-permission': 'refused',
  'vcenter-not-authenticated': 'refused',
  'vcenter-unsupported': 'refused',
  'ca-file-unreadable': 'usage',
  'secret-missing': 'usage',
  'settings-faulty': 'usage',
}

function kindOfRefusal(code: string): ErrorKind {
  return Object.hasOwn(refusalKinds, code) ? (refusalKinds[code] ?? 'failed') : 'failed'
}
