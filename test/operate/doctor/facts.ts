// A VM and a policy as the doctor's tests change them.

import { parseMoref, parseVmId } from '../../../lib/model/ids.ts'
import { defaultPolicy, type Policy } from '../../../lib/model/policy.ts'
import type { VmDisk, VmSnapshot, VmState } from '../../../lib/model/vm.ts'
import type { Learned } from '../../../lib/operate/doctor/check.ts'

export const MiB = 2 ** 20
export const GiB = 2 ** 30

export const vmId = parseVmId('50000000-0000-4000-8000-000000000001')

export function diskOf(change: Partial<VmDisk> = {}): VmDisk {
  return {
    key: 2000,
    label: 'Hard disk 1',
    capacityBytes: 10 * GiB,
    controllerKey: 1000,
    unitNumber: 0,
    mode: 'persistent',
    backing: 'flat',
    fileName: '[ds1] db-01/db-01.vmdk',
    parents: [],
    uuid: '6000C29',
    changeId: null,
    thin: true,
    encrypted: false,
    sharing: false,
    ...change,
  }
}

export function vmOf({
  guest,
  ...change
}: Partial<Omit<VmState, 'guest'>> & { guest?: Partial<VmState['guest']> } = {}): VmState {
  return {
    moref: parseMoref('vm-1'),
    vmId,
    name: 'db-01',
    powerState: 'poweredOn',
    connectionState: 'connected',
    template: false,
    hardwareVersion: 'vmx-19',
    changeTrackingEnabled: true,
    changeTrackingSupported: true,
    consolidationNeeded: false,
    faultTolerant: false,
    host: parseMoref('host-1'),
    datacenter: 'DC',
    guest: {
      family: 'linux',
      toolsRunning: true,
      toolsVersion: '12352',
      toolsVersionStatus: 'guestToolsCurrent',
      operationsReady: true,
      hostName: 'db-01',
      ipAddresses: ['192.0.2.7'],
      nics: [],
      ...guest,
    },
    diskUuidEnabled: true,
    ideDisks: [],
    disks: [diskOf()],
    snapshots: [],
    ...change,
  }
}

export function snapshotOf(name: string, children: readonly VmSnapshot[] = []): VmSnapshot {
  const createdAt = '2026-01-01T00:00:00.000Z'
  return {
    moref: parseMoref(`snapshot-${name.length}`),
    name,
    description: '',
    createdAt,
    quiesced: false,
    backupManifest: null,
    children,
  }
}

export function policyOf(change: Partial<Policy> = {}): Policy {
  return { ...defaultPolicy(), transport: ['datastore'], ...change }
}

export function known<Value>(value: Value): Learned<Value> {
  return { kind: 'known', value }
}

export function unknown(found: string): Learned<never> {
  return { kind: 'unknown', verdict: { state: 'failed', found } }
}
