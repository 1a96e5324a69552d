import { describe, expect, it } from 'vitest'
import { STAGE_KINDS, type StageMessage } from '../../lib/model/message.ts'
import { attemptRecord, jobRecord, resourceRecord, runRecord } from '../../lib/wire/job.ts'
import { encodeStageMessage, parseStageMessage } from '../../lib/wire/message.ts'
import {
  fullJob,
  sampleAlarm,
  sampleAttempt,
  sampleJob,
  sampleOperation,
  samplePointId,
  sampleResource,
  sampleRun,
  sampleRunId,
} from '../kit/record-samples.ts'

const jobId = sampleJob().id

function messageOfKind(kind: (typeof STAGE_KINDS)[number]): StageMessage {
  if (kind === 'alarm') return { v: 1, kind, alarmId: sampleAlarm().alarm.id }
  if (kind === 'plan') return { v: 1, kind, runId: sampleRunId }
  if (kind === 'abandon') return { v: 1, kind, target: { kind: 'job', jobId, attempt: 2 }, reason: 'The message died' }
  if (kind === 'operate') return { v: 1, kind, operationId: sampleOperation().id, round: 3 }
  return { v: 1, kind, jobId, attempt: 2, round: 3 }
}

describe('state records', () => {
  it('come back from text as they were', () => {
    for (const job of [sampleJob(), fullJob()]) expect(jobRecord.parse(jobRecord.encode(job))).toEqual(job)
    for (const run of [sampleRun(), sampleRun({ vms: null, state: 'planned', jobIds: [jobId] })]) {
      expect(runRecord.parse(runRecord.encode(run))).toEqual(run)
    }
    const counts = { readBytes: 1, newPlainBytes: 1, storedBytes: 1 }
    const results = [
      null,
      { kind: 'sealed', pointId: samplePointId, sequence: 1, counts, notices: [], audits: [], trackingFault: null },
      { kind: 'failed', code: 'x', message: 'y', hint: null, retry: 'later' },
    ] as const
    for (const result of results) {
      expect(attemptRecord.parse(attemptRecord.encode(sampleAttempt({ result })))).toEqual(sampleAttempt({ result }))
    }
    expect(resourceRecord.parse(resourceRecord.encode(sampleResource()))).toEqual(sampleResource())
  })

  it('refuse a key that this version does not know, so that it is not lost by writing back', () => {
    const text = JSON.stringify({ v: 1, value: { ...sampleResource(), extra: 1 } })
    expect(() => resourceRecord.parse(text)).toThrow(expect.objectContaining({ code: 'state-malformed' }))
  })

  it('refuse text that is no JSON or of another version', () => {
    expect(() => jobRecord.parse('{')).toThrow(/not JSON/)
    expect(() => jobRecord.parse(JSON.stringify({ v: 2, value: sampleJob() }))).toThrow(/v: /)
  })
})

describe('stage messages', () => {
  it('of every kind come back from text as they were', () => {
    for (const kind of STAGE_KINDS) {
      expect(parseStageMessage(encodeStageMessage(messageOfKind(kind)))).toEqual(messageOfKind(kind))
    }
  })

  it('refuse another version, another kind, a bad id and an unknown key', () => {
    const good = messageOfKind('capture')
    for (const bad of [
      { ...good, v: 2 },
      { ...good, kind: 'destroy' },
      { ...good, jobId: 'x' },
      { ...good, more: 1 },
    ]) {
      expect(() => parseStageMessage(JSON.stringify(bad))).toThrow(
        expect.objectContaining({ code: 'message-malformed', retry: 'no' }),
      )
    }
  })
})
