// The pull door: what vCenter's event log says of alarms, read each minute. Nothing needs to be installed on vCenter, and nothing
// listens. How far it has read stands in one record, by vCenter's own clock; that is written after the alarms are, so that a death in
// between reads them again: their ids are the events'.

import { type Clock, isoTime } from '../base/clock.ts'
import { forEachBounded } from '../base/concurrency.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type AlarmEvent, toldByEvent } from '../model/alarm-event.ts'
import { ruleFor } from '../model/alarm-rules.ts'
import type { DoorState } from '../model/door-state.ts'
import type { Policy } from '../model/policy.ts'
import type { JobStore, Versioned } from '../ports/job-store.ts'
import type { Log, Metrics } from '../ports/log.ts'
import type { MessageSender } from '../ports/queue.ts'
import type { Vsphere, VsphereSession } from '../ports/vsphere.ts'
import { receiveAlarm } from './receive-alarm.ts'

export type PullDeps = {
  readonly clock: Clock
  readonly jobStore: JobStore
  readonly sender: MessageSender
  readonly vsphere: Vsphere
  readonly log: Log
  readonly metrics: Metrics
}

/** Read between two writes of the checkpoint, and by one pull at most. */
const PAGE_EVENTS = 500
const PULL_EVENTS_MAX = 20_000
/** An event may be written a moment after one with a later time: so much is read again, and what is known of it left out. */
const OVERLAP_MS = 10_000
const KNOWN_MAX = 5_000
/** After an outage no more than this is made up for: what was alarming yesterday is no reason for a backup today. */
const BEHIND_MS_MAX = 24 * 3_600_000
const RECEIVED_MAX = 8

type Checkpoint = Extract<DoorState, { kind: 'checkpoint' }>

/**
 * Does nothing while no policy has a rule for alarms. The first time it only notes where the log ends: what was before is history.
 * @returns how many alarms came in
 * @throws BackupError when vCenter or the store cannot be reached: the next pull begins where this one did
 */
export async function pullAlarms(deps: PullDeps, cancel: Cancel): Promise<number> {
  const stored = await deps.jobStore.listPolicies(cancel)
  const policies = stored.flatMap(({ state, policy }) =>
    state === 'active' && policy.alarms.rules.length > 0 ? [policy] : [],
  )
  if (policies.length === 0) return 0
  await using session = await deps.vsphere.open(cancel)

  const name = `pull:${session.about.instanceUuid ?? 'esxi'}`
  const nowMs = Date.parse(await session.currentTime(cancel))
  const found = await deps.jobStore.doors.get(name, cancel)
  if (found?.value.kind !== 'checkpoint') {
    await deps.jobStore.doors.create(name, { kind: 'checkpoint', at: isoTime(nowMs), keys: [] }, cancel)
    return 0
  }
  return readOn({ session, name, policies, nowMs }, { value: found.value, version: found.version }, { deps, cancel })
}

type Call = { readonly deps: PullDeps; readonly cancel: Cancel }
type Reading = {
  readonly session: VsphereSession
  readonly name: string
  readonly policies: readonly Policy[]
  readonly nowMs: number
}

async function readOn(reading: Reading, from: Versioned<Checkpoint>, { deps, cancel }: Call): Promise<number> {
  const { session, name, policies, nowMs } = reading
  let checkpoint = withoutOld(from.value, nowMs, deps)
  let version = from.version
  let came = 0
  let newestBefore: string | null = null
  for (let read = 0; read < PULL_EVENTS_MAX; read += PAGE_EVENTS) {
    const query = { since: checkpoint.at, known: new Set(checkpoint.keys), limit: PAGE_EVENTS }
    const events = await session.readAlarmEvents(query, cancel)
    if (events.length === 0 && checkpoint === from.value) break
    came += await receive(events, { policies, session }, { deps, cancel })
    const newest = newestOf(events, newestBefore ?? checkpoint.at)
    checkpoint = advanced(checkpoint, events, newestBefore)
    newestBefore = newest
    const answer = await deps.jobStore.doors.replace(name, { value: checkpoint, version }, cancel)
    // Another pull runs beside this one: it goes on, and what both read is one record each.
    if (answer === 'conflict') return came
    version++
    if (events.length < PAGE_EVENTS) break
  }
  if (came > 0) deps.log.info('pull.done', { alarms: came, until: checkpoint.at })
  return came
}

/** The same checkpoint unless it is too long ago, or after now: a clock that was put back. */
function withoutOld(checkpoint: Checkpoint, nowMs: number, { log, metrics }: PullDeps): Checkpoint {
  if (Date.parse(checkpoint.at) > nowMs) {
    log.warn('pull.clock-went-back', { from: checkpoint.at, to: isoTime(nowMs) })
    return { kind: 'checkpoint', at: isoTime(nowMs), keys: checkpoint.keys }
  }
  const oldest = isoTime(nowMs - BEHIND_MS_MAX)
  if (checkpoint.at >= oldest) return checkpoint
  log.warn('pull.gap', { from: checkpoint.at, to: oldest })
  metrics.count('pull.gap', 1)
  return { kind: 'checkpoint', at: oldest, keys: [] }
}

/** Only what a rule knows becomes a record: vCenter's log holds far more. What is over asks for nothing. */
async function receive(
  events: readonly AlarmEvent[],
  { policies, session }: Pick<Reading, 'policies' | 'session'>,
  { deps, cancel }: Call,
): Promise<number> {
  const told = events.map((event) => toldByEvent(event, session.about.instanceUuid))
  const wanted = told.filter(
    (alarm) => alarm.state !== 'cleared' && policies.some((policy) => ruleFor(alarm, policy) !== 'none'),
  )
  await forEachBounded(
    wanted,
    async (alarm, inner) => {
      await receiveAlarm(alarm, deps, inner)
    },
    { runningMax: RECEIVED_MAX, signal: cancel.signal },
  )
  return wanted.length
}

/**
 * From when to read on, and what of that is known. Where too much is, nothing is read twice but the newest moment.
 * @param newestBefore the time of the newest event before these; null: not known
 */
function advanced(checkpoint: Checkpoint, events: readonly AlarmEvent[], newestBefore: string | null): Checkpoint {
  const newest = newestOf(events, checkpoint.at)
  const from = isoTime(Math.max(Date.parse(checkpoint.at), Date.parse(newest) - OVERLAP_MS))
  const keysSince = (at: string) => events.filter(({ createdAt }) => createdAt >= at).map(({ key }) => key)
  // What was known before is of the overlap before: all of it lies behind when this one begins after that.
  const isBehind = Date.parse(from) > Date.parse(checkpoint.at) + OVERLAP_MS
  const keys = [...(isBehind ? [] : checkpoint.keys), ...keysSince(from)]
  if (keys.length <= KNOWN_MAX) return { kind: 'checkpoint', at: from, keys }
  const isSameMoment = newestBefore === null || newestBefore === newest
  return { kind: 'checkpoint', at: newest, keys: [...(isSameMoment ? checkpoint.keys : []), ...keysSince(newest)] }
}

function newestOf(events: readonly AlarmEvent[], least: string): string {
  return isoTime(Math.max(Date.parse(least), ...events.map(({ createdAt }) => Date.parse(createdAt))))
}
