// Lies about snapshots and their tasks, and what happens in the middle of a backup.

import { MiB } from '../../lib/base/bytes.ts'
import { defaultPolicy } from '../../lib/model/policy.ts'
import { type Chapter, during, failed, ok, READ, type Rule, warning } from './lie.ts'
import { LIMIT_LIES } from './limit-lies.ts'
import { WIRE_LIES } from './wire-lies.ts'

const fault = { fault: 'GenericVmConfigFault', message: 'An error occurred while saving the snapshot' }

const create = (mishap: Rule['mishap']): readonly Rule[] => [{ call: 'CreateSnapshot_Task', mishap }]

const remove = (mishap: Rule['mishap']): readonly Rule[] => [{ call: 'RemoveSnapshot_Task', mishap }]

/** The disks are not merged when the snapshot goes, but at the nth time that somebody asks for it. */
const merging = remove({ kind: 'action', action: 'hold-consolidation', body: { ms: 3_600_000 } })
const merged = (nth: number): Rule => ({
  call: 'ConsolidateVMDisks_Task',
  nth,
  mishap: { kind: 'action', action: 'hold-consolidation', body: { ms: 0 } },
})

const tasks: Chapter = {
  title: 'Snapshots and their tasks',
  lies: [
    {
      lie: 'The snapshot is made, and its task says that it failed',
      rules: create({ kind: 'task-fault-after', ...fault }),
      noticed: [{ attempts: 2 }, { log: 'stage.failed', says: /GenericVmConfigFault/ }],
      ends: ok,
    },
    {
      lie: 'The task fails without a cause, each time',
      rules: [{ call: 'CreateSnapshot_Task', times: 3, mishap: { kind: 'task-fault', ...fault } }],
      noticed: [{ attempts: 3 }, { outcome: 'snapshot-failed' }],
      ends: failed('snapshot-failed'),
    },
    {
      lie: 'The task vanishes, and the snapshot is made',
      rules: create({ kind: 'task-vanish', workMs: 0 }),
      noticed: [{ log: 'stage.failed', says: /no longer knows the task/ }],
      ends: ok,
    },
    {
      lie: 'The task vanishes, and the snapshot is made a while later',
      rules: create({ kind: 'task-vanish', workMs: 150 }),
      noticed: [{ log: 'stage.failed', says: /no longer knows the task/ }],
      ends: ok,
    },
    {
      lie: 'The task times out, and the snapshot is made a while later',
      rules: create({ kind: 'task-timeout', workMs: 150 }),
      noticed: [{ log: 'stage.failed', says: /Timedout/ }],
      ends: ok,
    },
    {
      lie: 'The task does not end for long, and the snapshot is made',
      rules: create({ kind: 'task-hang', work: true, ms: 1_500 }),
      limits: { captureMs: 400 },
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'The task does not end for long, and no snapshot is made',
      rules: create({ kind: 'task-hang', work: false, ms: 1_500 }),
      limits: { captureMs: 400 },
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'The snapshot is made, and the answer to the call that began its task is lost',
      rules: create({ kind: 'drop-reply' }),
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'The session ends just before the snapshot',
      rules: create({ kind: 'expire-session' }),
      noticed: [{ repeats: 'CreateSnapshot_Task', calls: 2 }],
      ends: ok,
    },
    {
      lie: 'The session ends just before the removal',
      rules: remove({ kind: 'expire-session' }),
      noticed: [{ repeats: 'RemoveSnapshot_Task', calls: 2 }],
      ends: ok,
    },
    {
      lie: 'The answer to the call that began the removal is lost',
      rules: remove({ kind: 'drop-reply' }),
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'The task says that it succeeded, and there is no snapshot',
      rules: create({ kind: 'task-idle' }),
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'The task of the removal says that it succeeded, and the snapshot is there',
      rules: remove({ kind: 'task-idle' }),
      noticed: [{ waits: 'the removal of the snapshot' }],
      ends: ok,
    },
    {
      lie: 'The task of the snapshot outlasts the job',
      rules: create({ kind: 'task-hang', work: true, ms: null }),
      limits: { captureMs: 300, stageMs: 600, busyMs: 600, releaseMs: 600, placeMs: 400 },
      pauseMs: 500,
      after: [{ action: 'end-tasks' }],
      noticed: [{ notice: 'left-behind' }],
      ends: failed('waited-too-long'),
    },
    {
      lie: 'The tree shows the snapshot late',
      rules: create({ kind: 'action', action: 'list-late', body: { ms: 300 } }),
      noticed: [{ waits: "to appear in the VM's tree" }],
      ends: ok,
    },
    {
      lie: 'The tree does not show the snapshot until the job is over; the next backup removes it',
      rules: create({ kind: 'action', action: 'list-late', body: { ms: 3_600_000 } }),
      limits: { listMs: 300 },
      after: [{ action: 'list-late', body: { ms: 0 } }],
      noticed: [{ log: 'snapshot.never-listed' }],
      ends: failed('lost-deltas'),
    },
    {
      lie: 'Another product begins a task just before the snapshot',
      rules: create({ kind: 'action', action: 'task', body: { name: 'RelocateVM_Task', ms: 300 } }),
      noticed: [{ log: 'stage.failed', says: /TaskInProgress/ }],
      ends: ok,
    },
    {
      lie: 'Another product works on the machine',
      before: [{ action: 'task', body: { name: 'RelocateVM_Task', ms: 3_600_000 } }],
      rules: [{ call: 'RetrievePropertiesEx', nth: 30, mishap: { kind: 'action', action: 'end-tasks' } }],
      noticed: [{ waits: 'a running task on the VM: "RelocateVM_Task"' }],
      ends: ok,
    },
    {
      lie: 'The removal times out, and goes on in the background',
      rules: remove({ kind: 'task-timeout', workMs: 150 }),
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'The task of the removal vanishes, and the snapshot goes a while later',
      rules: remove({ kind: 'task-vanish', workMs: 150 }),
      noticed: [{ log: 'snapshot.removal-unknown' }],
      ends: ok,
    },
    {
      lie: 'The snapshot is removed, and its task says that this failed',
      rules: remove({ kind: 'task-fault-after', ...fault }),
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'The task of the removal does not end for long',
      rules: remove({ kind: 'task-hang', work: true, ms: 1_000 }),
      limits: { captureMs: 300 },
      noticed: [{ harmless: 'it is waited for' }],
      ends: ok,
    },
    {
      lie: 'The disks need consolidation for long after the snapshot is gone',
      rules: [...merging, merged(2)],
      noticed: [{ log: 'vm.consolidating' }],
      ends: ok,
    },
    {
      lie: 'The consolidation takes long',
      rules: [
        ...merging,
        merged(1),
        { call: 'ConsolidateVMDisks_Task', mishap: { kind: 'task-slow', durationMs: 600 } },
      ],
      noticed: [{ log: 'vm.consolidating' }],
      ends: ok,
    },
  ],
}

