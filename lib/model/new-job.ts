// A job as plan makes it: nothing has been done and nothing is owed.

import { stageOf } from './advance.ts'
import { jobIdOf, type Moref, type RunId, type VmId } from './ids.ts'
import type { Job } from './job.ts'
import type { Policy } from './policy.ts'
import { NO_JOB_USAGE } from './usage.ts'

export type NewJob = {
  readonly run: { readonly id: RunId; readonly policy: Policy; readonly full: boolean }
  readonly vm: { readonly moref: Moref; readonly vmId: VmId; readonly name: string; readonly datacenter: string }
  readonly groups: readonly string[]
  /** See Job. */
  readonly beginBefore: string | null
  /** ISO 8601, UTC. */
  readonly createdAt: string
}

/** The same run and VM give the same id. */
export function newJob({ run, vm, groups, beginBefore, createdAt }: NewJob): Job {
  return {
    id: jobIdOf(run.id, vm.vmId),
    runId: run.id,
    vm: { moref: vm.moref, vmId: vm.vmId, name: vm.name, datacenter: vm.datacenter },
    policy: run.policy,
    groups,
    full: run.full,
    attempt: 1,
    state: 'waiting',
    claim: null,
    nextStage: stageOf('waiting'),
    wakeAtMs: null,
    round: 0,
    waitSinceMs: null,
    failingSinceMs: null,
    waitsFor: null,
    cancelRequestedAt: null,
    outcome: null,
    beginBefore,
    owes: [],
    freezeDeadlineMs: null,
    freezes: 0,
    footing: null,
    grant: null,
    guest: null,
    evidence: [],
    notices: [],
    tracking: { active: false, reason: null },
    excludedDisks: [],
    capture: null,
    snapshotWatch: null,
    unlistedSinceMs: null,
    pointId: null,
    times: {
      createdAt,
      startedAt: null,
      capturedAt: null,
      transferredAt: null,
      committedAt: null,
      releasedAt: null,
      doneAt: null,
    },
    counts: { readBytes: 0, newPlainBytes: 0, storedBytes: 0 },
    usage: NO_JOB_USAGE,
  }
}
