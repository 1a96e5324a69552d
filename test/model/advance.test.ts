// advance(): the job's state machine, by examples along the way and by properties over any order of events.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { advance, isBeforeCommit, type JobEvent, stageOf } from '../../lib/model/advance.ts'
import type { Job } from '../../lib/model/job.ts'
import type { Outcome } from '../../lib/model/outcome.ts'
import { fullJob, sampleJob, samplePointId } from '../kit/record-samples.ts'

const AT = '2026-01-02T03:04:05.000Z'
const FAILED: Outcome = { kind: 'failed', code: 'test', message: 'It failed', hint: null }
const COUNTS = { readBytes: 1, newPlainBytes: 1, storedBytes: 1 }
const NOTICE = { code: 'cbt-unavailable', message: 'Read whole', hint: null }

const { capture } = fullJob()
if (capture === null) throw new Error('The full sample has a capture')

const EVENTS: readonly JobEvent[] = [
  { kind: 'prepare-started', at: AT },
  { kind: 'prepared', tracking: { active: true, reason: null } },
  { kind: 'skipped', outcome: { ...FAILED, kind: 'skipped' }, at: AT },
  { kind: 'captured', capture, notices: [], at: AT },
  { kind: 'transfer-started' },
  { kind: 'transferred', pointId: samplePointId, counts: COUNTS, notices: [], at: AT },
  { kind: 'transferred', pointId: samplePointId, counts: COUNTS, notices: [NOTICE], at: AT },
  { kind: 'candidate-refused', notice: NOTICE },
  { kind: 'transfer-again', notice: null },
  { kind: 'committed', at: AT },
  { kind: 'failed', outcome: FAILED },
  { kind: 'released', at: AT, notice: null },
  { kind: 'released', at: AT, notice: { code: 'left-behind', message: 'Left', hint: null } },
  { kind: 'finished', at: AT, notices: [] },
]

const waiting: Job = sampleJob()

function jobAfter(events: readonly JobEvent[], job: Job = waiting): Job {
  return events.reduce(advance, job)
}

function event(kind: JobEvent['kind']): JobEvent {
  const found = EVENTS.find((each) => each.kind === kind)
  if (found === undefined) throw new Error(`No event ${kind}`)
  return found
}

describe('advance()', () => {
  it('leads a job from waiting to done, and each state names its stage', () => {
    const way = [
      'prepare-started',
      'prepared',
      'captured',
      'transfer-started',
      'transferred',
      'committed',
      'released',
      'finished',
    ] as const
    const states: string[] = []
    way.reduce((job, kind) => {
      const next = advance(job, event(kind))
      states.push(`${next.state}:${next.nextStage}`)
      return next
    }, waiting)
    expect(states).toEqual([
      'preparing:prepare',
      'capturing:capture',
      'captured:transfer',
      'transferring:transfer',
      'transferred:commit',
      'committed:release',
      'finishing:finish',
      'done:null',
    ])
  })

  it('fixes the outcome when the point is committed: success without notices, else a warning with the first of them', () => {
    const until = ['prepare-started', 'prepared', 'captured', 'transfer-started'] as const
    const transferring = jobAfter(until.map(event))
    const clean = jobAfter([event('transferred'), event('committed')], transferring)
    expect(clean.outcome).toMatchObject({ kind: 'success', code: 'ok' })
    const noticed = jobAfter([EVENTS[6] ?? event('transferred'), event('committed')], transferring)
    expect(noticed.outcome).toMatchObject({ kind: 'warning', code: 'cbt-unavailable' })
  })

  it('turns a success into a warning when something could not be given back', () => {
    const committed = jobAfter(
      (['prepare-started', 'prepared', 'captured', 'transfer-started', 'transferred', 'committed'] as const).map(event),
    )
    expect(jobAfter([EVENTS[12] ?? event('released')], committed).outcome).toMatchObject({
      kind: 'warning',
      code: 'left-behind',
    })
  })

  it('sends a job that owes something through release even when it is skipped', () => {
    const owing: Job = { ...waiting, owes: [{ kind: 'place', resource: 'vm/x' }] }
    expect(jobAfter([event('skipped')], owing)).toMatchObject({ state: 'releasing', nextStage: 'release' })
    expect(jobAfter([event('skipped')])).toMatchObject({ state: 'done', nextStage: null })
  })

  it('starts a new attempt when a mover is tried again, so that an old one cannot be taken for it', () => {
    const transferring = jobAfter((['prepare-started', 'prepared', 'captured', 'transfer-started'] as const).map(event))
    expect(jobAfter([event('transfer-again')], transferring)).toMatchObject({
      state: 'captured',
      attempt: 2,
      nextStage: 'transfer',
    })
  })

  it('changes nothing, not even the object, for an event that does not fit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...EVENTS), { maxLength: 30 }),
        fc.constantFrom(...EVENTS),
        (history, late) => {
          const job = jobAfter(history)
          const next = advance(job, late)
          if (next.state === job.state && next.attempt === job.attempt) expect(next).toBe(job)
        },
      ),
    )
  })

  it("in any order of events keeps: done is final, the outcome never changes once releasing, the next stage is the state's", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 40 }), (history) => {
        let job = waiting
        for (const each of history) {
          const next = advance(job, each)
          if (job.state === 'done') expect(next).toBe(job)
          if (!isBeforeCommit(job.state) && job.outcome?.kind !== 'success') expect(next.outcome).toEqual(job.outcome)
          if (next.state === 'done' || next.state === 'releasing' || next.state === 'finishing')
            expect(next.outcome).not.toBeNull()
          if (next !== job) expect(next.nextStage).toBe(stageOf(next.state))
          expect(next.attempt).toBeGreaterThanOrEqual(job.attempt)
          job = next
        }
      }),
    )
  })
})
