import { describe, expect, it } from 'vitest'
import { parseMoref, parseVmId } from '../../lib/model/ids.ts'
import { defaultPolicy, type Policy } from '../../lib/model/policy.ts'
import { preflight } from '../../lib/model/preflight.ts'
import type { VmDisk, VmSnapshot, VmState } from '../../lib/model/vm.ts'
import { sampleDisk } from '../kit/record-samples.ts'

function vm(change: Partial<VmState> = {}): VmState {
  return {
    moref: parseMoref('vm-1'),
    vmId: parseVmId('502f1a2b-0000-4000-8000-000000000001'),
    name: 'db-1',
    powerState: 'poweredOn',
    connectionState: 'connected',
    template: false,
    hardwareVersion: 'vmx-19',
    changeTrackingEnabled: true,
    changeTrackingSupported: true,
    consolidationNeeded: false,
    faultTolerant: false,
    host: null,
    datacenter: 'DC',
    guest: { family: 'linux', toolsRunning: true, hostName: null, ipAddresses: [] },
    disks: [sampleDisk()],
    snapshots: [],
    ...change,
  }
}

const disk = (change: Partial<VmDisk>): VmDisk => ({ ...sampleDisk(), ...change })
const excluding = (...exclude: readonly string[]): Policy => ({ ...defaultPolicy(), disks: { exclude } })
const snapshot = (name: string, children: readonly VmSnapshot[] = []): VmSnapshot => ({
  moref: parseMoref(`snapshot-${name.length}`),
  name,
  description: '',
  createdAt: '2026-01-01T00:00:00Z',
  quiesced: false,
  children,
})
const codes = (notices: readonly { readonly code: string }[]): readonly string[] => notices.map(({ code }) => code)

describe('preflight()', () => {
  it('finds nothing wrong with a plain VM', () => {
    expect(preflight(vm(), defaultPolicy())).toEqual({
      faults: [],
      notices: [],
      excludedDisks: [],
      foreignSnapshots: [],
    })
  })

  it('refuses a disk that no snapshot holds, and says how to leave it out', () => {
    const second = { key: 2001, label: 'Hard disk 2', fileName: '[ds1] db-1/db-1_1.vmdk' }
    for (const bad of [
      { mode: 'independent_persistent' },
      { mode: 'nonpersistent' },
      { backing: 'rdm-physical' },
      { sharing: true },
    ] as const) {
      const result = preflight(vm({ disks: [sampleDisk(), disk({ ...second, ...bad })] }), defaultPolicy())
      expect(codes(result.faults)).toEqual(['disk-unsupported'])
      expect(result.faults[0]?.hint).toContain('disks.exclude')
    }
  })

  it('accepts such a disk when the policy excludes it by name, with a notice that the point lacks it', () => {
    const second = disk({
      key: 2001,
      label: 'Hard disk 2',
      fileName: '[ds1] db-1/db-1_1.vmdk',
      mode: 'independent_persistent',
    })
    for (const pattern of ['Hard disk 2', '[ds1] db-1/db-1_1.vmdk', 'db-1_?.vmdk', 'db-1_1']) {
      const result = preflight(vm({ disks: [sampleDisk(), second] }), excluding(pattern))
      expect(result.faults).toEqual([])
      expect(codes(result.notices)).toEqual(['disk-excluded'])
      expect(result.excludedDisks.map(({ key }) => key)).toEqual([2001])
    }
  })

  it('notices nothing about an ordinary disk that the policy excludes, and refuses to be left with none', () => {
    const second = disk({ key: 2001, label: 'scratch' })
    const result = preflight(vm({ disks: [sampleDisk(), second] }), excluding('scratch*'))
    expect(result.faults).toEqual([])
    expect(result.notices).toEqual([])
    expect(result.excludedDisks).toMatchObject([{ key: 2001, reason: 'excluded by the policy' }])

    expect(codes(preflight(vm(), excluding('*')).faults)).toEqual(['no-disks'])
  })

  it('refuses snapshots of others, at any depth, unless a transport reads delta chains', () => {
    const snapshots = [snapshot('monthly', [snapshot('before upgrade')])]
    const result = preflight(vm({ snapshots }), defaultPolicy())
    expect(result.foreignSnapshots.map(({ name }) => name)).toEqual(['monthly', 'before upgrade'])
    expect(codes(result.faults)).toEqual(['foreign-snapshot'])
    const mixed: Policy = { ...defaultPolicy(), transport: ['nbdssl', 'datastore'] }
    expect(preflight(vm({ snapshots }), mixed).faults).toEqual([])
  })

  it('reports everything that is wrong at once', () => {
    const result = preflight(
      vm({ template: true, faultTolerant: true, connectionState: 'orphaned', disks: [disk({ mode: 'append' })] }),
      defaultPolicy(),
    )
    expect(codes(result.faults)).toEqual(['vm-template', 'vm-fault-tolerant', 'vm-not-connected', 'disk-unsupported'])
  })
})
