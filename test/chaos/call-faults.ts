// Faults at the calls of a process: they fail, hang, come late, lose their answer, or end the process.

import { faultError } from '../../lib/adapters/vsphere/faults.ts'
import { snapshotFailure } from '../../lib/adapters/vsphere/snapshots.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { parseMoref } from '../../lib/model/ids.ts'
import type { Records } from '../../lib/ports/job-store.ts'
import type { Choice } from '../stages/chaos.ts'
import { cancel } from '../stages/world.ts'
import type { FaultKind } from './fault-kinds.ts'
import { diceFor, MINUTE_MS, type Play, SECOND_MS, strikes } from './play.ts'

export type Call = { readonly name: string; readonly process: string; readonly args: readonly unknown[] }

type CallFault = {
  /** Null: calls of stages and movers alike. */
  readonly by: 'stage' | 'mover' | null
  readonly at: RegExp
  /** Called when it strikes. */
  readonly choose: (play: Play, call: Call) => Choice | Promise<Choice>
}

const ANY = /./
const STORE = /^store\./
const TASK = /^vsphere\.(createSnapshot|removeSnapshot|consolidate|setChangeTracking)$/
/** Only told. */
const VM = parseMoref('vm-1')
const HINT = 'The simulation lets it pass by itself'

/** Some kinds do not act on calls: they are in happenings.ts and lies.ts. */
const CALL_FAULTS: Partial<Readonly<Record<FaultKind, CallFault>>> = {
  'call-fails': { by: 'stage', at: ANY, choose: (_, call) => failing('before', passing(call)) },
  'call-answer-lost': { by: 'stage', at: ANY, choose: (_, call) => failing('after', passing(call)) },
  'call-refused': {
    by: 'stage',
    at: ANY,
    choose: (play, call) => failing(anyTime(play, 'call-refused'), refusal(call)),
  },
  'call-broken': { by: 'stage', at: ANY, choose: (play) => ({ when: anyTime(play, 'call-broken'), blow: 'broken' }) },
  'call-hangs': { by: 'stage', at: ANY, choose: (play) => hanging(play, 'call-hangs') },
  'call-late': { by: 'stage', at: ANY, choose: (play) => late(play, 'call-late') },
  'stage-stopped': { by: 'stage', at: ANY, choose: (play) => ({ when: anyTime(play, 'stage-stopped'), blow: 'stop' }) },
  'stage-killed': { by: 'stage', at: ANY, choose: (play) => ({ when: anyTime(play, 'stage-killed'), blow: 'kill' }) },
  'stage-paused': { by: 'stage', at: ANY, choose: (play) => paused(play, 'stage-paused') },
  'mover-call-fails': {
    by: 'mover',
    at: ANY,
    choose: (play, call) => failing(anyTime(play, 'mover-call-fails'), passing(call)),
  },
  'mover-call-late': { by: 'mover', at: ANY, choose: (play) => late(play, 'mover-call-late') },
  'mover-hangs': { by: 'mover', at: ANY, choose: (play) => hanging(play, 'mover-hangs') },
  'mover-stopped': { by: 'mover', at: ANY, choose: (play) => ({ when: anyTime(play, 'mover-stopped'), blow: 'stop' }) },
  'mover-killed': { by: 'mover', at: ANY, choose: (play) => ({ when: anyTime(play, 'mover-killed'), blow: 'kill' }) },
  'mover-paused': { by: 'mover', at: ANY, choose: (play) => paused(play, 'mover-paused') },
  'record-conflict': { by: null, at: /^(runs|jobs|attempts|resources|vms)\.replace$/, choose: overtake },
  'records-away': {
    by: null,
    at: /^(runs|jobs|attempts|resources|vms)\./,
    choose: (play) => away(play, 'records-away'),
  },
  'store-fails': { by: null, at: STORE, choose: (_, call) => failing('before', passing(call)) },
  'store-answer-lost': { by: null, at: STORE, choose: (_, call) => failing('after', passing(call)) },
  'store-away': { by: null, at: STORE, choose: (play) => away(play, 'store-away') },
  'store-full': { by: null, at: /^store\.putIfAbsent$/, choose: (play) => away(play, 'store-full') },
  'vcenter-away': { by: null, at: /^vsphere\./, choose: (play) => away(play, 'vcenter-away') },
  'task-fails': {
    by: 'stage',
    at: TASK,
    choose: (play, call) => failing('before', taskFault(play, call, 'task-fails')),
  },
  'task-fails-after': {
    by: 'stage',
    at: TASK,
    choose: (play, call) => failing('after', taskFault(play, call, 'task-fails-after')),
  },
  'task-vanishes': {
    by: 'stage',
    at: TASK,
    choose: (play, call) => failing(anyTime(play, 'task-vanishes'), lostTask(call)),
  },
  'datastore-full': {
    by: 'stage',
    at: /^vsphere\.createSnapshot$/,
    choose: (_, call) => failing('before', fullDatastore(call)),
  },
  'disk-open-fails': { by: 'mover', at: /^transport\.open$/, choose: (_, call) => failing('before', unreadable(call)) },
  'disk-read-fails': { by: 'mover', at: /^transport\.read$/, choose: (_, call) => failing('before', unreadable(call)) },
  'disk-read-late': { by: 'mover', at: /^transport\.read$/, choose: (play) => late(play, 'disk-read-late') },
}

