// State: versioned single-item records. The authority that messages only wake. No code.

import type { Cancel } from '../base/time-limit.ts'
import type { AlarmRecord } from '../model/alarm.ts'
import type { DoorState } from '../model/door-state.ts'
import type { GuestTrust } from '../model/guest.ts'
import type { AlarmId, JobId, OperationId, PointId, PolicyName, RunId, SessionId, VmId } from '../model/ids.ts'
import type { Attempt, Job } from '../model/job.ts'
import type { Operation } from '../model/operation.ts'
import type { Resource } from '../model/places.ts'
import type { PointEntry } from '../model/point-entry.ts'
import type { Run } from '../model/run.ts'
import type { StoredPolicy } from '../model/stored-policy.ts'
import type { VmHistory } from '../model/vm-history.ts'

/** A record as read: `version` counts its writes from 1 and is what a replacing write must name. */
export type Versioned<Value> = { readonly value: Value; readonly version: number }

/** Reads are consistent: they see every write that was answered before. */
export interface Records<Id extends string, Value> {
  create(id: Id, value: Value, cancel: Cancel): Promise<'created' | 'exists'>
  get(id: Id, cancel: Cancel): Promise<Versioned<Value> | null>
  /** Writes only if the record still has this version; then it has version + 1. */
  replace(id: Id, next: Versioned<Value>, cancel: Cancel): Promise<'replaced' | 'conflict'>
}

/** What should have been worked on by then and was not, most overdue first. */
export type DueQuery = { readonly beforeMs: number; readonly limit: number }

/** A place in a list that is newest first; what lies at it or before it was given already. */
export type PagePosition = { readonly at: string; readonly id: string }
export type Page = { readonly limit: number; readonly after?: PagePosition }

export interface JobStore {
  readonly runs: Records<RunId, Run>
  readonly jobs: Records<JobId, Job>
  /** By session id: one attempt of one job. */
  readonly attempts: Records<SessionId, Attempt>
  readonly resources: Records<string, Resource>
  /** By VM: what its guest is known by. */
  readonly guests: Records<VmId, GuestTrust>
  /** By VM: what is remembered of it from job to job. */
  readonly vms: Records<VmId, VmHistory>
  readonly policies: Records<PolicyName, StoredPolicy>
  readonly operations: Records<OperationId, Operation>
  readonly alarms: Records<AlarmId, AlarmRecord>
  /** Restore points that finish has noted; the repository may hold more. */
  readonly points: Records<PointId, PointEntry>
  /** By name, see DoorState. */
  readonly doors: Records<string, DoorState>
  /** Every job that was made before, if the run named it before it was made; others may lag behind their writes. */
  jobsOfRun(run: RunId, cancel: Cancel): Promise<readonly Job[]>
  /** Jobs that are not done and whose dueAtMs() is at or before `beforeMs`, most overdue first. May lag behind writes. */
  dueJobs(query: DueQuery, cancel: Cancel): Promise<readonly Versioned<Job>[]>
  /** The same of what nobody planned, carried out or decided yet: runDueAtMs(), operationDueAtMs(), alarmDueAtMs(). */
  dueRuns(query: DueQuery, cancel: Cancel): Promise<readonly Versioned<Run>[]>
  dueOperations(query: DueQuery, cancel: Cancel): Promise<readonly Versioned<Operation>[]>
  dueAlarms(query: DueQuery, cancel: Cancel): Promise<readonly Versioned<AlarmRecord>[]>
  /** Newest first by creation, those of one time by id, descending. This list and those below may lag behind writes. */
  recentJobs(query: Page, cancel: Cancel): Promise<readonly Job[]>
  recentRuns(query: Page, cancel: Cancel): Promise<readonly Run[]>
  /** By the time they were asked for. */
  recentOperations(query: Page, cancel: Cancel): Promise<readonly Operation[]>
  /** By the time they were received. */
  recentAlarms(query: Page, cancel: Cancel): Promise<readonly AlarmRecord[]>
  /** By the time they were captured; of one VM when it is given. */
  recentPoints(query: Page & { readonly vmId?: VmId }, cancel: Cancel): Promise<readonly PointEntry[]>
  /** Every policy that was ever applied, by name. */
  listPolicies(cancel: Cancel): Promise<readonly StoredPolicy[]>
}
