// A vCenter of this process: the Vsphere port with VMs, snapshots of their bytes and changed blocks; faults on request.

import type { Clock } from '../../base/clock.ts'
import { BackupError } from '../../base/errors.ts'
import type { AlarmEvent } from '../../model/alarm-event.ts'
import { type Moref, parseMoref } from '../../model/ids.ts'
import type { VmConfig, VmState, VmSummary } from '../../model/vm.ts'
import type { Vsphere, VsphereSession } from '../../ports/vsphere.ts'
import { type Center, findSnapshot, missing } from './center.ts'
import { changedSince } from './changed-areas.ts'
import { hotDiskCalls } from './hot-disks.ts'
import { describe, type FrozenDisk, fileBytes, type MemoryVm, newVm, setTracking, writeDisk } from './machine.ts'
import { listedOf, snapshotCalls, treeOf } from './snapshot-calls.ts'

export type MemoryVcenter = {
  readonly vsphere: Vsphere
  readonly vms: MemoryVm[]
  /** Privileges that the account lacks, everywhere. */
  readonly deniedPrivileges: string[]
  /** As the one host of all VMs is. */
  readonly host: { connectionState: string; maintenance: boolean }
  /** As the one datastore of all VMs is; readMs null: the server does not say. */
  readonly datastore: { accessible: boolean; maintenanceMode: string; readMs: number | null }
  addVm(options: { readonly name: string; readonly diskBytes: readonly number[] }): MemoryVm
  /** The guest writes. */
  write(vm: MemoryVm, range: { readonly key: number; readonly offsetBytes: number; readonly bytes: Uint8Array }): void
  /** What a snapshot's disk held when it was taken, also after its removal; null when there never was one. */
  frozenBytes(snapshot: Moref, key: number): Uint8Array | null
  /** What a file of a VM holds now; null when there is none. Reading by file name succeeds also on garbage. */
  fileBytes(vm: Moref, fileName: string): Uint8Array | null
  /** An alarm of a VM changes now; @returns the event's key. */
  raiseAlarm(vm: MemoryVm, alarm: { readonly name: string; readonly from?: string; readonly to?: string }): number
  /** Names of the calls so far, for counting and for asserting an order. */
  readonly calls: string[]
}

export type MemoryVcenterOptions = {
  readonly clock: Clock
  /** Called before each call is carried out, with its name and number from 1; what it throws is the call's failure. */
  readonly before?: (call: string, number: number) => void
  /** Called after each call was carried out; what it throws hides the result. */
  readonly after?: (call: string, number: number) => void
}

export function memoryVcenter(options: MemoryVcenterOptions): MemoryVcenter {
  const vms: MemoryVm[] = []
  const calls: string[] = []
  const frozen = new Map<Moref, readonly FrozenDisk[]>()
  const call: Center['call'] = async (name, { signal }, act) => {
    signal.throwIfAborted()
    calls.push(name)
    const number = calls.length
    options.before?.(name, number)
    const result = await act()
    options.after?.(name, number)
    return result
  }
  const host = { connectionState: 'connected', maintenance: false }
  const datastore: MemoryVcenter['datastore'] = { accessible: true, maintenanceMode: 'normal', readMs: null }
  const denied: string[] = []
  const alarms: AlarmEvent[] = []
  const center: Center = { vms, clock: options.clock, frozen, denied, host, datastore, alarms, call }
  return {
    vms,
    calls,
    deniedPrivileges: denied,
    host,
    datastore,
    vsphere: { open: (cancel) => call('open', cancel, () => sessionOf(center)) },
    addVm: ({ name, diskBytes }) => {
      const vm = newVm({ name, diskBytes, number: vms.length + 1 })
      vms.push(vm)
      return vm
    },
    write: writeDisk,
    raiseAlarm: (vm, { name, from = 'green', to = 'red' }) =>
      alarms.push({
        key: 1000 + alarms.length,
        createdAt: new Date(options.clock.nowMs()).toISOString(),
        alarmName: name,
        from,
        to,
        entity: { moref: vm.moref, name: vm.name, kind: 'VirtualMachine' },
        message: `Alarm '${name}' on ${vm.name} changed from ${from} to ${to}`,
      }) + 999,
    frozenBytes: (moref, key) => frozen.get(moref)?.find((disk) => disk.key === key)?.bytes ?? null,
    fileBytes: (moref, fileName) => {
      const vm = vms.find((each) => each.moref === moref)
      return vm === undefined ? null : fileBytes(vm, fileName)
    },
  }
}

