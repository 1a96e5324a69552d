// The snapshot calls of the in-memory vCenter: instant, or as tasks that go on when nobody waits for them.

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import type { VmDisk, VmSnapshot } from '../../model/vm.ts'
import type { VmSurvey } from '../../model/vm-survey.ts'
import type { Quiesce, VsphereSession } from '../../ports/vsphere.ts'
import { type Center, findSnapshot } from './center.ts'
import { growthSince } from './changed-areas.ts'
import { refuseLocked } from './hot-disks.ts'
import {
  consolidateDisks,
  dropAllSnapshots,
  dropSnapshot,
  type FrozenDisk,
  type MemorySnapshot,
  type MemoryVm,
  takeSnapshot,
} from './machine.ts'

type Finders = {
  readonly find: (moref: Moref) => MemoryVm
  readonly ofSnapshot: (moref: Moref) => { readonly vm: MemoryVm; readonly snapshot: MemorySnapshot }
}

/** Snapshots, what becomes of them, and the tasks that they take. */
export function snapshotCalls(
  center: Center,
  { find, ofSnapshot }: Finders,
): Pick<
  VsphereSession,
  | 'surveySnapshots'
  | 'readSnapshot'
  | 'createSnapshot'
  | 'removeSnapshot'
  | 'removeAllSnapshots'
  | 'readSnapshotGrowth'
  | 'consolidate'
  | 'runningTasks'
> {
  const { vms, call } = center
  return {
    surveySnapshots: (cancel) =>
      call('surveySnapshots', cancel, () => vms.map((vm) => surveyOf(vm, center.clock.nowMs()))),
    readSnapshot: (moref, cancel) =>
      call('readSnapshot', cancel, () => ({ moref, disks: ofSnapshot(moref).snapshot.frozen.map(frozenDisk) })),
    createSnapshot: (request, cancel) =>
      call('createSnapshot', cancel, () => createSnapshot(center, { ...request, ...cancel, vm: find(request.vm) })),
    removeSnapshot: (moref, cancel) =>
      call('removeSnapshot', cancel, () => {
        const { vm } = ofSnapshot(moref)
        refuseLocked(vm, vms)
        const task = { vm, name: 'RemoveSnapshot_Task', takesMs: vm.mishaps.removalTakesMs }
        return asTask(center, { ...task, ...cancel, act: () => dropSnapshot(vm, moref) })
      }),
    removeAllSnapshots: (moref, cancel) =>
      call('removeAllSnapshots', cancel, () => {
        const vm = find(moref)
        const task = { vm, name: 'RemoveAllSnapshots_Task', takesMs: vm.mishaps.removalTakesMs }
        return asTask(center, { ...task, ...cancel, act: () => dropAllSnapshots(vm) })
      }),
    readSnapshotGrowth: (request, cancel) =>
      call('readSnapshotGrowth', cancel, () => {
        const vm = find(request.vm)
        return { growthBytes: growthSince(vm, request.snapshot), datastores: [vm.datastore] }
      }),
    consolidate: (moref, cancel) =>
      call('consolidate', cancel, () => {
        const vm = find(moref)
        const task = { vm, name: 'ConsolidateVMDisks_Task', takesMs: vm.mishaps.consolidationTakesMs }
        return asTask(center, { ...task, ...cancel, act: () => consolidateDisks(vm) })
      }),
    runningTasks: (moref, cancel) =>
      call('runningTasks', cancel, () =>
        find(moref).runningTasks.map((task) =>
          typeof task === 'string' ? { name: task, startedAt: null, by: null } : task,
        ),
      ),
  }
}

type SnapshotCall = Cancel & {
  readonly vm: MemoryVm
  readonly name: string
  readonly description: string
  readonly quiesce: Quiesce
}

type TaskCall<Result> = Cancel & {
  readonly vm: MemoryVm
  readonly name: string
  readonly takesMs: number
  readonly act: () => Result
}

/** One at a time on a VM, as vSphere has it. The task goes on when whoever asked stops waiting for it. */
async function asTask<Result>(center: Center, task: TaskCall<Result>): Promise<Result> {
  const { vm, name, takesMs, act } = task
  if (takesMs === 0) return act()
  if (vm.runningTasks.length > 0) {
    throw new BackupError(`Cannot start "${name}" on VM "${vm.name}": another task is in progress`, {
      code: 'vm-busy',
      retry: 'later',
    })
  }
  vm.runningTasks.push(name)
  const ended = center.clock.sleep(takesMs, { signal: new AbortController().signal }).then(() => {
    vm.runningTasks = vm.runningTasks.filter((other) => other !== name)
    return act()
  })
  return orAborted(ended, task)
}

async function createSnapshot(center: Center, request: SnapshotCall): Promise<Moref> {
  const { vm, name, description, quiesce } = request
  if (vm.template || vm.faultTolerant) refuseSnapshot(vm)
  if (quiesce.kind !== 'none' && vm.mishaps.quiesceFails > 0) {
    vm.mishaps.quiesceFails--
    throw new BackupError(`Cannot quiesce the guest of VM "${vm.name}"`, {
      code: 'snapshot-quiesce-failed',
      retry: 'later',
    })
  }
  const take = (): Moref => {
    const quiesced = quiesce.kind !== 'none' && !vm.mishaps.quiesceUnmarked
    const backupManifest = quiesce.kind === 'windows' && vm.vssManifest !== null ? 'vss_manifests1.zip' : null
    const moref = takeSnapshot(vm, { name, description, quiesced, backupManifest, atMs: center.clock.nowMs() })
    center.frozen.set(moref, findSnapshot(center.vms, moref)?.snapshot.frozen ?? [])
    return moref
  }
  const { signal } = request
  const takesMs = vm.mishaps.snapshotTakesMs
  return asTask(center, { vm, name: 'CreateSnapshot_Task', takesMs, act: take, signal })
}

function orAborted<Result>(task: Promise<Result>, { signal }: Cancel): Promise<Result> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    task.then(resolve, reject)
  })
}

function refuseSnapshot(vm: MemoryVm): never {
  throw new BackupError(`Cannot snapshot VM "${vm.name}": it is a template or fault tolerant`, {
    code: 'snapshot-failed',
  })
}

function frozenDisk(frozen: FrozenDisk): VmDisk {
  const { files, changeId } = frozen
  return { ...frozen.disk, fileName: files[0] ?? '', parents: files.slice(1), changeId }
}

function surveyOf(vm: MemoryVm, nowMs: number): VmSurvey {
  const { moref, vmId, name, consolidationNeeded, disks } = vm
  const layersMax = Math.max(1, ...disks.map(({ files }) => files.length))
  return { moref, vmId, name, consolidationNeeded, snapshots: treeOf(listedOf(vm, nowMs), null), layersMax }
}

/** What the tree shows by now. */
export function listedOf(vm: MemoryVm, nowMs: number): readonly MemorySnapshot[] {
  return vm.snapshots.filter(({ listedFromMs }) => listedFromMs <= nowMs)
}

/** Snapshots as vCenter tells them: children within their parent. */
export function treeOf(snapshots: readonly MemorySnapshot[], parent: Moref | null): readonly VmSnapshot[] {
  return snapshots
    .filter((snapshot) => snapshot.parent === parent)
    .map(({ moref, name, description, quiesced, backupManifest, atMs }) => {
      const createdAt = new Date(atMs).toISOString()
      return { moref, name, description, quiesced, backupManifest, createdAt, children: treeOf(snapshots, moref) }
    })
}
