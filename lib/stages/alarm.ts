// alarm: decides about one alarm, by its words, by the rules of the policies and by the VM that it is about. It adds protection, or
// writes down why it does not; it never takes any away.

import { isoTime } from '../base/clock.ts'
import { BackupError, messageOf } from '../base/errors.ts'
import { type Cancel, isAbort } from '../base/time-limit.ts'
import { type AlarmRecord, isDecided } from '../model/alarm.ts'
import { type Asked, askedFor, judgeWords, type Recorded } from '../model/alarm-judge.ts'
import type { AlarmQueue } from '../model/alarm-queue.ts'
import { rankOf } from '../model/alarm-rules.ts'
import { resolveTarget } from '../model/alarm-target.ts'
import type { AlarmMessage } from '../model/message.ts'
import type { Policy } from '../model/policy.ts'
import type { VmSummary } from '../model/vm.ts'
import { withMarks } from '../model/vm-marks.ts'
import type { Versioned } from '../ports/job-store.ts'
import { inventoryFor } from './alarm-inventory.ts'
import { changeAlarm, decideAlarm, sendAlarm, tellDecision, wakeAlarmAt } from './alarm-record.ts'
import { alarmQueueOf, driveAlarmQueue, joinAlarmQueue } from './alarm-runs.ts'
import type { StageDeps } from './deps.ts'
import { vmResource } from './places.ts'
import { rememberVm, vmHistoryOf } from './vm-history.ts'

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** A copy of a message finds what was decided. What may pass is waited for as long as a stage may; then the alarm says so. */
export async function alarm(message: AlarmMessage, deps: StageDeps, cancel: Cancel): Promise<void> {
  const { alarmId } = message
  const found = await deps.jobStore.alarms.get(alarmId, cancel)
  if (found === null)
    throw new BackupError(`Cannot decide about alarm "${alarmId}": there is no such alarm`, { code: 'alarm-unknown' })
  const record = found.value
  if (isDecided(record)) return tellDecision(record, { deps, cancel })
  try {
    await decide(record, { deps, cancel })
  } catch (error) {
    await later(record, error, { deps, cancel })
  }
}

async function decide(record: AlarmRecord, call: Call): Promise<void> {
  const { alarm: told, decision } = record
  if (decision?.kind === 'put-off' && decision.policy !== null) {
    const { policy } = decision
    const queue = await alarmQueueOf(policy, call)
    if (queue.waiting.some(({ alarmId }) => alarmId === told.id)) return drive(record, { policy, queue }, call)
  }
  const policies = await activePolicies(call)
  const words = judgeWords(told, policies)
  if ('code' in words) return only(record, words, call)
  const resolve = (inventory: Parameters<typeof resolveTarget>[1]) => resolveTarget(told, inventory)
  const inventory = await inventoryFor((kept) => 'vm' in resolve(kept), call.deps, call.cancel)
  const target = resolve(inventory)
  if ('code' in target) return only(record, target, call)
  const asked = askedFor(target.vm, words.candidates)
  if (asked === null) return only(record, notSelected(target.vm, words.candidates), call)
  await mark(record, { vm: target.vm, asked }, call)
  if (asked.backup === null) return marked(record, { asked, vm: target.vm }, call)
  return backUp(record, { vm: target.vm, asked, policy: asked.backup }, call)
}

async function activePolicies({ deps, cancel }: Call): Promise<readonly Policy[]> {
  const stored = await deps.jobStore.listPolicies(cancel)
  return stored.filter(({ state }) => state === 'active').map(({ policy }) => policy)
}

function notSelected(vm: VmSummary, candidates: readonly { readonly policy: Policy }[]): Recorded {
  const names = candidates.map(({ policy }) => `"${policy.name}"`).join(', ')
  return {
    code: 'not-selected',
    message: `VM "${vm.name}" is selected by none of the policies with a rule for it: ${names}`,
  }
}

async function only({ alarm: { id } }: AlarmRecord, { code, message }: Recorded, call: Call): Promise<void> {
  const none = { action: null, policy: null, runId: null } as const
  await decideAlarm(id, () => ({ ...none, kind: 'recorded', code, message }), call)
}

type Found = { readonly vm: VmSummary; readonly asked: Asked }

