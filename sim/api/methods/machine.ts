// Power, reconfiguration and the end of a virtual machine.

import { SimFault } from '../../machine/types.ts'
import {
  type Data,
  dataAt,
  listAt,
  numberAt,
  optionalDataAt,
  optionalFlagAt,
  optionalNumberAt,
  optionalTextAt,
  type Ref,
  textAt,
} from '../../soap/value.ts'
import { invalidArgument } from '../faults.ts'
import { type Call, type Handler, machineAt } from '../front.ts'
import type { MachineEntity } from '../world.ts'
import { requirePrivilege } from './login.ts'
import { startTask } from './start-task.ts'

export const machineMethods: Readonly<Record<string, Handler>> = {
  PowerOnVM_Task: (call) => power(call, { verb: 'powerOn', work: ({ machine }) => machine.powerOn() }),
  PowerOffVM_Task: (call) => power(call, { verb: 'powerOff', work: ({ machine }) => machine.powerOff() }),
  ShutdownGuest: (call) => {
    const { machine } = machineAt(call.front, call.self.ref)
    if (!machine.toolsRunning) throw new SimFault('ToolsUnavailable', 'VMware Tools is not running in the guest.')
    machine.powerOff()
    return null
  },
  ReconfigVM_Task: reconfigure,
  Destroy_Task: (call) => {
    const entity = machineAt(call.front, call.self.ref)
    requirePrivilege(call, { privilege: 'VirtualMachine.Inventory.Delete', entity: entity.ref })
    return startTask(call, {
      entity,
      descriptionId: 'VirtualMachine.destroy',
      durationMs: call.front.settings.taskMs,
      work: () => {
        call.front.world.estate.destroyMachine(entity.machine)
        return null
      },
    })
  },
  Rename_Task: (call) => {
    const entity = machineAt(call.front, call.self.ref)
    requirePrivilege(call, { privilege: 'VirtualMachine.Config.Rename', entity: entity.ref })
    const name = textAt(call.args, 'newName')
    return startTask(call, {
      entity,
      descriptionId: 'VirtualMachine.rename',
      durationMs: call.front.settings.taskMs,
      work: () => {
        entity.machine.reconfigure({ name })
        return null
      },
    })
  },
  UnregisterVM: (call) => {
    const entity = machineAt(call.front, call.self.ref)
    if (entity.machine.powerState !== 'poweredOff') throw poweredOn(entity)
    call.front.world.unregister(entity)
    return null
  },
}

function power(call: Call, task: { readonly verb: string; readonly work: (entity: MachineEntity) => void }): Ref {
  const entity = machineAt(call.front, call.self.ref)
  return startTask(call, {
    entity,
    descriptionId: `VirtualMachine.${task.verb}`,
    durationMs: call.front.settings.taskMs,
    work: () => {
      task.work(entity)
      return null
    },
  })
}

/** What a spec may ask for here; the rest of it is refused, so that nothing is silently ignored. */
const SUPPORTED = new Set([
  'changeVersion',
  'name',
  'guestId',
  'annotation',
  'numCPUs',
  'numCoresPerSocket',
  'memoryMB',
  'changeTrackingEnabled',
  'extraConfig',
  'deviceChange',
])

function reconfigure(call: Call): Ref {
  const entity = machineAt(call.front, call.self.ref)
  const spec = dataAt(call.args, 'spec')
  for (const field of Object.keys(spec.fields)) {
    if (!SUPPORTED.has(field)) throw new SimFault('NotSupported', `Changing "${field}" is not simulated`)
  }
  for (const privilege of privilegesOf(spec)) requirePrivilege(call, { privilege, entity: entity.ref })
  return startTask(call, {
    entity,
    descriptionId: 'VirtualMachine.reconfigure',
    durationMs: call.front.settings.taskMs,
    work: () => {
      applySpec(call, { entity, spec })
      return null
    },
  })
}

function privilegesOf(spec: Data): readonly string[] {
  const changes = listAt(spec, 'deviceChange').map((change) => optionalTextAt(change, 'operation'))
  const needs: readonly (readonly [boolean, string])[] = [
    [spec.fields['changeTrackingEnabled'] !== undefined, 'VirtualMachine.Config.ChangeTracking'],
    [spec.fields['extraConfig'] !== undefined, 'VirtualMachine.Config.AdvancedConfig'],
    [spec.fields['name'] !== undefined, 'VirtualMachine.Config.Rename'],
    [changes.includes('add'), 'VirtualMachine.Config.AddNewDisk'],
    [changes.includes('edit'), 'VirtualMachine.Config.DiskExtend'],
    [changes.includes('remove'), 'VirtualMachine.Config.RemoveDisk'],
  ]
  return needs.filter(([isNeeded]) => isNeeded).map(([, privilege]) => privilege)
}

