import { describe, expect, it } from 'vitest'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import type { Job } from '../../lib/model/job.ts'
import type { Outcome } from '../../lib/model/outcome.ts'
import { followRun, isOver } from '../../lib/operate/follow-run.ts'
import { describeDebt, describeJob, sumProgress } from '../../lib/operate/job-words.ts'
import { faultOfRun, reportJob } from '../../lib/operate/run-report.ts'
import { findUnfinished } from '../../lib/operate/unfinished.ts'
import {
  fullJob,
  sampleAttempt,
  sampleJob,
  sampleJobId,
  samplePointId,
  sampleRun,
  sampleRunId,
} from '../kit/record-samples.ts'

const cancel = { signal: new AbortController().signal }
const success: Outcome = { kind: 'success', code: 'ok', message: 'Written', hint: null }
const warning: Outcome = { kind: 'warning', code: 'cbt-unavailable', message: 'Read in full', hint: null }
const failed: Outcome = { kind: 'failed', code: 'vm-busy', message: 'Was busy', hint: 'Start again' }
const skipped: Outcome = { kind: 'skipped', code: 'gone', message: 'Is gone', hint: null }

function doneJob(number: number, outcome: Outcome): { readonly job: Job; readonly attempt: null } {
  return { job: sampleJob({ id: sampleJobId(number), state: 'done', nextStage: null, outcome }), attempt: null }
}

const planned = sampleRun({ state: 'planned', jobIds: [sampleJobId(1), sampleJobId(2)] })

describe('a run', () => {
  it('is good news when every job ended in success or warning', () => {
    expect(faultOfRun({ ...planned, jobs: [doneJob(1, success), doneJob(2, warning)].map(({ job }) => job) })).toBe(
      null,
    )
  })

  it('with a failed or skipped job is bad news, counted and with the first sentence', () => {
    const fault = faultOfRun({ ...planned, jobs: [doneJob(1, success), doneJob(2, failed)].map(({ job }) => job) })
    expect(fault).toMatchObject({ code: 'vm-busy', kind: 'failed', hint: 'Start again' })
    expect(fault?.message).toBe('1 of 2 VMs were not backed up; first: Was busy')
    expect(faultOfRun({ ...planned, jobs: [doneJob(1, skipped)].map(({ job }) => job) })?.message).toBe('Is gone')
  })

  it.each([
    ['vm-not-found', 'not-found'],
    ['vm-ambiguous', 'not-found'],
    ['nothing-selected', 'not-found'],
    ['vcenter-login', 'refused'],
    ['vcenter-thumbprint', 'refused'],
    ['vcenter-unreachable', 'failed'],
    ['toString', 'failed'],
  ])('refused with "%s" is told as %s', (code, kind) => {
    const refusal: Outcome = { kind: 'failed', code, message: 'No', hint: null }
    expect(faultOfRun({ ...sampleRun({ state: 'refused', refusal }), jobs: [] })).toMatchObject({ code, kind })
  })

  it('is over when refused, or planned with every job made and done', () => {
    expect(isOver({ run: sampleRun({ state: 'requested' }), jobs: [] })).toBe(false)
    expect(isOver({ run: sampleRun({ state: 'refused', refusal: failed }), jobs: [] })).toBe(true)
    expect(isOver({ run: planned, jobs: [doneJob(1, success)] })).toBe(false)
    expect(isOver({ run: planned, jobs: [doneJob(1, success), { ...doneJob(2, success), job: sampleJob() }] })).toBe(
      false,
    )
    expect(isOver({ run: planned, jobs: [doneJob(1, success), doneJob(2, failed)] })).toBe(true)
  })
})

it('a run is followed until its last job is done, in the order of the run', async () => {
  const jobStore = memoryJobStore()
  const clock = manualClock()
  await jobStore.runs.create(sampleRunId, planned, cancel)
  for (const number of [2, 1])
    await jobStore.jobs.create(sampleJobId(number), sampleJob({ id: sampleJobId(number) }), cancel)
  const looks: string[] = []
  const end = followRun(
    {
      runId: sampleRunId,
      jobStore,
      clock,
      everyMs: 100,
      onLook: ({ jobs }) => looks.push(jobs.map(({ job }) => job.state).join()),
    },
    cancel,
  )
  for (const number of [1, 2]) {
    while (clock.sleepers() === 0) await new Promise(setImmediate)
    const value = doneJob(number, success).job
    await jobStore.jobs.replace(value.id, { value, version: 1 }, cancel)
    clock.advance(100)
  }
  expect((await end).jobs.map(({ job }) => job.id)).toEqual([sampleJobId(1), sampleJobId(2)])
  expect(looks).toEqual(['waiting,waiting', 'done,waiting', 'done,done'])
})

it('what is unfinished are jobs that are not done and runs that nobody planned', async () => {
  const jobStore = memoryJobStore()
  await jobStore.runs.create(sampleRunId, sampleRun(), cancel)
  await jobStore.jobs.create(sampleJob().id, sampleJob({ wakeAtMs: 9_000_000_000_000 }), cancel)
  await jobStore.jobs.create(sampleJobId(1), { ...doneJob(1, success).job, wakeAtMs: null }, cancel)
  const { jobs, runs } = await findUnfinished(jobStore, cancel)
  expect(jobs.map(({ id }) => id)).toEqual([sampleJob().id])
  expect(runs.map(({ id }) => id)).toEqual([sampleRunId])
})

describe('a job', () => {
  it('reports its point, with the number that its mover gave it, once it is committed', () => {
    const sealed = fullJob()
    const committed = { ...sealed, times: { ...sealed.times, committedAt: sealed.times.createdAt } }
    const { counts } = sealed
    const result = {
      kind: 'sealed',
      pointId: samplePointId,
      sequence: 7,
      counts,
      notices: [],
      audits: [],
      trackingFault: null,
    } as const
    const attempt = sampleAttempt({ result })
    expect(reportJob({ job: committed, attempt })).toMatchObject({
      pointId: samplePointId,
      sequence: 7,
      grade: 'crash',
    })
    expect(reportJob({ job: sealed, attempt })).toMatchObject({ pointId: null, sequence: null, grade: null })
  })

  it('says what it does, what it waits for and what it owes', () => {
    expect(describeJob(sampleJob())).toBe('waiting to start')
    expect(describeJob(sampleJob({ state: 'preparing', attempt: 2, waitsFor: 'a free mover' }))).toBe(
      'preparing (attempt 2): waits for a free mover',
    )
    expect(describeJob(doneJob(1, failed).job)).toBe('failed: Was busy')
    expect(fullJob().owes.map(describeDebt)).toEqual([
      'a place in "vm:1" to give back',
      'snapshot "coldframe-x" to remove, if it exists',
      'disks attached to the mover\'s VM "vm-9" to detach, if there are any',
      'the mover of attempt 1 to be over',
      'earlier restore points to mark as unproven, as attempt 1 found',
    ])
  })

  it('has no progress before a mover began, then that of all disks', () => {
    expect(sumProgress(null)).toBe(null)
    const [disk] = sampleAttempt().progress
    if (disk === undefined) throw new Error('the sample has a disk')
    expect(sumProgress({ progress: [disk, { ...disk, key: 2001 }] })).toEqual({ doneBytes: 20, totalBytes: 200 })
  })
})