const untracked = { first: true, machine: { changeTracking: false } } as const

const stuns: Chapter = {
  title: 'Turning tracking on, before the first backup',
  lies: [
    {
      lie: 'The task that turns it on says that it succeeded, and tracking is off',
      ...untracked,
      rules: [{ call: 'ReconfigVM_Task', mishap: { kind: 'task-idle' } }],
      noticed: [{ notice: 'cbt-unavailable' }],
      ends: warning('cbt-unavailable'),
    },
    {
      lie: 'The task that turns it on vanishes, and nothing is done',
      ...untracked,
      rules: [{ call: 'ReconfigVM_Task', mishap: { kind: 'task-vanish', workMs: 3_000_000 } }],
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'Tracking is on, and no disk has a change id',
      ...untracked,
      before: [{ action: 'change-tracking', body: { lie: 'no-change-id' } }],
      noticed: [{ read: 'no-change-id' }],
      ends: warning('cbt-unavailable'),
    },
    {
      lie: 'The snapshot that makes it real is made, and its task says that it failed',
      ...untracked,
      rules: create({ kind: 'task-fault-after', ...fault }),
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'The removal of that snapshot times out, and goes on in the background',
      ...untracked,
      rules: remove({ kind: 'task-timeout', workMs: 150 }),
      noticed: [{ log: 'stage.failed' }],
      ends: ok,
    },
    {
      lie: 'The disks need consolidation for long after that snapshot is gone',
      ...untracked,
      rules: [...merging, merged(2)],
      noticed: [{ log: 'stage.failed', says: /consolidation/ }],
      ends: ok,
    },
  ],
}

const refused = { noticed: [{ outcome: 'snapshot-changed' }], ends: failed('snapshot-changed') } as const

