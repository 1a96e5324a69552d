// Complete state records for tests, each a plausible one; override what a test is about.

import type { AlarmRecord } from '../../lib/model/alarm.ts'
import type { AlarmQueue } from '../../lib/model/alarm-queue.ts'
import {
  alarmIdOf,
  type JobId,
  jobIdOf,
  operationIdOf,
  parseJobId,
  parseMoref,
  parsePointId,
  parseRunId,
  parseSessionId,
  parseVmId,
} from '../../lib/model/ids.ts'
import type { Attempt, Job } from '../../lib/model/job.ts'
import { newJob } from '../../lib/model/new-job.ts'
import type { Operation } from '../../lib/model/operation.ts'
import type { Resource } from '../../lib/model/places.ts'
import type { PointEntry } from '../../lib/model/point-entry.ts'
import { defaultPolicy } from '../../lib/model/policy.ts'
import type { Run } from '../../lib/model/run.ts'
import type { StoredPolicy } from '../../lib/model/stored-policy.ts'
import { addUsage, NO_USAGE, type Usage } from '../../lib/model/usage.ts'
import type { VmConfig, VmDisk } from '../../lib/model/vm.ts'
import { newVmHistory, type VmHistory } from '../../lib/model/vm-history.ts'

const at = '2026-01-02T03:04:05.678Z'

export const sampleRunId = parseRunId('0123456789abcdef0123456789abcdef')
export const samplePointId = parsePointId('fedcba9876543210fedcba9876543210')

/** A different job for every number; `run` names the run it belongs to. */
export function sampleJobId(number: number): JobId {
  return jobIdOf(sampleRunId, parseVmId(`00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`))
}

export function sampleJob(change: Partial<Job> = {}): Job {
  const vm = {
    moref: parseMoref('vm-101'),
    vmId: parseVmId('502f1a2b-0000-4000-8000-000000000001'),
    name: 'db-1 / "täst"',
    datacenter: 'DC0',
  }
  return {
    ...newJob({
      run: { id: sampleRunId, policy: defaultPolicy(), full: true },
      vm,
      groups: [],
      beginBefore: null,
      createdAt: at,
    }),
    id: parseJobId('00112233445566778899aabbccddeeff'),
    wakeAtMs: 1_760_000_000_000,
    tracking: { active: true, reason: null },
    ...change,
  }
}

/** A job with every optional part filled. */
export function fullJob(): Job {
  const disk = sampleDisk()
  return sampleJob({
    state: 'releasing',
    nextStage: 'release',
    claim: { stage: 'abandon', invocation: 'engine-1/7', untilMs: 1_760_000_060_000 },
    waitSinceMs: 5,
    failingSinceMs: 6,
    waitsFor: 'a place',
    cancelRequestedAt: at,
    beginBefore: at,
    outcome: { kind: 'warning', code: 'cbt-unavailable', message: 'Read in full', hint: 'Nothing to do' },
    owes: [
      { kind: 'place', resource: 'vm:1' },
      { kind: 'snapshot', name: 'coldframe-x' },
      { kind: 'hot-disk', moverVm: parseMoref('vm-9') },
      { kind: 'mover', attempt: 1, clientToken: 't', placement: 0, taskId: null },
      { kind: 'annotation', attempt: 1 },
    ],
    footing: {
      vcenterId: '5e3c9a1b-0000-4000-8000-000000000001',
      host: { moref: parseMoref('host-9'), name: 'esx-1' },
      datastores: [{ moref: parseMoref('datastore-9'), name: 'ds' }],
      diskBytes: 1024,
    },
    grant: { connections: 4, bufferBytes: 16_777_216 },
    notices: [{ code: 'cbt-unavailable', message: 'Read in full', hint: null }],
    excludedDisks: [{ key: 2001, label: 'Hard disk 2', fileName: '[ds] a/b.vmdk', reason: 'independent' }],
    capture: {
      snapshotName: 'coldframe-x',
      snapshot: parseMoref('snapshot-9'),
      takenAt: at,
      powerState: 'poweredOn',
      grade: {
        requested: 'filesystem',
        reached: 'crash',
        quiesced: false,
        method: 'none',
        freezeMs: 0,
        snapshotMs: 1234.5,
        fallbacks: ['Tools are not running'],
        proof: null,
      },
      config: sampleConfig(),
      disks: [disk],
      excludedDisks: [],
    },
    unlistedSinceMs: 5,
    snapshotWatch: { sinceMs: 6, lookedAtMs: 7, growthBytes: 65_536, removalAtMs: 8 },
    pointId: samplePointId,
    counts: { readBytes: 10, newPlainBytes: 9, storedBytes: 8 },
    usage: { stages: sampleUsage(2), tasks: sampleUsage(3) },
  })
}

