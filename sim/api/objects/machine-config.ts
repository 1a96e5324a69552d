// VirtualMachineConfigInfo: the live one of a machine, and the one a snapshot keeps.

import type { SimConfig, SimSnapshot } from '../../machine/types.ts'
import { type Data, data, type Ref } from '../../soap/value.ts'
import type { Front } from '../front.ts'
import { type MachineEntity, shownName } from '../world.ts'
import { allocation } from './compute.ts'
import { devicesOf, type ShownDisk } from './devices.ts'
import { datastoreNames, urlOf } from './storage.ts'

export function liveConfig(front: Front, entity: MachineEntity): Data {
  const { machine } = entity
  const own = machine.disks.map((disk) => ({ ...shown(disk), layers: disk.chain(), changeId: disk.changeId }))
  const disks = [...own, ...front.world.estate.attached.of(machine)]
  return configOf({ front, entity, config: machine.config, disks, changeTracking: machine.changeTrackingEnabled })
}

export function snapshotConfig(front: Front, owner: MachineEntity, snapshot: SimSnapshot): Data {
  const kept = snapshot.disks.map((disk) => ({ ...shown(disk), layers: disk.chain, changeId: disk.changeId }))
  const leftOut = snapshot.leftOut.map((disk) => ({ ...shown(disk), layers: disk.chain(), changeId: null }))
  const disks = [...kept, ...leftOut].toSorted((a, b) => a.deviceKey - b.deviceKey)
  const changeTracking = owner.machine.changeTrackingEnabled
  return configOf({ front, entity: owner, config: snapshot.config, disks, changeTracking })
}

export function datastoreRefs(front: Front, entity: MachineEntity): readonly Ref[] {
  return [...datastoreNames(entity.machine)].map((name) => datastoreRef(front, name)).filter((found) => found !== null)
}

export function networkRefs(front: Front, entity: MachineEntity): readonly Ref[] {
  const names = new Set(entity.machine.config.nics.map((nic) => nic.network))
  return [...names].map((name) => networkRef(front, entity, name)).filter((found) => found !== null)
}

type ConfigSources = {
  readonly front: Front
  readonly entity: MachineEntity
  readonly config: SimConfig
  readonly disks: readonly ShownDisk[]
  readonly changeTracking: boolean
}

function configOf({ front, entity, config, disks, changeTracking }: ConfigSources): Data {
  return data('VirtualMachineConfigInfo', {
    changeVersion: new Date(entity.createdMs).toISOString(),
    modified: new Date(0),
    name: shownName(config.name),
    guestFullName: config.guestFullName,
    version: config.version,
    uuid: config.biosUuid,
    createDate: new Date(entity.createdMs),
    instanceUuid: config.instanceUuid,
    npivTemporaryDisabled: true,
    template: config.template,
    guestId: config.guestId,
    alternateGuestName: '',
    annotation: config.annotation,
    files: files(config),
    tools: tools(),
    flags: flags(),
    defaultPowerOps: powerOperations(),
    hardware: data('VirtualHardware', {
      numCPU: config.cpus,
      numCoresPerSocket: config.coresPerSocket,
      memoryMB: config.memoryMB,
      virtualICH7MPresent: false,
      virtualSMCPresent: false,
      device: devicesOf({
        controllers: config.controllers,
        nics: config.nics,
        disks,
        datastoreRef: (name) => datastoreRef(front, name),
        networkRef: (name) => networkRef(front, entity, name),
      }),
    }),
    cpuAllocation: allocation(1000 * config.cpus),
    memoryAllocation: allocation(10 * config.memoryMB),
    latencySensitivity: data('LatencySensitivity', { level: 'normal' }),
    memoryHotAddEnabled: false,
    cpuHotAddEnabled: false,
    cpuHotRemoveEnabled: false,
    extraConfig: Object.entries(config.extraConfig).map(([key, value]) => data('OptionValue', { key, value })),
    datastoreUrl: datastoreUrls(front, entity),
    swapPlacement: 'inherit',
    bootOptions: data('VirtualMachineBootOptions', {
      bootDelay: 0,
      enterBIOSSetup: false,
      efiSecureBootEnabled: config.secureBoot,
      bootRetryEnabled: false,
      bootRetryDelay: 10_000,
      networkBootProtocol: 'ipv4',
    }),
    vAssertsEnabled: false,
    changeTrackingEnabled: changeTracking,
    firmware: config.firmware,
    maxMksConnections: 40,
    guestAutoLockEnabled: true,
    memoryReservationLockedToMax: false,
    initialOverhead: data('VirtualMachineConfigInfoOverheadInfo', {
      initialMemoryReservation: 50_000_000,
      initialSwapReservation: 50_000_000,
    }),
    nestedHVEnabled: false,
    vPMCEnabled: false,
    messageBusTunnelEnabled: false,
    migrateEncryption: 'opportunistic',
  })
}