function applySpec(call: Call, { entity, spec }: { readonly entity: MachineEntity; readonly spec: Data }): void {
  const { machine } = entity
  const changeTracking = optionalFlagAt(spec, 'changeTrackingEnabled')
  if (changeTracking !== null) machine.setChangeTracking(changeTracking)
  const [name, guestId, annotation] = ['name', 'guestId', 'annotation'].map(
    (field) => optionalTextAt(spec, field) ?? undefined,
  )
  const [cpus, coresPerSocket, memoryMB] = ['numCPUs', 'numCoresPerSocket', 'memoryMB'].map(
    (field) => optionalNumberAt(spec, field) ?? undefined,
  )
  machine.reconfigure({
    ...(name === undefined ? {} : { name }),
    ...(guestId === undefined ? {} : { guestId }),
    ...(annotation === undefined ? {} : { annotation }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(coresPerSocket === undefined ? {} : { coresPerSocket }),
    ...(memoryMB === undefined ? {} : { memoryMB }),
    ...(spec.fields['extraConfig'] === undefined ? {} : { extraConfig: extraConfigOf(spec) }),
  })
  for (const change of listAt(spec, 'deviceChange')) applyDevice(call, { entity, change })
}

/** The options of a spec as texts. */
export function extraConfigOf(spec: Data): Readonly<Record<string, string>> {
  return Object.fromEntries(
    listAt(spec, 'extraConfig').map((option) => [textAt(option, 'key'), String(option.fields['value'] ?? '')]),
  )
}

function applyDevice(call: Call, { entity, change }: { readonly entity: MachineEntity; readonly change: Data }): void {
  const device = dataAt(change, 'device')
  if (device.type !== 'VirtualDisk') throw new SimFault('NotSupported', `Changing a ${device.type} is not simulated`)
  const { machine } = entity
  switch (optionalTextAt(change, 'operation')) {
    case 'add':
      machine.addDisk({ ...diskWish(device), datastore: datastoreOf(call, { device, entity }) })
      return
    case 'remove':
      removeDevice(call, { entity, change, key: numberAt(device, 'key') })
      return
    case 'edit':
      if (!machine.growDisk(numberAt(device, 'key'), diskWish(device).capacityBytes))
        throw invalidArgument('spec.deviceChange[0].device.key')
      return
    default:
      throw new SimFault('NotSupported', 'Only adding, growing and removing disks is simulated')
  }
}

/** Without a file operation the files stay, also those of an attached disk of another machine. */
function removeDevice(
  { front }: Call,
  { entity, change, key }: { readonly entity: MachineEntity; readonly change: Data; readonly key: number },
): void {
  const { machine } = entity
  if (front.world.estate.attached.of(machine).some((disk) => disk.deviceKey === key)) {
    if (optionalTextAt(change, 'fileOperation') !== null)
      throw new SimFault('FileLocked', 'The disk belongs to another virtual machine')
    front.world.estate.attached.detach(machine, key)
  } else if (!machine.removeDisk(key)) throw invalidArgument('spec.deviceChange[0].device.key')
}

/** The size and kind of a new disk. */
export function diskWish(device: Data): { readonly capacityBytes: number; readonly thin: boolean } {
  const capacityBytes = optionalNumberAt(device, 'capacityInBytes') ?? numberAt(device, 'capacityInKB') * 1024
  const backing = optionalDataAt(device, 'backing')
  return { capacityBytes, thin: backing === null || (optionalFlagAt(backing, 'thinProvisioned') ?? false) }
}

function datastoreOf(
  call: Call,
  { device, entity }: { readonly device: Data; readonly entity: MachineEntity },
): string {
  const backing = optionalDataAt(device, 'backing')
  const fileName = backing === null ? '' : (optionalTextAt(backing, 'fileName') ?? '')
  const name = /^\[([^\]]+)\]/.exec(fileName)?.[1] ?? /^\[([^\]]+)\]/.exec(entity.machine.config.vmPathName)?.[1] ?? ''
  if (!call.front.world.estate.datastores.some((datastore) => datastore.name === name)) {
    throw new SimFault('InvalidDatastorePath', `Invalid datastore path '${fileName}'.`, { datastorePath: fileName })
  }
  return name
}

function poweredOn({ machine }: MachineEntity): SimFault {
  return new SimFault('InvalidPowerState', 'The attempted operation cannot be performed in the current state.', {
    requestedState: 'poweredOff',
    existingState: machine.powerState,
  })
}
