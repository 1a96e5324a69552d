// Snapshots: make, remove, revert, consolidate, and the changed areas between two of them.

import { twistedAreas } from '../../machine/area-lies.ts'
import { type QuiesceWish, SimFault } from '../../machine/types.ts'
import {
  type Data,
  data,
  flagAt,
  numberAt,
  optionalDataAt,
  optionalFlagAt,
  optionalNumberAt,
  optionalRefAt,
  optionalTextAt,
  type Ref,
  textAt,
  type Value,
} from '../../soap/value.ts'
import { invalidArgument, notFound } from '../faults.ts'
import { type Call, type Handler, machineAt } from '../front.ts'
import type { MachineEntity } from '../world.ts'
import { startTask } from './start-task.ts'

/** Tools' own limit in minutes, when a Windows quiesce spec names none. */
const QUIESCE_MINUTES = 15
const QUIESCE_MINUTES_LEAST = 5
const QUIESCE_MINUTES_MOST = 240
const CONTEXTS = ['ctx_auto', 'ctx_backup', 'ctx_file_share_backup'] as const
/** VSS_BACKUP_TYPE counts from 1 (full) to 6 (other); 5 is a copy. */
const VSS_COPY = 5
const VSS_TYPES = 6
const SNAPSHOT_NAME_LENGTH_MAX = 80

export const snapshotMethods: Readonly<Record<string, Handler>> = {
  CreateSnapshot_Task: (call) => create(call, flagAt(call.args, 'quiesce') ? { kind: 'tools' } : { kind: 'none' }),
  CreateSnapshotEx_Task: (call) => create(call, quiesceWish(optionalDataAt(call.args, 'quiesceSpec'))),
  RemoveSnapshot_Task: (call) => {
    const { owner, snapshot } = snapshotAt(call)
    const removeChildren = flagAt(call.args, 'removeChildren')
    const consolidate = optionalFlagAt(call.args, 'consolidate') ?? true
    return startTask(call, {
      entity: owner,
      descriptionId: 'vm.Snapshot.remove',
      durationMs: call.front.settings.snapshotMs,
      work: () => {
        const merges = consolidate && call.front.world.estate.attached.holderOf(owner.machine) === null
        owner.machine.removeSnapshot(snapshot, { removeChildren, consolidate: merges })
        if (consolidate) refuseLocked(call, owner)
        return null
      },
    })
  },
  RemoveAllSnapshots_Task: (call) =>
    onMachine(call, {
      descriptionId: 'VirtualMachine.removeAllSnapshots',
      work: (entity) => entity.machine.removeAllSnapshots(),
    }),
  ConsolidateVMDisks_Task: (call) =>
    onMachine(call, {
      descriptionId: 'VirtualMachine.consolidateDisks',
      work: (entity) => {
        refuseLocked(call, entity)
        entity.machine.consolidate()
      },
    }),
  // Layouts are always up to date here.
  RefreshStorageInfo: (call) => {
    machineAt(call.front, call.self.ref)
    return null
  },
  RevertToSnapshot_Task: (call) => {
    const { owner, snapshot } = snapshotAt(call)
    return startTask(call, {
      entity: owner,
      descriptionId: 'vm.Snapshot.revert',
      durationMs: call.front.settings.snapshotMs,
      work: () => {
        owner.machine.revertTo(snapshot)
        return null
      },
    })
  },
  RevertToCurrentSnapshot_Task: (call) =>
    onMachine(call, {
      descriptionId: 'VirtualMachine.revertToCurrentSnapshot',
      work: ({ machine }) => {
        if (machine.currentSnapshot === null) throw new SimFault('NotFound', 'The virtual machine has no snapshot')
        machine.revertTo(machine.currentSnapshot)
      },
    }),
  QueryChangedDiskAreas: queryChangedDiskAreas,
}