/** Another amount of each kind. */
export function sampleUsage(factor: number): Usage {
  const amounts = Object.keys(NO_USAGE).map((name, index) => [name, factor * (index + 1)])
  return addUsage(NO_USAGE, Object.fromEntries(amounts))
}

export function sampleDisk(): VmDisk {
  return {
    key: 2000,
    label: 'Hard disk 1',
    capacityBytes: 1 << 30,
    controllerKey: 1000,
    unitNumber: 0,
    mode: 'persistent',
    backing: 'flat',
    fileName: '[ds1] db-1/db-1.vmdk',
    parents: [],
    uuid: '6000C29a-0000-0000-0000-000000000000',
    changeId: '52 de c0/1',
    thin: null,
    encrypted: false,
    sharing: false,
  }
}

export function sampleConfig(): VmConfig {
  return {
    name: 'db-1',
    vmId: parseVmId('502f1a2b-0000-4000-8000-000000000001'),
    biosUuid: '422f',
    annotation: '',
    hardwareVersion: 'vmx-19',
    guestId: 'debian11_64Guest',
    guestFullName: 'Debian',
    firmware: 'efi',
    secureBoot: true,
    cpus: 2,
    coresPerSocket: 1,
    memoryMB: 2048,
    folder: '/DC0/vms',
    resourcePool: null,
    extraConfig: { 'disk.EnableUUID': 'TRUE' },
    controllers: [{ key: 1000, type: 'ParaVirtualSCSIController', busNumber: 0, sharedBus: 'noSharing' }],
    nics: [
      {
        key: 4000,
        type: 'VirtualVmxnet3',
        label: 'Network adapter 1',
        macAddress: '00:50:56:00:00:01',
        addressType: 'assigned',
        network: 'VM Network',
        connected: true,
        startConnected: true,
      },
    ],
    disks: [sampleDisk()],
    otherDevices: [{ key: 12000, type: 'VirtualMachineVMCIDevice', label: 'VMCI device' }],
    vmx: '.encoding = "UTF-8"\n',
    nvramBase64: 'AAEC',
    missing: [],
  }
}

export function sampleRun(change: Partial<Run> = {}): Run {
  return {
    id: sampleRunId,
    door: 'api',
    policy: defaultPolicy(),
    vms: ['db-1'],
    full: false,
    requestedAt: at,
    requestedBy: 'somebody',
    cancelRequestedAt: at,
    state: 'requested',
    wakeAtMs: 1_760_000_000_000,
    jobIds: [],
    refusal: null,
    scheduledAt: at,
    leftOut: [{ code: 'coalesced', message: 'A job of the same policy works on it', count: 1, names: ['db-2'] }],
    ...change,
  }
}

export function sampleAttempt(change: Partial<Attempt> = {}): Attempt {
  return {
    jobId: sampleJob().id,
    attempt: 1,
    holder: 'mover-1',
    heldUntilMs: 1_760_000_060_000,
    progress: [{ key: 2000, label: 'Hard disk 1', totalBytes: 100, doneBytes: 10, transport: 'datastore' }],
    usage: sampleUsage(1),
    result: null,
    ...change,
  }
}

export const sampleSessionId = parseSessionId(`${sampleJob().id}-1`)

export function sampleResource(change: Partial<Resource> = {}): Resource {
  const places = [{ holder: 'job-1', units: 1, untilMs: 1_760_000_060_000 }]
  const waiters = [{ holder: 'job-2', units: 1, sinceMs: 1_760_000_000_000, untilMs: 1_760_000_060_000 }]
  return { name: 'vm:1', places, waiters, ...change }
}

/** With every part filled. */
export function sampleVmHistory(): VmHistory {
  const { vm, id } = sampleJob()
  const mark = { since: at, alarmId: sampleAlarm().alarm.id, alarmName: 'Ransomware suspected' }
  return {
    ...newVmHistory(vm),
    trackingReset: { since: at, reason: 'An audit found a chunk that had changed' },
    lastReset: { at, reason: 'The change counter went back' },
    snapshots: [
      { jobId: id, takenAt: at, freezeMs: 12, createMs: 900, removeMs: null, aliveMs: 60_000, growthBytes: 1 << 20 },
    ],
    lastSuccess: { at, pointId: samplePointId, grade: 'filesystem', tookMs: 90_000 },
    failures: { inRow: 2, at },
    hunt: { tries: 1, triedAt: at, reason: 'Its disks need consolidation', snapshot: 'coldframe-hunt-x-1' },
    lastAlarm: { at, alarmId: mark.alarmId },
    quarantine: mark,
    retentionFreeze: mark,
    lifted: [{ ...mark, what: 'quarantine', liftedAt: at, by: 'somebody', reason: 'It was a test' }],
  }
}

