// A virtual machine's properties, but for its config.

import { type Data, data, ref, type Value } from '../../soap/value.ts'
import type { Front } from '../front.ts'
import { type MachineEntity, shownName } from '../world.ts'
import { allocation, hostOf, poolOf } from './compute.ts'
import { guestState, primaryAddress, toolsState } from './guest.ts'
import { datastoreRefs, liveConfig, networkRefs } from './machine-config.ts'
import { fileLayout, fileLayoutEx, storageUse } from './machine-files.ts'
import { listed, snapshotTree } from './snapshots.ts'

export function machineProperties(front: Front, entity: MachineEntity): Readonly<Record<string, () => Value | null>> {
  return {
    capability: () => capability(),
    config: () => liveConfig(front, entity),
    layout: () => fileLayout(front, entity),
    layoutEx: () => fileLayoutEx(front, entity),
    storage: () => storageUse(front, entity),
    environmentBrowser: () => ref('EnvironmentBrowser', `envbrowser-${entity.ref.id.replace('vm-', '')}`),
    resourcePool: () => (entity.machine.config.template ? null : (poolOf(front, entity)?.ref ?? null)),
    resourceConfig: () =>
      data('ResourceConfigSpec', {
        entity: entity.ref,
        cpuAllocation: allocation(1000 * entity.machine.config.cpus),
        memoryAllocation: allocation(10 * entity.machine.config.memoryMB),
      }),
    runtime: () => runtime(front, entity),
    guest: () => guestState(entity),
    summary: () => summary(front, entity),
    datastore: () => datastoreRefs(front, entity),
    network: () => networkRefs(front, entity),
    snapshot: () => snapshotTree(front, entity),
    rootSnapshot: () => listed(front, entity.machine.rootSnapshots).map((root) => front.world.snapshotRef(root)),
    guestHeartbeatStatus: () => (entity.machine.toolsRunning ? 'green' : 'gray'),
  }
}

const CAPABILITIES = [
  'snapshotOperationsSupported',
  'multipleSnapshotsSupported',
  'snapshotConfigSupported',
  'poweredOffSnapshotsSupported',
  'memorySnapshotsSupported',
  'revertToSnapshotSupported',
  'quiescedSnapshotsSupported',
  'cpuFeatureMaskSupported',
  's1AcpiManagementSupported',
  'toolsAutoUpdateSupported',
  'swapPlacementSupported',
  'toolsSyncTimeSupported',
  'virtualMmuUsageSupported',
  'diskSharesSupported',
  'bootOptionsSupported',
  'bootRetryOptionsSupported',
  'changeTrackingSupported',
  'multipleCoresPerSocketSupported',
  'hostBasedReplicationSupported',
  'memoryReservationLockSupported',
  'featureRequirementSupported',
  'seSparseDiskSupported',
  'nestedHVSupported',
  'vPMCSupported',
  'secureBootSupported',
]

const INCAPABILITIES = [
  'disableSnapshotsSupported',
  'lockSnapshotsSupported',
  'consolePreferencesSupported',
  'settingScreenResolutionSupported',
  'vmNpivWwnSupported',
  'npivWwnOnNonRdmVmSupported',
  'vmNpivWwnDisableSupported',
  'vmNpivWwnUpdateSupported',
  'settingVideoRamSizeSupported',
  'settingDisplayTopologySupported',
  'settingDisplayTopologyModesSupported',
  'recordReplaySupported',
  'guestAutoLockSupported',
  'poweredOnMonitorTypeChangeSupported',
  'vmfsNativeSnapshotSupported',
  'messageBusSupported',
]

function capability(): Data {
  return data('VirtualMachineCapability', {
    ...Object.fromEntries(CAPABILITIES.map((name) => [name, true])),
    ...Object.fromEntries(INCAPABILITIES.map((name) => [name, false])),
  })
}

function runtime(front: Front, entity: MachineEntity): Data {
  const { machine } = entity
  return data('VirtualMachineRuntimeInfo', {
    host: hostOf(front, entity)?.ref ?? null,
    connectionState: 'connected',
    powerState: machine.powerState,
    faultToleranceState: 'notConfigured',
    toolsInstallerMounted: false,
    bootTime: machine.bootedMs === null ? null : new Date(machine.bootedMs),
    suspendInterval: 0,
    memoryOverhead: 50_000_000,
    maxCpuUsage: 2_600 * machine.config.cpus,
    maxMemoryUsage: machine.config.memoryMB,
    numMksConnections: 0,
    recordReplayState: 'inactive',
    cleanPowerOff: machine.powerState === 'poweredOff' ? true : null,
    onlineStandby: false,
    consolidationNeeded: machine.consolidationNeeded,
    paused: false,
    snapshotInBackground: false,
    quiescedForkParent: false,
    instantCloneFrozen: false,
  })
}

function summary(front: Front, entity: MachineEntity): Data {
  const { machine } = entity
  const { config } = machine
  const committed = machine.disks.reduce((sum, disk) => sum + disk.capacityBytes, 0)
  const running = machine.toolsRunning
  return data('VirtualMachineSummary', {
    vm: entity.ref,
    runtime: runtime(front, entity),
    guest: data('VirtualMachineGuestSummary', {
      guestId: running ? config.guestId : null,
      guestFullName: running ? config.guestFullName : null,
      ...toolsState(machine),
      hostName: running ? machine.hostName : null,
      ipAddress: primaryAddress(machine),
    }),
    config: data('VirtualMachineConfigSummary', {
      name: shownName(config.name),
      template: config.template,
      vmPathName: config.vmPathName,
      memorySizeMB: config.memoryMB,
      cpuReservation: 0,
      memoryReservation: 0,
      numCpu: config.cpus,
      numEthernetCards: config.nics.length,
      numVirtualDisks: machine.disks.length,
      uuid: config.biosUuid,
      instanceUuid: config.instanceUuid,
      guestId: config.guestId,
      guestFullName: config.guestFullName,
      annotation: config.annotation,
      installBootRequired: false,
      tpmPresent: false,
    }),
    storage: data('VirtualMachineStorageSummary', {
      committed,
      uncommitted: 0,
      unshared: committed,
      timestamp: new Date(front.clock.nowMs()),
    }),
    quickStats: data('VirtualMachineQuickStats', {
      overallCpuUsage: machine.powerState === 'poweredOn' ? 50 : 0,
      guestMemoryUsage: machine.powerState === 'poweredOn' ? Math.floor(config.memoryMB / 4) : 0,
      guestHeartbeatStatus: running ? 'green' : 'gray',
      uptimeSeconds:
        machine.bootedMs === null ? 0 : Math.max(0, Math.floor((front.clock.nowMs() - machine.bootedMs) / 1000)),
    }),
    overallStatus: 'green',
  })
}