function sessionOf(center: Center): VsphereSession {
  const { vms, call } = center
  const find = (moref: Moref) => vms.find((vm) => vm.moref === moref) ?? missing('vm-not-found', moref)
  const ofSnapshot = (moref: Moref) => findSnapshot(vms, moref) ?? missing('snapshot-not-found', moref)
  return {
    about: { fullName: 'In-memory vCenter', apiVersion: '8.0', instanceUuid: '11111111-2222-3333-4444-555555555555' },
    [Symbol.asyncDispose]: async () => undefined,
    listVms: (cancel) => call('listVms', cancel, () => vms.map(summaryOf)),
    ...snapshotCalls(center, { find, ofSnapshot }),
    ...hotDiskCalls(center, find),
    readVm: (moref, cancel) => call('readVm', cancel, () => stateOf(find(moref), center.clock.nowMs())),
    setChangeTracking: ({ vm: moref, enabled }, cancel) =>
      call('setChangeTracking', cancel, () => setTracking(find(moref), enabled)),
    changedAreas: (query, cancel) =>
      call('changedAreas', cancel, () => {
        const { snapshot, vm } = ofSnapshot(query.snapshot)
        const frozen = snapshot.frozen.find((each) => each.key === query.deviceKey)
        if (vm.mishaps.queryFails)
          throw new BackupError('Cannot list changes: vCenter answers FileFault', {
            code: 'cbt-unavailable',
            retry: 'as-full',
            facts: { fault: 'FileFault' },
          })
        return frozen === undefined ? missing('snapshot-not-found', query.snapshot) : changedSince(frozen, query)
      }),
    captureConfig: (request, cancel) => call('captureConfig', cancel, () => configOf(find(request.vm))),
    createVm: () =>
      Promise.reject(new BackupError('Cannot create a VM in an in-memory vCenter', { code: 'unsupported' })),
    openGuest: (request, cancel) =>
      call('openGuest', cancel, () => {
        const { openGuest, name } = find(request.vm)
        if (openGuest !== null) return openGuest(request, cancel)
        throw new BackupError(`Cannot reach the guest of VM "${name}" through VMware Tools`, {
          code: 'guest-unreachable',
          retry: 'later',
        })
      }),
    readVssManifest: ({ vm: moref, manifest }, cancel) =>
      call('readVssManifest', cancel, () => {
        const { vssManifest } = find(moref)
        if (vssManifest !== null) return vssManifest
        throw new BackupError(`Cannot read "${manifest}": there is no such file`, { code: 'file-not-found' })
      }),
    ...siteOf(center, find),
  }
}

const HOST = parseMoref('host-1')
const DATASTORE = parseMoref('datastore-1')

/** One host and one datastore carry everything. */
function siteOf(
  { call, clock, host, datastore, denied, alarms }: Center,
  find: (moref: Moref) => MemoryVm,
): Pick<
  VsphereSession,
  'currentTime' | 'readHost' | 'readDatastores' | 'readLatency' | 'readAlarmEvents' | 'missingPrivileges'
> {
  return {
    currentTime: (cancel) => call('currentTime', cancel, () => new Date(clock.nowMs()).toISOString()),
    readHost: (moref, cancel) =>
      call('readHost', cancel, () =>
        moref === HOST ? { moref, name: 'esx-1', version: '8.0.3', ...host } : missing('host-not-found', moref),
      ),
    readDatastores: (moref, cancel) =>
      call('readDatastores', cancel, () => {
        const { name, capacityBytes, freeBytes } = find(moref).datastore
        const { accessible, maintenanceMode } = datastore
        const state = { capacityBytes, freeBytes, accessible, maintenanceMode }
        return [{ moref: DATASTORE, name, type: 'VMFS', volume: name, ...state }]
      }),
    readLatency: ({ datastores }, cancel) =>
      call('readLatency', cancel, () => datastores.map(({ name }) => ({ datastore: name, readMs: datastore.readMs }))),
    readAlarmEvents: ({ since, known, limit }, cancel) =>
      call('readAlarmEvents', cancel, () =>
        alarms.filter(({ key, createdAt }) => createdAt >= since && !known.has(key)).slice(0, limit),
      ),
    missingPrivileges: ({ entity, ids }, cancel) =>
      call('missingPrivileges', cancel, () => {
        if (entity.kind === 'vm') find(entity.moref)
        return ids.filter((id) => denied.includes(id))
      }),
  }
}

function summaryOf(vm: MemoryVm): VmSummary {
  return {
    moref: vm.moref,
    vmId: vm.vmId,
    name: vm.name,
    folder: '/DC/Servers',
    datacenter: 'DC',
    cluster: 'C1',
    host: 'esx-1',
    resourcePool: 'Resources',
    datastores: ['ds1'],
    tags: [],
    template: vm.template,
    powerState: vm.powerState,
  }
}

function stateOf(vm: MemoryVm, nowMs: number): VmState {
  return {
    moref: vm.moref,
    vmId: vm.vmId,
    name: vm.name,
    powerState: vm.powerState,
    connectionState: vm.connectionState,
    template: vm.template,
    hardwareVersion: 'vmx-19',
    changeTrackingEnabled: vm.tracking,
    changeTrackingSupported: vm.trackingSupported,
    consolidationNeeded: vm.consolidationNeeded,
    faultTolerant: vm.faultTolerant,
    host: HOST,
    datacenter: 'DC',
    guest: {
      family: vm.family,
      toolsRunning: vm.toolsRunning,
      toolsVersion: '12352',
      toolsVersionStatus: 'guestToolsCurrent',
      operationsReady: vm.toolsRunning && vm.openGuest !== null,
      hostName: vm.name,
      ipAddresses: vm.toolsRunning ? vm.ipAddresses : [],
      nics: [],
    },
    diskUuidEnabled: true,
    ideDisks: [],
    disks: vm.disks.map(describe),
    snapshots: treeOf(listedOf(vm, nowMs), null),
  }
}

function configOf(vm: MemoryVm): VmConfig {
  return {
    name: vm.name,
    vmId: vm.vmId,
    biosUuid: vm.vmId,
    annotation: '',
    hardwareVersion: 'vmx-19',
    guestId: 'debian11_64Guest',
    guestFullName: 'Debian GNU/Linux 11 (64-bit)',
    firmware: 'efi',
    secureBoot: false,
    cpus: 2,
    coresPerSocket: 1,
    memoryMB: 1024,
    folder: '/DC/Servers',
    resourcePool: 'Resources',
    extraConfig: {},
    controllers: [{ key: 1000, type: 'ParaVirtualSCSIController', busNumber: 0, sharedBus: null }],
    nics: [],
    disks: vm.disks.map(describe),
    otherDevices: [],
    vmx: null,
    nvramBase64: null,
    missing: [],
  }
}
