// Runs that alarms start: a policy's queue is joined, and emptied when its time has come. See lib/model/alarm-queue.ts.

import { isoTime } from '../base/clock.ts'
import { forEachBounded } from '../base/concurrency.ts'
import { BackupError } from '../base/errors.ts'
import { localDay } from '../base/local-day.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { AlarmRecord } from '../model/alarm.ts'
import {
  type AlarmQueue,
  type AlarmQueueEntry,
  beginRun,
  endRun,
  isQueueDue,
  joinQueue,
  newAlarmQueue,
  startingEntries,
} from '../model/alarm-queue.ts'
import type { AlarmId, PolicyName, RunId } from '../model/ids.ts'
import { newRun } from '../model/new-run.ts'
import type { StoredPolicy } from '../model/stored-policy.ts'
import { decideAlarm, type NewDecision, sendAlarm } from './alarm-record.ts'
import type { StageDeps } from './deps.ts'
import { rememberVm } from './vm-history.ts'

const WRITES_MAX = 30
/** The longest wait before a write that was overtaken is tried again. */
const AGAIN_MOST_MS = 200
/** Alarms that are told side by side of the run that they started. */
const TOLD_MAX = 16
/** Runs that one message may begin, one after the other. */
const RUNS_MAX = 3

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** The name of a policy's queue among the doors' records. */
export function alarmQueueName(policy: PolicyName): string {
  return `alarms:${policy}`
}

export async function alarmQueueOf(policy: PolicyName, { deps, cancel }: Call): Promise<AlarmQueue> {
  const found = await deps.jobStore.doors.get(alarmQueueName(policy), cancel)
  return found?.value.kind === 'alarms' ? found.value : newAlarmQueue()
}

/** @returns what became of it, and the queue as it now is */
export async function joinAlarmQueue(
  { policy, entry }: { readonly policy: PolicyName; readonly entry: AlarmQueueEntry },
  call: Call,
): Promise<{ readonly outcome: ReturnType<typeof joinQueue>['outcome']; readonly queue: AlarmQueue }> {
  let outcome: ReturnType<typeof joinQueue>['outcome'] = 'full'
  let isSooner = false
  const queue = await changeQueue(
    policy,
    (before) => {
      const joining = joinQueue(before, entry)
      outcome = joining.outcome
      isSooner = joining.next.dueAtMs !== null && joining.next.dueAtMs < (before.dueAtMs ?? Number.POSITIVE_INFINITY)
      return joining.next
    },
    call,
  )
  const delayMs = (queue.dueAtMs ?? 0) - call.deps.clock.nowMs()
  // One message drives the queue; watch sends the next if it is lost.
  if (isSooner && delayMs > 0) await sendAlarm(driverOf(outcome, entry), call.deps, { delayMs, ...call.cancel })
  return { outcome, queue }
}

/** Whose message drives the queue: an alarm that waits in it. */
function driverOf(outcome: ReturnType<typeof joinQueue>['outcome'], { alarmId }: AlarmQueueEntry): AlarmId {
  return typeof outcome === 'object' ? outcome.vmWaitsFor : alarmId
}

/**
 * Begins the run that is due, and ends what was begun and not ended. Does nothing before its time.
 * @param seen.queue as it was read a moment ago: whether to look; what is done is decided by what each write finds
 */
export async function driveAlarmQueue(
  seen: { readonly policy: PolicyName; readonly queue: AlarmQueue },
  call: Call,
): Promise<AlarmQueue> {
  const { deps, cancel } = call
  const { policy } = seen
  let { queue } = seen
  for (let runs = 0; runs < RUNS_MAX && isQueueDue(queue, deps.clock.nowMs()); runs++) {
    const stored = (await deps.jobStore.policies.get(policy, cancel))?.value ?? null
    const begun = await changeQueue(policy, (before) => begunNow(before, stored, deps), call)
    if (begun.starting === null) return begun
    await carryOut(begun, stored, call)
    const key = begun.starting.key
    queue = await changeQueue(policy, (now) => (now.starting?.key === key ? endRun(now) : now), call)
    const [next] = queue.waiting
    const delayMs = (queue.dueAtMs ?? 0) - deps.clock.nowMs()
    if (next !== undefined && delayMs > 0) await sendAlarm(next.alarmId, deps, { delayMs, ...cancel })
  }
  return queue
}

function begunNow(queue: AlarmQueue, stored: StoredPolicy | null, { clock }: StageDeps): AlarmQueue {
  const nowMs = clock.nowMs()
  if (queue.starting !== null || !isQueueDue(queue, nowMs)) return queue
  return beginRun(queue, {
    ms: nowMs,
    day: localDay(nowMs, stored?.policy.schedule?.timeZone ?? 'UTC'),
    budgetPerDay: stored?.policy.alarms.budgetPerDay ?? 0,
    isPolicyActive: stored?.state === 'active',
  })
}

