// What the control port does to a machine, and how it tells of one: plain data in, plain data out.

import type { Machine } from '../machine/machine.ts'
import type { Snapshot } from '../machine/snapshot.ts'
import { SimFault } from '../machine/types.ts'
import type { Estate, PlacedMachine } from './estate.ts'
import { GUEST_ACTION_KEYS, GUEST_ACTIONS, readGuestWish, reportGuest } from './guest-actions.ts'
import { JsonObject, type JsonSpot } from './json.ts'
import { LIE_ACTION_KEYS, LIE_ACTIONS, readLieWish } from './lie-actions.ts'

export const MACHINE_ACTIONS = [
  ...(['power', 'add-disk', 'remove-disk', 'grow-disk', 'quiesce-faults'] as const),
  ...(['snapshot', 'remove-snapshot', 'remove-all-snapshots', 'revert', 'consolidate'] as const),
  ...LIE_ACTIONS,
  ...GUEST_ACTIONS,
] as const

export type MachineAction = (typeof MACHINE_ACTIONS)[number]

const KEYS: Readonly<Record<MachineAction, readonly string[]>> = {
  power: ['on'],
  'add-disk': ['capacityBytes', 'datastore', 'thin'],
  'remove-disk': ['deviceKey'],
  'grow-disk': ['deviceKey', 'capacityBytes'],
  'quiesce-faults': ['faults'],
  snapshot: ['name'],
  'remove-snapshot': ['name', 'removeChildren', 'consolidate'],
  'remove-all-snapshots': [],
  revert: ['name'],
  consolidate: [],
  ...LIE_ACTION_KEYS,
  ...GUEST_ACTION_KEYS,
}

/**
 * Does one of MACHINE_ACTIONS:
 * power {on}, add-disk {capacityBytes, datastore?, thin?}, remove-disk {deviceKey}, grow-disk {deviceKey, capacityBytes}, quiesce-faults
 * {faults: [name, …]} (one for each of the next quiesced snapshots), snapshot {name}, remove-snapshot {name, removeChildren?,
 * consolidate?}, remove-all-snapshots {}, revert {name?} (or to the current one), consolidate {}, what happens behind a backup's back (see readLieWish), and
 * those of the guest (see readGuestWish).
 * @returns the machine afterwards, as describeMachine() has it
 */
export function changeMachine(
  machine: Machine,
  options: { readonly action: MachineAction; readonly root: JsonSpot; readonly estate: Estate },
): MachineReport {
  const wish = readAction(options.root, options.action)
  if (options.root.faults.length === 0) wish(machine, options.estate)
  return reportOf(machine)
}

export type Wish = (machine: Machine, estate: Estate) => void

/** What an action with this body does; faults of the body go to the spot's list. */
export function readAction(root: JsonSpot, action: MachineAction): Wish {
  return readWish(new JsonObject(root, { keys: KEYS[action] }), action)
}

function readWish(object: JsonObject, action: MachineAction): Wish {
  switch (action) {
    case 'power': {
      const on = object.flag('on', { fallback: true })
      return (machine) => (on ? machine.powerOn() : machine.powerOff())
    }
    case 'add-disk': {
      const sectors = object.wholeNumber('capacityBytes', { low: 256 * 1024, high: 2 ** 46 })
      const thin = object.flag('thin', { fallback: true })
      const datastore = object.textOrNull('datastore')
      return (machine) => {
        const own = machine.disks[0]?.datastore ?? 'ds1'
        machine.addDisk({ capacityBytes: sectors - (sectors % 512), thin, datastore: datastore ?? own })
      }
    }
    case 'remove-disk': {
      const deviceKey = object.wholeNumber('deviceKey', { low: 0, high: 2 ** 31 })
      return (machine) => {
        if (!machine.removeDisk(deviceKey)) throw new SimFault('NotFound', `There is no disk ${deviceKey}`)
      }
    }
    case 'grow-disk': {
      const deviceKey = object.wholeNumber('deviceKey', { low: 0, high: 2 ** 31 })
      const bytes = object.wholeNumber('capacityBytes', { low: 256 * 1024, high: 2 ** 46 })
      return (machine) => {
        if (!machine.growDisk(deviceKey, bytes)) throw new SimFault('NotFound', `There is no disk ${deviceKey}`)
      }
    }
    case 'quiesce-faults': {
      const faults = object.list('faults', { item: readQuiesceFault })
      return (machine) => machine.quiescing.failNext(faults)
    }
    case 'remove-all-snapshots':
      return (machine) => machine.removeAllSnapshots()
    case 'consolidate':
      return (machine) => machine.consolidate()
    case 'snapshot':
    case 'remove-snapshot':
    case 'revert':
      return readSnapshotWish(object, action)
    case 'change-tracking':
    case 'fill-datastore':
    case 'hold-consolidation':
    case 'list-late':
    case 'power-loss':
    case 'others-read':
    case 'raise-alarm':
    case 'read-latency':
    case 'relocate':
    case 'task':
    case 'end-tasks':
    case 'write':
      return readLieWish(object, action)
    default:
      return readGuestWish(object, action)
  }
}

