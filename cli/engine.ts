// The engine that commands talk to, wherever it works: this machine's, or a stack's on AWS. Commands are written once, on this. No code.

import type { OperationRequest } from '../lib/model/operation.ts'
import type { Outcome } from '../lib/model/outcome.ts'
import type {
  JobDocument,
  OperationDocument,
  PointDocument,
  PolicyDocument,
  PolicyTextDocument,
} from '../lib/wire/api/documents.ts'
import type { Progress } from './progress.ts'

export type WantedBackup = {
  /** A file on this machine, or the name of an applied policy on AWS; null: the default policy. */
  readonly policy: string | null
  /** Names, references or instance uuids; null: what the policy selects. */
  readonly vms: readonly string[] | null
  readonly full: boolean
  /** The same key asks for the same run; null: a new one. */
  readonly key: string | null
}

export type BackedUp = {
  readonly id: string
  readonly policy: string
  readonly refusal: Outcome | null
  readonly jobs: readonly JobDocument[]
}

/** A job, and what only its own machine knows: for people as lines of name and value, for programs as more of the document. */
export type ShownJob = {
  readonly document: JobDocument
  readonly more: {
    readonly data: Readonly<Record<string, unknown>>
    readonly lines: readonly (readonly [string, string])[]
    readonly evidence: readonly { readonly name: string; readonly text: string }[]
  }
}

export type Cancelled =
  | { readonly kind: 'jobs'; readonly jobs: readonly JobDocument[] }
  | { readonly kind: 'operation'; readonly operation: OperationDocument }

export interface Engine {
  /** Asks for a run and follows it until every job has ended. */
  backUp(wanted: WantedBackup, progress: Progress): Promise<BackedUp>
  /** Newest first. */
  recentJobs(limit: number): Promise<readonly ShownJob[]>
  /** @param id its beginning, 4 digits or more. @throws BackupError `job-not-found`, `job-ambiguous` (not-found) */
  job(id: string): Promise<ShownJob>
  /** Asks for a restore or a check and follows it to its end. */
  operate(
    wanted: { readonly request: OperationRequest; readonly key: string | null },
    progress: Progress,
  ): Promise<OperationDocument>
  /** Cancels a job, a run, a restore or a check, and follows it to its end. @param id whole, or the beginning of a job's or a run's */
  cancel(id: string, progress: Progress): Promise<Cancelled>
  /** Restore points as the engine has noted them, newest first: all of them, or those of a VM by name or instance uuid. */
  points(vm: string | null): Promise<readonly PointDocument[]>
  policies(): Promise<readonly PolicyDocument[]>
  /** @throws BackupError `policy-not-found` */
  policy(name: string): Promise<PolicyTextDocument>
}
