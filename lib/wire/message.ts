// Stage messages as queue bodies: JSON text, version 1, strict. A body that does not fit is refused whole.

import * as z from 'zod'
import { BackupError, quote } from '../base/errors.ts'
import type {
  AbandonMessage,
  AlarmMessage,
  JobMessage,
  OperateMessage,
  PlanMessage,
  StageMessage,
} from '../model/message.ts'
import { alarmId, attemptNumber, count, jobId, operationId, parseJson, runId } from './scalars.ts'

const alarm = z.strictObject({
  v: z.literal(1),
  kind: z.literal('alarm'),
  alarmId,
}) satisfies z.ZodType<AlarmMessage>

const plan = z.strictObject({
  v: z.literal(1),
  kind: z.literal('plan'),
  runId,
}) satisfies z.ZodType<PlanMessage>

const stage = z.enum(['prepare', 'capture', 'transfer', 'commit', 'release', 'finish'])

const job = z.strictObject({
  v: z.literal(1),
  kind: stage,
  jobId,
  attempt: attemptNumber,
  round: count,
}) satisfies z.ZodType<JobMessage>

const abandon = z.strictObject({
  v: z.literal(1),
  kind: z.literal('abandon'),
  target: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('job'),
      jobId,
      attempt: attemptNumber,
      dead: z.exactOptional(z.strictObject({ stage, round: count })),
    }),
    z.strictObject({ kind: z.literal('run'), runId }),
    z.strictObject({ kind: z.literal('operation'), operationId, round: count }),
    z.strictObject({ kind: z.literal('alarm'), alarmId }),
  ]),
  reason: z.string().max(4000),
}) satisfies z.ZodType<AbandonMessage>

const operate = z.strictObject({
  v: z.literal(1),
  kind: z.literal('operate'),
  operationId,
  round: count,
}) satisfies z.ZodType<OperateMessage>

/** Exported for the JSON Schema of the queues; everybody else calls parseStageMessage(). */
export const stageMessage = z.discriminatedUnion('kind', [
  alarm,
  plan,
  job,
  abandon,
  operate,
]) satisfies z.ZodType<StageMessage>

/**
 * @param text a queue body
 * @throws BackupError `message-malformed`: it will never become readable, so it is not to be tried again
 */
export function parseStageMessage(text: string): StageMessage {
  return parseJson(text, {
    schema: stageMessage,
    refuse: (reason) =>
      new BackupError(`Cannot read the stage message ${quote(text)}: ${reason}`, {
        code: 'message-malformed',
        hint: 'It was written by another version of Coldframe or by another program',
        facts: { reason },
      }),
  })
}

/** At most a few hundred bytes: ids only. */
export function encodeStageMessage(message: StageMessage): string {
  return JSON.stringify(message)
}