/** Before anything else: marks may be put on at any time, also while a job is running. */
async function mark({ alarm: told }: AlarmRecord, { vm, asked }: Found, { deps, cancel }: Call): Promise<void> {
  const { quarantine, freeze } = asked
  if (!quarantine && !freeze) return
  const since = { since: isoTime(deps.clock.nowMs()), alarmId: told.id, alarmName: told.alarmName }
  await rememberVm(vm, (history) => withMarks(history, { mark: since, quarantine, freeze }), { deps, cancel })
}

async function marked({ alarm: { id } }: AlarmRecord, { asked, vm }: Found, call: Call): Promise<void> {
  const message = `No restore point of VM "${vm.name}" is let go until this is lifted`
  const { action, policy } = asked
  await decideAlarm(
    id,
    () => ({ action, policy: policy.name, runId: null, kind: 'acted', code: 'marked', message }),
    call,
  )
}

async function backUp(record: AlarmRecord, found: Found & { readonly policy: Policy }, call: Call): Promise<void> {
  const { deps, cancel } = call
  const { id } = record.alarm
  const { vm, asked, policy } = found
  const nothing = await whyNoBackup(record, found, call)
  if (nothing !== null) {
    // What was marked was an act of its own.
    const kind = asked.quarantine || asked.freeze ? 'acted' : 'recorded'
    const { action } = asked
    await decideAlarm(id, () => ({ ...nothing, kind, action, policy: policy.name, runId: null }), call)
    return
  }
  // The record first: whoever starts the run finds in it what was asked for.
  const nowMs = deps.clock.nowMs()
  const wakeAtMs = nowMs + deps.limits.overdueMs
  const message = `A backup of VM "${vm.name}" waits for the next run of policy "${policy.name}"`
  const waits = {
    kind: 'put-off',
    code: 'waiting',
    message,
    action: asked.action,
    policy: policy.name,
    runId: null,
  } as const
  await decideAlarm(id, () => ({ ...waits, wakeAtMs }), call)
  const entry = { alarmId: id, vmId: vm.vmId, rank: rankOf(record.alarm, asked.action), atMs: nowMs }
  const { outcome, queue } = await joinAlarmQueue({ policy: policy.name, entry }, { deps, cancel })
  if (outcome === 'joined') return drive(record, { policy: policy.name, queue }, call)
  // More VMs wait than one record can hold: this one tries again.
  if (outcome === 'full') return sendAlarm(id, deps, { delayMs: deps.limits.pollMs, ...cancel })
  const kind = asked.quarantine || asked.freeze ? 'acted' : 'recorded'
  const said = { ...waitsAlready(vm, outcome.vmWaitsFor), kind, action: asked.action, policy: policy.name } as const
  await decideAlarm(id, () => ({ ...said, runId: null }), call)
}

function waitsAlready(vm: VmSummary, alarmId: AlarmRecord['alarm']['id']): Recorded {
  return { code: 'waits-already', message: `A backup of VM "${vm.name}" waits already, for alarm "${alarmId}"` }
}

/** What stands against a backup now, as a code and a sentence. */
async function whyNoBackup(
  { alarm: told }: AlarmRecord,
  { vm, policy, asked }: Found & { readonly policy: Policy },
  { deps, cancel }: Call,
): Promise<Recorded | null> {
  const queue = await alarmQueueOf(policy.name, { deps, cancel })
  const waiting = queue.waiting.find(({ vmId }) => vmId === vm.vmId)
  if (waiting !== undefined && waiting.alarmId !== told.id && waiting.rank <= rankOf(told, asked.action))
    return waitsAlready(vm, waiting.alarmId)
  const nowMs = deps.clock.nowMs()
  const { lastAlarm } = await vmHistoryOf(vm, deps, cancel)
  const sinceMs = lastAlarm === null ? Number.POSITIVE_INFINITY : nowMs - Date.parse(lastAlarm.at)
  if (lastAlarm !== null && lastAlarm.alarmId !== told.id && sinceMs < policy.alarms.debounceMs) {
    const message = `An alarm has started a backup of VM "${vm.name}" at ${lastAlarm.at}: further ones start none for ${Math.round(policy.alarms.debounceMs / 60_000)} minutes`
    return { code: 'debounced', message }
  }
  const job = await jobAtWork(vm, { deps, cancel })
  return job === null
    ? null
    : { code: 'job-running', message: `Job "${job}" is at work on VM "${vm.name}": no other is started` }
}