function files(config: SimConfig): Data {
  const home = config.vmPathName.slice(0, config.vmPathName.lastIndexOf('/') + 1)
  return data('VirtualMachineFileInfo', {
    vmPathName: config.vmPathName,
    snapshotDirectory: home,
    suspendDirectory: home,
    logDirectory: home,
  })
}

function tools(): Data {
  return data('ToolsConfigInfo', {
    toolsVersion: 12_389,
    toolsInstallType: 'guestToolsTypeOpenVMTools',
    afterPowerOn: true,
    afterResume: true,
    beforeGuestStandby: true,
    beforeGuestShutdown: true,
    toolsUpgradePolicy: 'manual',
    syncTimeWithHost: false,
  })
}

function flags(): Data {
  return data('VirtualMachineFlagInfo', {
    disableAcceleration: false,
    enableLogging: true,
    useToe: false,
    runWithDebugInfo: false,
    monitorType: 'release',
    htSharing: 'any',
    snapshotDisabled: false,
    snapshotLocked: false,
    diskUuidEnabled: true,
    virtualMmuUsage: 'automatic',
    virtualExecUsage: 'hvAuto',
    snapshotPowerOffBehavior: 'powerOff',
    recordReplayEnabled: false,
    faultToleranceType: 'unset',
    cbrcCacheEnabled: false,
  })
}

function powerOperations(): Data {
  return data('VirtualMachineDefaultPowerOpInfo', {
    powerOffType: 'soft',
    suspendType: 'hard',
    resetType: 'soft',
    defaultPowerOffType: 'soft',
    defaultSuspendType: 'hard',
    defaultResetType: 'soft',
    standbyAction: 'checkpoint',
  })
}

function datastoreUrls(front: Front, entity: MachineEntity): readonly Data[] {
  const names = datastoreNames(entity.machine)
  const found = front.world.entities().filter((each) => each.kind === 'datastore' && names.has(each.name))
  return found.flatMap((each) =>
    each.kind === 'datastore'
      ? [data('VirtualMachineConfigInfoDatastoreUrlPair', { name: each.name, url: urlOf(each) })]
      : [],
  )
}

function datastoreRef(front: Front, name: string): Ref | null {
  return front.world.entities().find((each) => each.kind === 'datastore' && each.name === name)?.ref ?? null
}

function networkRef(front: Front, entity: MachineEntity, name: string): Ref | null {
  const near = front.world
    .entities()
    .filter((each) => each.kind === 'network' && front.world.datacenterOf(each)?.name === entity.place.datacenter)
  return near.find((each) => each.name === name)?.ref ?? null
}

/** Reads the fields one by one, since they may be getters that a spread would leave behind. */
function shown(disk: Omit<ShownDisk, 'layers' | 'changeId'>): Omit<ShownDisk, 'layers' | 'changeId'> {
  const { deviceKey, label, controllerKey, unitNumber, capacityBytes, mode, rdm, thin, datastore } = disk
  return { deviceKey, label, controllerKey, unitNumber, capacityBytes, mode, rdm, thin, datastore }
}