const reads: Chapter = {
  title: 'In the middle of a read',
  lies: [
    {
      lie: 'Somebody deletes all snapshots',
      rules: during('remove-all-snapshots'),
      ...refused,
    },
    {
      lie: 'Somebody deletes all snapshots and takes one of his own: reads succeed and give other bytes',
      rules: [
        ...during('remove-all-snapshots'),
        ...during('write', { bytes: 400_000 }),
        ...during('snapshot', { name: 'mine' }),
      ],
      ...refused,
      foreign: ['mine'],
      next: failed('foreign-snapshot'),
    },
    {
      lie: 'Somebody deletes all snapshots of a machine that is off',
      machine: { poweredOn: false },
      rules: during('remove-all-snapshots'),
      ...refused,
    },
    {
      lie: 'Somebody goes back to our snapshot',
      rules: during('revert'),
      noticed: [{ harmless: 'what it holds is what is read' }],
      ends: ok,
      next: warning('cbt-reset'),
    },
    {
      lie: 'Somebody takes a snapshot',
      rules: during('snapshot', { name: 'mine' }),
      noticed: [{ harmless: 'it rests on ours, which stays as it is' }],
      ends: ok,
      foreign: ['mine'],
      next: failed('foreign-snapshot'),
    },
    {
      lie: 'Another product begins a task',
      rules: [
        ...during('task', { name: 'CloneVM_Task', ms: 3_600_000 }),
        { call: 'RetrievePropertiesEx', nth: 120, mishap: { kind: 'action', action: 'end-tasks' } },
      ],
      noticed: [{ waits: 'CloneVM_Task' }],
      ends: ok,
    },
    {
      lie: 'The guest goes on writing',
      rules: during('write', { bytes: 500_000 }),
      noticed: [{ harmless: 'what it writes lies in a delta that nobody reads' }],
      ends: ok,
    },
    {
      lie: 'The machine moves to another host',
      rules: during('relocate', { host: 'esx-02.example' }),
      noticed: [{ harmless: 'its files stay where they are' }],
      ends: ok,
    },
    {
      lie: 'The disks move to another datastore',
      rules: during('relocate', { datastore: 'ds2' }),
      ...refused,
    },
    {
      lie: 'The disks move to another datastore, and tracking begins anew',
      rules: during('relocate', { datastore: 'ds2', changeTracking: 'reset' }),
      ...refused,
      next: warning('cbt-reset'),
    },
    {
      lie: 'A disk is added',
      rules: during('add-disk', { capacityBytes: MiB }),
      noticed: [{ harmless: 'the snapshot does not hold it' }],
      ends: ok,
    },
    {
      lie: 'A disk is removed',
      rules: during('remove-disk', { deviceKey: 2001 }),
      noticed: [{ harmless: 'the snapshot keeps it' }],
      ends: ok,
    },
    {
      lie: 'The machine loses its power',
      rules: during('power-loss'),
      noticed: [{ harmless: 'the snapshot stays; the next backup sees that tracking began anew' }],
      ends: ok,
      next: warning('cbt-reset'),
    },
    {
      lie: 'The machine is turned off',
      rules: during('power', { on: false }),
      noticed: [{ harmless: 'the snapshot stays' }],
      ends: ok,
    },
  ],
}

/** Long enough for a look at the snapshot while disks are read. */
const slowly: readonly Rule[] = [{ call: READ, nth: 4, mishap: { kind: 'delay', delayMs: 60_000 } }]
const guarded = { growthLookMs: 50 }

const weight: Chapter = {
  title: 'Snapshots that weigh too much',
  lies: [
    {
      lie: 'The snapshot grows beyond what the policy allows',
      policy: { snapshot: { ...defaultPolicy().snapshot, growthBytesMax: 600_000 } },
      limits: guarded,
      rules: [...during('write', { bytes: 1_500_000 }), ...slowly],
      noticed: [{ log: 'snapshot.read-ended' }],
      ends: failed('snapshot-too-large'),
    },
    {
      lie: 'The read takes longer than the policy allows',
      policy: { snapshot: { ...defaultPolicy().snapshot, ageMsMax: 3_000 } },
      limits: guarded,
      rules: [{ call: READ, nth: 1, mishap: { kind: 'delay', delayMs: 60_000 } }],
      noticed: [{ log: 'snapshot.read-ended' }],
      ends: failed('snapshot-too-old'),
    },
    {
      lie: 'The datastore fills up',
      limits: guarded,
      rules: [...during('fill-datastore', { freeBytes: 100 * MiB }), ...slowly],
      after: [{ action: 'fill-datastore', body: { freeBytes: 2 ** 40 } }],
      noticed: [{ log: 'snapshot.read-ended' }],
      ends: failed('datastore-filling'),
    },
  ],
}

export const SNAPSHOT_LIES: readonly Chapter[] = [stuns, tasks, reads, weight, WIRE_LIES, LIMIT_LIES]
