// Which of a policy's VMs a scheduled run starts: not those that a job of the policy still works on, and with an RPO only those that are due.

import { readRecords } from '../base/read-records.ts'
import { ascending } from '../base/text.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { VmId } from '../model/ids.ts'
import type { Outcome } from '../model/outcome.ts'
import { dueByMs, isDue } from '../model/rpo.ts'
import { LEFT_OUT_NAMES_MAX, type LeftOut, type Run } from '../model/run.ts'
import type { VmSummary } from '../model/vm.ts'
import { newVmHistory, type VmHistory } from '../model/vm-history.ts'
import { isWindowOpen } from '../model/window.ts'
import type { StageDeps } from './deps.ts'
import { noteWatched } from './watch-rpo.ts'

/** More unfinished jobs than these are not looked at: the leases of their VMs still keep two jobs apart. */
const UNFINISHED_MAX = 20_000

type Call = { readonly deps: Pick<StageDeps, 'clock' | 'jobStore'>; readonly cancel: Cancel }

export type ScheduledChoice =
  /** With an RPO the most overdue first. */
  | { readonly kind: 'start'; readonly vms: readonly VmSummary[]; readonly leftOut: readonly LeftOut[] }
  | { readonly kind: 'skip'; readonly outcome: Outcome; readonly leftOut: readonly LeftOut[] }

export async function chooseScheduled(run: Run, vms: readonly VmSummary[], call: Call): Promise<ScheduledChoice> {
  const { policy } = run
  const nowMs = call.deps.clock.nowMs()
  if (!isWindowOpen(policy, nowMs)) {
    const message = `Policy "${policy.name}" was to start at ${run.scheduledAt ?? run.requestedAt}, and its window closed before its VMs were listed`
    const hint = 'The next start comes at its time; a wider window, or "coldframe backup --policy", starts it now'
    return { kind: 'skip', outcome: skipped('window-closed', message, hint), leftOut: [] }
  }
  const busy = await busyVms(run, call)
  const coalesced = vms.filter(({ vmId }) => busy.has(vmId))
  const free = vms.filter(({ vmId }) => !busy.has(vmId))
  const rpoMs = policy.schedule?.rpoMs ?? null
  const histories = rpoMs === null ? null : await historiesOf(vms, call)
  if (histories !== null) await noteWatched({ policy, vms, histories }, call)
  const historyOf = (vm: VmSummary) => histories?.get(vm.vmId) ?? newVmHistory(vm)
  const due = rpoMs === null ? free : free.filter((vm) => isDue(historyOf(vm), rpoMs, nowMs))
  const leftOut = [
    leftOutOf('coalesced', 'a job of the same policy still works on it', coalesced),
    leftOutOf(
      'not-due',
      'its newest restore point is young enough, or its last try too recent',
      free.filter((vm) => !due.includes(vm)),
    ),
  ].filter(({ count }) => count > 0)
  if (due.length === 0) return { kind: 'skip', outcome: nothingToStart(run, coalesced.length), leftOut }
  if (rpoMs === null) return { kind: 'start', vms: due, leftOut }
  const first = due.toSorted((a, b) => ascending(dueByMs(historyOf(a), rpoMs), dueByMs(historyOf(b), rpoMs)))
  return { kind: 'start', vms: first, leftOut }
}

/** VMs on which jobs of other runs of the same policy still work. */
async function busyVms({ id, policy }: Run, { deps, cancel }: Call): Promise<ReadonlySet<VmId>> {
  const query = { beforeMs: Number.MAX_SAFE_INTEGER, limit: UNFINISHED_MAX }
  const open = await deps.jobStore.dueJobs(query, cancel)
  const ofPolicy = open.filter(({ value }) => value.policy.name === policy.name && value.runId !== id)
  return new Set(ofPolicy.map(({ value }) => value.vm.vmId))
}

function historiesOf(vms: readonly VmSummary[], { deps, cancel }: Call): Promise<ReadonlyMap<VmId, VmHistory>> {
  const vmIds = vms.map(({ vmId }) => vmId)
  return readRecords(deps.jobStore.vms, vmIds, cancel)
}

function leftOutOf(code: string, message: string, vms: readonly VmSummary[]): LeftOut {
  const names = vms.map(({ name }) => name).toSorted(ascending)
  return { code, message, count: vms.length, names: names.slice(0, LEFT_OUT_NAMES_MAX) }
}

function nothingToStart({ policy }: Run, coalesced: number): Outcome {
  if (coalesced === 0)
    return skipped(
      'not-due',
      `No VM of policy "${policy.name}" is due yet`,
      'Nothing is to be done: it is looked at again',
    )
  const message = `An earlier run of policy "${policy.name}" still works on ${coalesced === 1 ? 'its VM' : `${coalesced} of its VMs`}: nothing was started twice`
  const hint = '"coldframe jobs" shows what that run waits for; the next start comes at its time'
  return skipped('coalesced', message, hint)
}

function skipped(code: string, message: string, hint: string): Outcome {
  return { kind: 'skipped', code, message, hint }
}