export function sampleStoredPolicy(change: Partial<StoredPolicy> = {}): StoredPolicy {
  const policy = defaultPolicy()
  const rules = [{ alarm: 'Ransom*', criticality: ['critical'], action: 'backup+quarantine', storage: false }] as const
  return {
    name: policy.name,
    policy: { ...policy, alarms: { ...policy.alarms, rules } },
    text: 'name: default # "täst"\n',
    sha256: 'a'.repeat(64),
    appliedAt: at,
    appliedBy: 'somebody',
    state: 'active',
    ...change,
  }
}

export function sampleOperation(change: Partial<Operation> = {}): Operation {
  return {
    id: operationIdOf({ kind: 'restore', key: 'k' }),
    request: {
      kind: 'restore',
      point: 'db-1@latest',
      disks: [2000],
      target: { kind: 'bucket', bucket: 'restored', prefix: 'db-1/' },
    },
    requestedAt: at,
    requestedBy: 'somebody',
    state: 'running',
    attempt: 1,
    round: 2,
    wakeAtMs: 1_760_000_000_000,
    clientToken: 't',
    placement: 1,
    taskId: 'task-1',
    attemptSinceMs: 1_760_000_000_000,
    failingSinceMs: 1_760_000_000_000,
    waitsFor: 'its task',
    cancelRequestedAt: at,
    holder: 'h',
    heldUntilMs: 1_760_000_060_000,
    point: { vmId: sampleJob().vm.vmId, sequence: 3, pointId: samplePointId },
    progress: [{ label: 'Hard disk 1', totalBytes: 100, doneBytes: 10 }],
    failure: { kind: 'failed', code: 'task-died', message: 'Its task ended', hint: null },
    outcome: { kind: 'failed', code: 'integrity', message: 'A chunk is damaged', hint: null },
    result: ['db-1/disk-2000.raw'],
    doneAt: at,
    ...change,
  }
}

export function samplePointEntry(change: Partial<PointEntry> = {}): PointEntry {
  const { id, vm, policy } = sampleJob()
  return {
    pointId: samplePointId,
    vmId: vm.vmId,
    vmName: vm.name,
    sequence: 3,
    capturedAt: at,
    committedAt: at,
    grade: 'crash',
    policyName: policy.name,
    jobId: id,
    disks: [{ key: 2000, label: 'Hard disk 1', capacityBytes: 1 << 30 }],
    storedBytes: 8,
    ...change,
  }
}

export function sampleAlarmQueue(): AlarmQueue {
  const entry = { alarmId: sampleAlarm().alarm.id, vmId: sampleJob().vm.vmId, rank: 0, atMs: 1_760_000_000_000 }
  return {
    kind: 'alarms',
    day: '2026-01-02',
    spent: 3,
    lastRunAtMs: 1_760_000_000_000,
    dueAtMs: 1_760_000_060_000,
    starting: { verdict: 'run', key: entry.alarmId, count: 1, atMs: 1_760_000_000_000 },
    waiting: [entry],
  }
}

export function sampleAlarm(change: Partial<AlarmRecord['alarm']> = {}): AlarmRecord {
  return {
    alarm: {
      id: alarmIdOf({ source: 'vcf-operations', key: 'k' }),
      source: 'vcf-operations',
      vcenterId: '5e3c9a1b-0000-4000-8000-000000000001',
      alarmName: 'Ransomware suspected',
      state: 'raised',
      from: 'green',
      to: 'red',
      criticality: 'critical',
      target: { moref: 'vm-101', instanceUuid: null, name: 'db-1', kind: 'VirtualMachine' },
      message: 'Many files were renamed',
      occurredAt: at,
      receivedAt: at,
      ...change,
    },
    decision: {
      kind: 'acted',
      code: 'acted',
      message: 'A backup was started',
      action: 'backup+quarantine',
      policy: defaultPolicy().name,
      runId: sampleRunId,
      at,
    },
    wakeAtMs: null,
  }
}