/** What becomes of a call: the first fault of the plan that strikes it. */
export async function chooseForCall(play: Play, call: Call): Promise<Choice> {
  const by = call.process.startsWith('mover') ? 'mover' : 'stage'
  const outage = play.away.find(
    ({ calls, untilMs }) => calls.test(call.name) && untilMs > play.world.clock.monotonicMs(),
  )
  if (outage !== undefined && !play.calm) return failing('before', outage.error())
  for (const { kind } of play.plan.faults) {
    const fault = CALL_FAULTS[kind]
    if (fault === undefined || (fault.by !== null && fault.by !== by) || !fault.at.test(call.name)) continue
    if (!strikes(play, kind)) continue
    const choice = await fault.choose(play, call)
    if (choice !== null) return choice
  }
  return null
}

function anyTime(play: Play, kind: FaultKind): 'before' | 'after' {
  return diceFor(play, kind).pick(['before', 'after'])
}

function failing(when: 'before' | 'after', error: Error): Choice {
  return { when, blow: 'error', error }
}

/** Until its program's time is over and it is stopped. */
async function hanging(play: Play, kind: FaultKind): Promise<Choice> {
  await play.world.clock.sleep(diceFor(play, kind).number(1, 15) * MINUTE_MS, cancel)
  return { when: 'before', blow: 'stop' }
}

function late(play: Play, kind: FaultKind): Choice {
  const dice = diceFor(play, kind)
  const lateMs = dice.pick([dice.number(1, 59) * SECOND_MS, dice.number(1, 12) * MINUTE_MS])
  return { when: anyTime(play, kind), blow: 'delay', until: play.world.clock.sleep(lateMs, cancel) }
}

function paused(play: Play, kind: FaultKind): Choice {
  const dice = diceFor(play, kind)
  const pauseMs = dice.pick([dice.number(10, 59) * SECOND_MS, dice.number(1, 30) * MINUTE_MS])
  return { when: anyTime(play, kind), blow: 'pause', until: play.world.clock.sleep(pauseMs, cancel) }
}

const OUTAGES = {
  'vcenter-away': {
    calls: /^vsphere\./,
    error: () => new BackupError('Cannot reach vCenter', { code: 'vcenter-unreachable', retry: 'later', hint: HINT }),
  },
  'records-away': {
    calls: /^(runs|jobs|attempts|resources|vms)\./,
    error: () => new BackupError('Cannot reach the table', { code: 'records-unreachable', retry: 'later', hint: HINT }),
  },
  'store-away': {
    calls: STORE,
    error: () => new BackupError('Cannot reach the bucket', { code: 'store-unreachable', retry: 'later', hint: HINT }),
  },
  'store-full': {
    calls: /^store\.putIfAbsent$/,
    error: () => new BackupError('Cannot store: no space is left', { code: 'store-full', retry: 'later', hint: HINT }),
  },
} as const

function away(play: Play, kind: keyof typeof OUTAGES): null {
  const dice = diceFor(play, kind)
  const forMs = dice.pick([
    dice.number(5, 90) * SECOND_MS,
    dice.number(2, 40) * MINUTE_MS,
    dice.number(40, 200) * MINUTE_MS,
  ])
  play.away.push({ ...OUTAGES[kind], untilMs: play.world.clock.monotonicMs() + forMs })
  return null
}

/** Somebody else's write comes first, though it changes nothing. */
async function overtake({ world }: Play, { name, args }: Call): Promise<null> {
  const [id] = args
  const { runs, jobs, attempts, resources, vms } = world.jobStore
  for (const [kind, records] of Object.entries({ runs, jobs, attempts, resources, vms })) {
    if (name !== `${kind}.replace` || typeof id !== 'string') continue
    await rewrite(records as Records<string, unknown>, id)
  }
  return null
}

async function rewrite(records: Records<string, unknown>, id: string): Promise<void> {
  const found = await records.get(id, cancel)
  if (found !== null) await records.replace(id, found, cancel)
}

function passing({ name }: Call): BackupError {
  return new BackupError(`Cannot reach "${name}"`, { code: 'struck-unreachable', retry: 'later', hint: HINT })
}

function refusal({ name }: Call): BackupError {
  return new BackupError(`Cannot use "${name}": it refuses`, { code: 'struck-refused', retry: 'no', hint: HINT })
}

function taskFault(play: Play, { name }: Call, kind: FaultKind): Error {
  const fault = diceFor(play, kind).pick(['GenericVmConfigFault', 'TaskInProgress', 'FileLocked', 'HostCommunication'])
  const method = name.replace('vsphere.', '')
  const told = { name: fault, message: 'An error occurred', detail: null }
  const error = faultError(told, { what: `Cannot ${method}`, method })
  return method === 'createSnapshot' ? snapshotFailure(error, { vm: VM, quiesce: { kind: 'none' } }) : error
}

function lostTask({ name }: Call): BackupError {
  const message = `Cannot follow "${name}": vCenter no longer knows the task, so its end is unknown`
  return new BackupError(message, { code: 'task-lost', retry: 'later', hint: 'Look at the object itself' })
}

function fullDatastore({ name }: Call): BackupError {
  return faultError(
    { name: 'NoDiskSpace', message: 'No space left on device', detail: null },
    { what: 'Cannot create the snapshot', method: name },
  )
}

function unreadable({ name }: Call): BackupError {
  return new BackupError(`Cannot read: "${name}" failed`, { code: 'disk-read-failed', retry: 'later', hint: HINT })
}
