// What a plan and a report of policies are made from: inventory, state, scheduler, stored scripts, restore points. Only reads.

import type { Clock } from '../base/clock.ts'
import { readRecords } from '../base/read-records.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { PointEntry } from '../model/point-entry.ts'
import type { Policy } from '../model/policy.ts'
import type { VmSummary } from '../model/vm.ts'
import type { VmHistory } from '../model/vm-history.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import type { Schedules } from '../ports/schedules.ts'
import type { Vsphere } from '../ports/vsphere.ts'
import type { Repository } from '../repository/repository.ts'
import { readKnownPoints } from './known-points.ts'
import { isProven } from './point-proof.ts'
import type { PlanPoint, PlanSeen } from './policy-plan.ts'
import type { ReportSeen } from './policy-report.ts'
import { findScriptFaults } from './policy-scripts.ts'

export type LookDeps = {
  readonly clock: Clock
  readonly vsphere: Vsphere
  readonly jobStore: JobStore
  readonly schedules: Schedules
  readonly scripts: ObjectStore
}

/** Noted points a page, and at most. */
const PAGE = 1_000
const NOTED_MAX = 500_000
/** More unfinished jobs than these are not looked at. */
const OPEN_JOBS_MAX = 20_000

/** @param repository its points are judged by the keep rules; null where there is no key to it: then those that were noted */
export async function lookForPlan(
  wanted: { readonly policies: readonly Policy[]; readonly repository: Repository | null },
  deps: LookDeps,
  cancel: Cancel,
): Promise<PlanSeen> {
  return {
    vms: await listVms(deps, cancel),
    stored: await deps.jobStore.listPolicies(cancel),
    scheduled: await deps.schedules.list(cancel),
    points: await (wanted.repository === null ? notedPoints(deps, cancel) : pointsOf(wanted.repository, deps, cancel)),
    scripts: await findScriptFaults(wanted.policies, deps.scripts, cancel),
  }
}

export async function lookForReport(deps: Omit<LookDeps, 'scripts'>, cancel: Cancel): Promise<ReportSeen> {
  const vms = await listVms(deps, cancel)
  const vmIds = vms.map(({ vmId }) => vmId)
  const query = { beforeMs: Number.MAX_SAFE_INTEGER, limit: OPEN_JOBS_MAX }
  return {
    nowMs: deps.clock.nowMs(),
    vms,
    policies: await deps.jobStore.listPolicies(cancel),
    scheduled: await deps.schedules.list(cancel),
    histories: await readRecords(deps.jobStore.vms, vmIds, cancel),
    openJobs: (await deps.jobStore.dueJobs(query, cancel)).map(({ value }) => value),
  }
}

async function listVms({ vsphere }: Pick<LookDeps, 'vsphere'>, cancel: Cancel): Promise<readonly VmSummary[]> {
  await using session = await vsphere.open(cancel)

  return await session.listVms(cancel)
}

/** What cannot be read is no point that rules could let go. */
async function pointsOf(repository: Repository, deps: LookDeps, cancel: Cancel): Promise<readonly PlanPoint[]> {
  const { points, proofs } = await readKnownPoints(repository, cancel)
  const vmIds = [...new Set(points.map(({ envelope }) => envelope.vmId))]
  const histories = await readRecords(deps.jobStore.vms, vmIds, cancel)
  return points.map(({ envelope, body }) => {
    const { pointId, vmId, sequence, capturedAt } = envelope
    const proof = proofs.get(pointId)
    const isHeld = isMarked(histories.get(vmId))
    const { policyName } = body
    return {
      pointId,
      vmId,
      sequence,
      takenAt: capturedAt,
      policyName,
      isProven: proof !== undefined && isProven(proof),
      isHeld,
    }
  })
}

/** A list without a key cannot tell how well a point is proven: each counts as proven. */
async function notedPoints(deps: LookDeps, cancel: Cancel): Promise<readonly PlanPoint[]> {
  const noted: PointEntry[] = []
  for (;;) {
    const last = noted.at(-1)
    const after = last === undefined ? {} : { after: { at: last.capturedAt, id: last.pointId } }
    const page = await deps.jobStore.recentPoints({ limit: PAGE, ...after }, cancel)
    noted.push(...page)
    if (page.length === 0 || noted.length >= NOTED_MAX) break
  }
  const vmIds = [...new Set(noted.map(({ vmId }) => vmId))]
  const histories = await readRecords(deps.jobStore.vms, vmIds, cancel)
  return noted.map(({ pointId, vmId, sequence, capturedAt, policyName }) => {
    const isHeld = isMarked(histories.get(vmId))
    return { pointId, vmId, sequence, takenAt: capturedAt, policyName, isProven: true, isHeld }
  })
}

function isMarked(history: VmHistory | undefined): boolean {
  return history !== undefined && (history.quarantine !== null || history.retentionFreeze !== null)
}
