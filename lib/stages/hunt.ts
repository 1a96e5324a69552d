// hunt: finds snapshots of ours that no job is at work with, disks that need consolidation, and deltas that no snapshot accounts for,
// and mends them. What is not provably ours it never touches.

import { hexOf } from '../base/bytes.ts'
import { isoTime } from '../base/clock.ts'
import { forEachBounded } from '../base/concurrency.ts'
import { BackupError, hasCode, messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { isHuntSnapshotName, madeByHunt } from '../model/hunt.ts'
import { type Moref, parseSnapshotName } from '../model/ids.ts'
import type { Policy } from '../model/policy.ts'
import { flattenSnapshots, type VmSnapshot, type VmState, type VmSummary } from '../model/vm.ts'
import type { VmHistory } from '../model/vm-history.ts'
import { waitsForTasks } from '../model/vm-task.ts'
import { isWindowOpen } from '../model/window.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import { forgetMended, type HuntDeps, type Mended, mendDisks, needsMending } from './hunt-mend.ts'
import { notify } from './notify.ts'
import { describeRefusal, givePlaceBack, takeTogether, vmResource } from './places.ts'
import { knownSnapshots, mayBeRead, removeSnapshots } from './snapshots.ts'
import { vmHistoryOf } from './vm-history.ts'

export type HuntFinding = {
  readonly vm: { readonly moref: Moref; readonly vmId: string; readonly name: string }
  /** Snapshots of ours that nobody is at work with. */
  readonly snapshots: readonly string[]
  /** What is to be mended of its disks, in words; null when nothing is. */
  readonly disks: string | null
  /** Snapshots that are named as ours are, and that no record of this installation knows: left alone. */
  readonly unknown: readonly string[]
  /** 'mended': nothing is left; 'waits': the next hunt goes on; 'left': somebody must look; 'not-tried': only looked at. */
  readonly outcome: 'mended' | 'waits' | 'left' | 'not-tried'
  readonly reason: string | null
  readonly hint: string | null
}

export type HuntReport = {
  readonly looked: number
  readonly findings: readonly HuntFinding[]
  /** VMs that could not be read. */
  readonly unread: readonly { readonly vm: string; readonly reason: string }[]
}

export type HuntOptions = {
  /** Looks, and changes nothing. */
  readonly dryRun: boolean
  /** Only these; null: every VM that is listed. */
  readonly vms: readonly Moref[] | null
  /** Whether what stuns a VM waits for its policy's window. */
  readonly keepsWindows: boolean
}

/** As a schedule has it: everything, in the windows of its policies. */
export const HUNT_ALL: HuntOptions = { dryRun: false, vms: null, keepsWindows: true }

const RUNNING_MAX = 4

/** A VM that fails does not keep hunt from the others. @throws BackupError when vCenter cannot be reached */
export async function hunt(options: HuntOptions, deps: HuntDeps, cancel: Cancel): Promise<HuntReport> {
  await using session = await deps.vsphere.open(cancel)

  const { vms } = options
  const listed = (await session.listVms(cancel)).filter(
    ({ moref, template }) => !template && (vms === null || vms.includes(moref)),
  )
  const findings: HuntFinding[] = []
  const unread: { vm: string; reason: string }[] = []
  const look = async (vm: VmSummary, inner: Cancel) => {
    try {
      const finding = await huntVm({ session, listed: vm }, options, { deps, cancel: inner })
      if (finding !== null) findings.push(finding)
    } catch (error) {
      inner.signal.throwIfAborted()
      if (!hasCode(error, 'vm-not-found')) unread.push({ vm: vm.name, reason: messageOf(error) })
    }
  }
  await forEachBounded(listed, look, { runningMax: RUNNING_MAX, signal: cancel.signal })
  for (const finding of findings) await tell(finding, { deps, cancel })
  deps.log.info('hunt.done', { looked: listed.length, found: findings.length, unread: unread.length })
  return { looked: listed.length, findings, unread }
}

type Call = { readonly deps: HuntDeps; readonly cancel: Cancel }
type At = { readonly session: VsphereSession; readonly listed: VmSummary }

async function huntVm({ session, listed }: At, options: HuntOptions, call: Call): Promise<HuntFinding | null> {
  const { deps, cancel } = call
  const seen = await straysOf(await session.readVm(listed.moref, cancel), call)
  if (!isStray(seen)) {
    if (!options.dryRun) await forgetMended(seen, call)
    return seen.unknown.length === 0 ? null : findingOf(seen, unknownVerdict(seen))
  }
  if (options.dryRun) return findingOf(seen, { outcome: 'not-tried', reason: null, hint: null })
  const { vm, policy } = seen
  if (options.keepsWindows && policy !== null && !isWindowOpen(policy, deps.clock.nowMs()))
    return findingOf(seen, waits(`the window of policy "${policy.name}" is closed`))
  // Of this hunt alone: another one that is at work on the VM keeps its place.
  const holder = `hunt-${hexOf(deps.random.bytes(8))}`
  const resource = vmResource(vm.vmId)
  const wishes = [{ resource, what: `VM "${vm.name}"`, units: 1, unitsMax: 1 }]
  try {
    const refusal = await takeTogether({ holder, sinceMs: deps.clock.nowMs(), wishes }, deps, cancel)
    if (refusal !== null) return findingOf(seen, waits(describeRefusal(refusal)))
    const busy = waitsForTasks(await session.runningTasks(vm.moref, cancel))
    if (busy !== null) return findingOf(seen, waits(busy))
    // Once more: now no job of this VM gets any further.
    const now = await straysOf(await session.readVm(vm.moref, cancel), call)
    return isStray(now) ? findingOf(now, await mend(now, session, call)) : null
  } finally {
    await givePlaceBack({ resource, holder }, deps, { signal: AbortSignal.timeout(10_000) })
  }
}

type Strays = {
  readonly vm: VmState
  readonly history: VmHistory
  readonly ours: readonly VmSnapshot[]
  readonly unknown: readonly string[]
  /** Of the newest of our jobs that left something; null where none did. */
  readonly policy: Policy | null
}

async function straysOf(vm: VmState, { deps, cancel }: Call): Promise<Strays> {
  const known = await knownSnapshots(vm, deps, cancel)
  const history = await vmHistoryOf(vm, deps, cancel)
  const ours: VmSnapshot[] = [...madeByHunt(vm, history)]
  let policy: Policy | null = null
  for (const { snapshot, job } of known) {
    if (job.state !== 'done' || (await mayBeRead(job, deps, cancel))) continue
    ours.push(snapshot)
    policy = job.policy
  }
  const names = new Set([...known.map(({ snapshot }) => snapshot.name), ...ours.map(({ name }) => name)])
  const unknown = flattenSnapshots(vm.snapshots)
    .map(({ name }) => name)
    .filter((name) => (parseSnapshotName(name) !== null || isHuntSnapshotName(name)) && !names.has(name))
  return { vm, history, ours, unknown, policy }
}

/** A VM with a snapshot of a job at work is that job's to consolidate. */
function isStray({ vm, ours }: Strays): boolean {
  return ours.length > 0 || needsMending(vm, ours) !== null
}

async function mend(strays: Strays, session: VsphereSession, { deps, cancel }: Call): Promise<Mended> {
  let { vm } = strays
  try {
    if (strays.ours.length > 0) {
      vm = await removeSnapshots({ session, vm: vm.moref, snapshots: strays.ours }, deps, cancel)
      const gone = new Set(strays.ours.map(({ moref }) => moref))
      if (flattenSnapshots(vm.snapshots).some(({ moref }) => gone.has(moref)))
        return waits('vCenter is still removing the snapshot')
    }
    return needsMending(vm, []) !== null
      ? await mendDisks({ session, vm, history: strays.history }, { deps, cancel })
      : mended
  } catch (error) {
    cancel.signal.throwIfAborted()
    const hint = error instanceof BackupError ? (error.hint ?? null) : null
    return { outcome: 'waits', reason: messageOf(error), hint }
  }
}

const mended: Mended = { outcome: 'mended', reason: null, hint: null }

function waits(reason: string): Mended {
  return { outcome: 'waits', reason, hint: null }
}

function unknownVerdict({ unknown }: Strays): Mended {
  const names = unknown.map((name) => `"${name}"`).join(', ')
  return {
    outcome: 'left',
    reason: `${names} is named as snapshots of Coldframe are, and no record of this installation knows it`,
    hint: 'If no other installation backs this VM up, remove it in vCenter',
  }
}

function findingOf({ vm, ours, unknown }: Strays, verdict: Mended): HuntFinding {
  const { moref, vmId, name } = vm
  return {
    vm: { moref, vmId, name },
    snapshots: ours.map((snapshot) => snapshot.name),
    disks: needsMending(vm, ours),
    unknown,
    ...verdict,
  }
}

async function tell(finding: HuntFinding, { deps, cancel }: Call): Promise<void> {
  const { vm, outcome, reason, snapshots, disks } = finding
  const facts = { vm: vm.name, outcome, reason, snapshots, disks, unknown: finding.unknown }
  if (outcome === 'mended') deps.log.info('hunt.found', facts)
  else deps.log.warn('hunt.found', facts)
  deps.metrics.count('hunt.found', 1, { outcome })
  if (outcome === 'not-tried') return
  const at = isoTime(deps.clock.nowMs())
  const id = `hunt.${vm.vmId}.${at.slice(0, 13)}`
  await deps.events.publish({ id, type: 'coldframe.hunt.found', subject: vm.vmId, at, data: facts }, cancel)
  // What waits is looked at again in four hours; what is left wants somebody.
  if (outcome !== 'left') return
  const subject = `VM "${vm.name}" has snapshots or disks that could not be mended`
  const message = `${reason ?? 'No reason was told'}${finding.hint === null ? '' : `\n${finding.hint}`}`
  await notify({ id, severity: 'warning', subject, message, facts }, deps, cancel)
}