/** Files that another machine has attached cannot be merged. */
function refuseLocked({ front }: Call, { machine }: MachineEntity): void {
  const holder = front.world.estate.attached.holderOf(machine)
  if (holder !== null) throw new SimFault('FileLocked', `A file is locked by "${holder.config.name}"`)
}

/** The memory flag is accepted and nothing of memory is kept: no guest here has any. */
function create(call: Call, quiesce: QuiesceWish): Ref {
  const entity = machineAt(call.front, call.self.ref)
  const name = textAt(call.args, 'name')
  const description = optionalTextAt(call.args, 'description') ?? ''
  if (name === '' || name.length > SNAPSHOT_NAME_LENGTH_MAX) {
    throw new SimFault('InvalidName', `The name '${name}' is invalid.`, { name })
  }
  if (entity.machine.config.template)
    throw new SimFault('NotSupported', 'The operation is not supported on a template.')
  return startTask(call, {
    entity,
    descriptionId: 'VirtualMachine.createSnapshot',
    durationMs: call.front.settings.snapshotMs,
    work: async (cancel) => {
      const { world } = call.front
      const taken = await entity.machine.takeSnapshot({ name, description, quiesce }, cancel)
      world.estate.peaks.countSnapshots(world.estate.machines())
      return world.snapshotRef(taken)
    },
  })
}

/** @throws SimFault InvalidArgument for values outside those of VirtualMachineWindowsQuiesceSpec */
function quiesceWish(spec: Data | null): QuiesceWish {
  if (spec === null) return { kind: 'none' }
  const timeoutMinutes = optionalNumberAt(spec, 'timeout') ?? QUIESCE_MINUTES
  if (timeoutMinutes < QUIESCE_MINUTES_LEAST || timeoutMinutes > QUIESCE_MINUTES_MOST) {
    throw invalidArgument('quiesceSpec.timeout')
  }
  if (spec.type !== 'VirtualMachineWindowsQuiesceSpec') return { kind: 'tools' }
  const backupType = optionalNumberAt(spec, 'vssBackupType') ?? VSS_COPY
  if (backupType < 1 || backupType > VSS_TYPES) throw invalidArgument('quiesceSpec.vssBackupType')
  const wanted = optionalTextAt(spec, 'vssBackupContext') ?? 'ctx_auto'
  const context = CONTEXTS.find((one) => one === wanted)
  if (context === undefined) throw invalidArgument('quiesceSpec.vssBackupContext')
  return { kind: 'windows', timeoutMinutes, context, backupType }
}

function onMachine(
  call: Call,
  task: { readonly descriptionId: string; readonly work: (entity: MachineEntity) => void },
): Ref {
  const entity = machineAt(call.front, call.self.ref)
  return startTask(call, {
    entity,
    descriptionId: task.descriptionId,
    durationMs: call.front.settings.snapshotMs,
    work: () => {
      task.work(entity)
      return null
    },
  })
}

function snapshotAt({ front, self }: Call) {
  const found = front.world.findSnapshot(self.ref.id)
  if (found === null) throw notFound(self.ref)
  return found
}

function queryChangedDiskAreas(call: Call): Value {
  const { front, self, args } = call
  const entity = machineAt(front, self.ref)
  const wanted = optionalRefAt(args, 'snapshot')
  const found = wanted === null ? null : front.world.findSnapshot(wanted.id)
  if (wanted !== null && found === null) throw notFound(wanted)
  if (found !== null && found.owner !== entity) throw invalidArgument('snapshot')
  const reply = entity.machine.changedAreas({
    snapshot: found?.snapshot ?? null,
    deviceKey: numberAt(args, 'deviceKey'),
    startOffset: numberAt(args, 'startOffset'),
    changeId: textAt(args, 'changeId'),
  })
  const areas = call.mishap?.kind === 'areas' ? twistedAreas(reply, call.mishap.lie) : reply
  return data('DiskChangeInfo', {
    startOffset: areas.startOffset,
    length: areas.length,
    changedArea: areas.changedArea.map(({ start, length }) => data('DiskChangeExtent', { start, length })),
  })
}