function readSnapshotWish(
  object: JsonObject,
  action: 'snapshot' | 'remove-snapshot' | 'revert',
): (machine: Machine) => void {
  const name = action === 'revert' && !object.has('name') ? null : object.text('name', {})
  const removeChildren = object.flag('removeChildren', { fallback: false })
  const consolidate = object.flag('consolidate', { fallback: true })
  switch (action) {
    case 'snapshot':
      return (machine) => machine.createSnapshot({ name: name ?? '', description: '', quiesce: { kind: 'none' } })
    case 'revert':
      return (machine) => machine.revertTo(snapshotNamed(machine, name))
    case 'remove-snapshot':
      return (machine) => machine.removeSnapshot(snapshotNamed(machine, name), { removeChildren, consolidate })
  }
}

function readQuiesceFault(spot: JsonSpot): 'ApplicationQuiesceFault' | 'FilesystemQuiesceFault' {
  if (spot.value === 'FilesystemQuiesceFault') return spot.value
  if (spot.value !== 'ApplicationQuiesceFault') {
    spot.faults.push(`${spot.at}: must be ApplicationQuiesceFault or FilesystemQuiesceFault`)
  }
  return 'ApplicationQuiesceFault'
}

function snapshotNamed(machine: Machine, name: string | null): Snapshot {
  const current = machine.currentSnapshot ?? undefined
  const found = name === null ? current : machine.snapshots.find((snapshot) => snapshot.name === name)
  if (found === undefined) throw new SimFault('NotFound', `There is no snapshot "${name ?? 'at all'}"`)
  return found
}

export type MachineReport = ReturnType<typeof reportOf>

/** A machine and its place as the control port shows them. */
export function describeMachine({
  machine,
  place,
}: PlacedMachine): MachineReport & { readonly place: PlacedMachine['place'] } {
  return { ...reportOf(machine), place }
}

function reportOf(machine: Machine) {
  const { config } = machine
  return {
    name: config.name,
    instanceUuid: config.instanceUuid,
    powerState: machine.powerState,
    toolsRunning: machine.toolsRunning,
    guest: reportGuest(machine),
    firmware: config.firmware,
    changeTrackingEnabled: machine.changeTrackingEnabled,
    consolidationNeeded: machine.consolidationNeeded,
    disks: machine.disks.map((disk) => ({
      deviceKey: disk.deviceKey,
      label: disk.label,
      capacityBytes: disk.capacityBytes,
      mode: disk.mode,
      rdm: disk.rdm,
      changeId: disk.changeId,
      chain: disk.chain().map((layer) => layer.extentPath),
    })),
    snapshots: machine.snapshots.map((snapshot) => ({
      id: snapshot.id,
      name: snapshot.name,
      quiesced: snapshot.quiesced,
      backupManifest: snapshot.backupManifest,
      parentId: snapshot.parent?.id ?? null,
      current: snapshot === machine.currentSnapshot,
    })),
  }
}
