// Stages and the messages that wake them. A message carries ids only: the job record is the authority.

import type { AlarmId, JobId, OperationId, RunId } from './ids.ts'

/** One stage is one name: message kind, queue, function, file. */
export const STAGE_KINDS = [
  'alarm',
  'plan',
  'prepare',
  'capture',
  'transfer',
  'commit',
  'release',
  'finish',
  'abandon',
  'operate',
] as const
export type StageKind = (typeof STAGE_KINDS)[number]

/** The stages that work on one job. */
export type JobStageKind = Exclude<StageKind, 'alarm' | 'plan' | 'abandon' | 'operate'>

export type PlanMessage = { readonly v: 1; readonly kind: 'plan'; readonly runId: RunId }

export type AlarmMessage = { readonly v: 1; readonly kind: 'alarm'; readonly alarmId: AlarmId }

export type JobMessage = {
  readonly v: 1
  readonly kind: JobStageKind
  readonly jobId: JobId
  readonly attempt: number
  /** Counts the times a stage has sent itself on, from 0. */
  readonly round: number
}

/** A restore or a check whose task is to be started or looked at. */
export type OperateMessage = {
  readonly v: 1
  readonly kind: 'operate'
  readonly operationId: OperationId
  /** As in a JobMessage. */
  readonly round: number
}

/** A job, a run, an operation or an alarm whose message died, or whose mover stopped without an answer. */
export type AbandonMessage = {
  readonly v: 1
  readonly kind: 'abandon'
  readonly target:
    | {
        readonly kind: 'job'
        readonly jobId: JobId
        readonly attempt: number
        /** The message that died: a job that has moved on since is not meant. Left out, the job is meant as it is. */
        readonly dead?: { readonly stage: JobStageKind; readonly round: number }
      }
    | { readonly kind: 'run'; readonly runId: RunId }
    | { readonly kind: 'operation'; readonly operationId: OperationId; readonly round: number }
    | { readonly kind: 'alarm'; readonly alarmId: AlarmId }
  readonly reason: string
}

export type StageMessage = AlarmMessage | PlanMessage | JobMessage | AbandonMessage | OperateMessage

/** What becomes of a message that was delivered too often without success. */
export function abandonOf(dead: StageMessage, reason: string): AbandonMessage {
  switch (dead.kind) {
    case 'abandon':
      return dead
    case 'alarm':
      return { v: 1, kind: 'abandon', target: { kind: 'alarm', alarmId: dead.alarmId }, reason }
    case 'plan':
      return { v: 1, kind: 'abandon', target: { kind: 'run', runId: dead.runId }, reason }
    case 'operate': {
      const { operationId, round } = dead
      return { v: 1, kind: 'abandon', target: { kind: 'operation', operationId, round }, reason }
    }
    default:
      return { v: 1, kind: 'abandon', target: jobOf(dead), reason }
  }
}

function jobOf({ kind, jobId, attempt, round }: JobMessage): AbandonMessage['target'] {
  return { kind: 'job', jobId, attempt, dead: { stage: kind, round } }
}