/** Whoever holds or waits for the VM, hunt left aside: what hunt does raises alarms of storage alone. */
async function jobAtWork({ vmId }: VmSummary, { deps, cancel }: Call): Promise<string | null> {
  const resource = (await deps.jobStore.resources.get(vmResource(vmId), cancel))?.value
  if (resource === undefined) return null
  const nowMs = deps.clock.nowMs()
  const live = [...resource.places, ...resource.waiters].filter(({ untilMs }) => untilMs > nowMs)
  return live.find(({ holder }) => !holder.startsWith('hunt-'))?.holder ?? null
}

/** Starts what is due; an alarm that waits on is looked at again after its queue's time. */
async function drive(
  { alarm: { id } }: AlarmRecord,
  seen: { readonly policy: Policy['name']; readonly queue: AlarmQueue },
  call: Call,
): Promise<void> {
  const { deps } = call
  const { dueAtMs } = await driveAlarmQueue(seen, call)
  const dueMs = Math.max(deps.clock.nowMs(), dueAtMs ?? 0)
  await wakeAlarmAt(id, dueMs + deps.limits.overdueMs, call)
}

/** What may pass is tried again with growing pauses; broken code is thrown and ends in abandon. */
async function later(record: AlarmRecord, error: unknown, { deps, cancel }: Call): Promise<void> {
  if (cancel.signal.aborted || !(error instanceof BackupError || isAbort(error))) throw error
  const { againFirstMs, againMostMs, overdueMs, stageMs } = deps.limits
  const { id, receivedAt, alarmName } = record.alarm
  const nowMs = deps.clock.nowMs()
  const ageMs = nowMs - Date.parse(receivedAt)
  deps.log.error('alarm.failed', error, { alarmId: id, ageMs })
  // A backup that waits in a queue is not given up: its run starts when the world is there again.
  if (ageMs >= stageMs && record.decision === null) {
    const code = error instanceof BackupError ? error.code : 'given-up'
    const message = `Nothing was done about alarm "${alarmName}" for an hour, and no more is tried: ${messageOf(error)}`
    return only(record, { code, message }, { deps, cancel })
  }
  const delayMs = Math.min(againMostMs, Math.max(againFirstMs, ageMs))
  let isMine = false
  await changeAlarm(
    id,
    (now) => {
      // A copy that comes early leaves the next try to the message that is on its way.
      isMine = !isDecided(now) && (now.wakeAtMs ?? 0) - overdueMs <= nowMs + againFirstMs
      return isMine ? { ...now, wakeAtMs: nowMs + delayMs + overdueMs } : now
    },
    { deps, cancel },
  )
  if (isMine) await sendAlarm(id, deps, { delayMs, ...cancel })
}

/** For abandon: the end of an alarm whose message died. A decision that stands is kept. */
export async function abandonAlarm(id: AlarmRecord['alarm']['id'], reason: string, call: Call): Promise<void> {
  const decided = await decideAlarm(
    id,
    ({ alarm: told, decision }) => ({
      kind: 'recorded',
      code: 'abandoned',
      message: `Alarm "${told.alarmName}" was given up before it was decided: ${reason}`,
      action: decision?.action ?? null,
      policy: decision?.policy ?? null,
      runId: null,
    }),
    call,
  )
  if (decided === null) call.deps.log.warn('abandon.nothing-to-do', { alarm: id, reason })
}

/** Sends once more what is overdue; the write keeps everybody else from doing the same at once. */
export async function alarmAgainIfOverdue(
  { value: record, version }: Versioned<AlarmRecord>,
  deps: StageDeps,
  cancel: Cancel,
): Promise<boolean> {
  const { id } = record.alarm
  const nowMs = deps.clock.nowMs()
  if (record.wakeAtMs === null || record.wakeAtMs > nowMs) return false
  const value = { ...record, wakeAtMs: nowMs + deps.limits.overdueMs }
  if ((await deps.jobStore.alarms.replace(id, { value, version }, cancel)) === 'conflict') return false
  deps.log.warn('alarm.overdue', { alarmId: id, lateMs: nowMs - record.wakeAtMs })
  await sendAlarm(id, deps, { delayMs: 0, ...cancel })
  return true
}