/** Each step finds what an earlier try has done. */
async function carryOut(queue: AlarmQueue, stored: StoredPolicy | null, call: Call): Promise<void> {
  const { starting } = queue
  if (starting === null) return
  const entries = startingEntries(queue)
  const runs = starting.verdict === 'run' && stored !== null
  const runId = runs ? await startRun({ key: starting.key, entries, stored }, call) : null
  const tell = async ({ alarmId, vmId }: AlarmQueueEntry, inner: Cancel) => {
    const within = { deps: call.deps, cancel: inner }
    const record = await decideAlarm(alarmId, (alarm) => verdictOn(alarm, { starting, runId, stored }), within)
    if (runId === null || record === null) return
    // For the time in which further alarms of the VM start nothing.
    const lastAlarm = { at: isoTime(starting.atMs), alarmId }
    await rememberVm(
      { vmId, name: record.alarm.target.name ?? vmId },
      (history) => (history.lastAlarm?.alarmId === alarmId ? history : { ...history, lastAlarm }),
      within,
    )
  }
  await forEachBounded(entries, tell, { runningMax: TOLD_MAX, signal: call.cancel.signal })
}

async function startRun(
  of: { readonly key: string; readonly entries: readonly AlarmQueueEntry[]; readonly stored: StoredPolicy },
  { deps, cancel }: Call,
): Promise<RunId> {
  const { key, stored } = of
  const vms = of.entries.map(({ vmId }) => vmId)
  const times = { nowMs: deps.clock.nowMs(), overdueMs: deps.limits.overdueMs }
  const run = newRun({ door: 'alarm', policy: stored.policy, vms, requestedBy: `alarm ${key}`, key }, times)
  await deps.jobStore.runs.create(run.id, run, cancel)
  await deps.sender.send({ v: 1, kind: 'plan', runId: run.id }, { delayMs: 0 }, cancel)
  deps.log.info('alarm.run-started', { run: run.id, policy: stored.name, vms: vms.length })
  return run.id
}

function verdictOn(
  { alarm, decision }: AlarmRecord,
  now: {
    readonly starting: NonNullable<AlarmQueue['starting']>
    readonly runId: RunId | null
    readonly stored: StoredPolicy | null
  },
): NewDecision {
  const { starting, runId, stored } = now
  const target = alarm.target.name ?? alarm.target.moref ?? alarm.target.instanceUuid ?? ''
  const kept = { action: decision?.action ?? null, policy: decision?.policy ?? null, runId }
  if (runId !== null) {
    const others = starting.count === 1 ? '' : `, with ${starting.count - 1} others`
    return { ...kept, kind: 'acted', code: 'run-started', message: `A backup of VM "${target}" was started${others}` }
  }
  const name = stored?.name ?? ''
  if (starting.verdict === 'budget-spent') {
    const budget = stored?.policy.alarms.budgetPerDay ?? 0
    const message = `No backup of VM "${target}" was started: alarms have started ${budget} runs of policy "${name}" today, all that it allows`
    return { ...kept, kind: 'recorded', code: 'budget-spent', message }
  }
  const message = `No backup of VM "${target}" was started: policy "${kept.policy ?? name}" was removed while it waited`
  return { ...kept, kind: 'recorded', code: 'policy-removed', message }
}

/** @throws BackupError `alarm-queue-contended` */
async function changeQueue(
  policy: PolicyName,
  change: (queue: AlarmQueue) => AlarmQueue,
  { deps, cancel }: Call,
): Promise<AlarmQueue> {
  const name = alarmQueueName(policy)
  const { doors } = deps.jobStore
  for (let write = 1; write <= WRITES_MAX; write++) {
    const found = await doors.get(name, cancel)
    const before = found?.value.kind === 'alarms' ? found.value : newAlarmQueue()
    const value = change(before)
    if (value === before) return value
    const answer =
      found === null
        ? await doors.create(name, value, cancel)
        : await doors.replace(name, { value, version: found.version }, cancel)
    if (answer === 'created' || answer === 'replaced') return value
    await deps.clock.sleep(Math.floor(deps.random.fraction() * Math.min(AGAIN_MOST_MS, 5 * 2 ** write)), cancel)
  }
  throw new BackupError(`Cannot write what alarms wait for policy "${policy}": others write it all the time`, {
    code: 'alarm-queue-contended',
    retry: 'later',
  })
}
