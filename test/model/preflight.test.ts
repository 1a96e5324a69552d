// What of a VM can be backed up: each fault has a code, a sentence that names the thing, and a hint.

import { describe, expect, it } from 'vitest'
import { parseMoref, parseVmId } from '../../lib/model/ids.ts'
import { defaultPolicy, type Policy } from '../../lib/model/policy.ts'
import { isExcluded, preflight } from '../../lib/model/preflight.ts'
import type { VmDisk, VmSnapshot, VmState } from '../../lib/model/vm.ts'

function disk(change: Partial<VmDisk> = {}): VmDisk {
  return {
    key: 2000,
    label: 'Hard disk 1',
    capacityBytes: 1_048_576,
    controllerKey: 1000,
    unitNumber: 0,
    mode: 'persistent',
    backing: 'flat',
    fileName: '[ds1] db-1/db-1.vmdk',
    parents: [],
    uuid: '6000C29',
    changeId: null,
    thin: true,
    encrypted: false,
    sharing: false,
    ...change,
  }
}

const second = disk({ key: 2001, label: 'Hard disk 2', fileName: '[ds1] db-1/db-1_1.vmdk' })

function vm(change: Partial<VmState> = {}): VmState {
  return {
    moref: parseMoref('vm-1'),
    vmId: parseVmId('50000000-0000-4000-8000-000000000001'),
    name: 'db-1',
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
      toolsVersion: null,
      toolsVersionStatus: null,
      operationsReady: null,
      nics: [],
      hostName: 'db-1',
      ipAddresses: [],
    },
    diskUuidEnabled: null,
    ideDisks: [],
    disks: [disk(), second],
    snapshots: [],
    ...change,
  }
}

function snapshot(name: string, children: readonly VmSnapshot[] = []): VmSnapshot {
  const createdAt = '2026-01-02T03:04:05.678Z'
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

/** Of the transport that refuses most. */
const policy = (change: Partial<Policy> = {}): Policy => ({ ...defaultPolicy(), transport: ['datastore'], ...change })
const excluding = (...exclude: readonly string[]) => policy({ disks: { exclude } })
const codes = (state: VmState, by: Policy = policy()) => preflight(state, by).faults.map((fault) => fault.code)

describe('preflight()', () => {
  it('finds nothing wrong with a plain VM', () => {
    expect(preflight(vm(), policy())).toEqual({ faults: [], notices: [], excludedDisks: [], foreignSnapshots: [] })
  })

  it('reports every fault, each with a name and a next step', () => {
    const bad = vm({
      template: true,
      faultTolerant: true,
      connectionState: 'orphaned',
      disks: [disk({ mode: 'independent_persistent' }), { ...second, sharing: true }],
      snapshots: [snapshot('before the update')],
    })
    const { faults } = preflight(bad, policy())
    expect(faults.map((fault) => fault.code)).toEqual([
      'vm-template',
      'vm-fault-tolerant',
      'vm-not-connected',
      'disk-unsupported',
      'disk-unsupported',
      'foreign-snapshot',
    ])
    for (const fault of faults) {
      expect(fault.message).toMatch(/^[A-Z].*".*[^.]$/)
      expect(fault.hint).toMatch(/^[A-Z].*[^.]$/)
    }
  })

  it.each([
    ['independent_persistent', 'flat', false],
    ['independent_nonpersistent', 'flat', false],
    ['nonpersistent', 'flat', false],
    ['undoable', 'flat', false],
    ['append', 'flat', false],
    ['persistent', 'rdm-physical', false],
    ['persistent', 'flat', true],
  ] as const)(
    'refuses a disk in mode %s, of backing %s, shared: %s; unless the policy names it',
    (mode, backing, sharing) => {
      const state = vm({ disks: [disk(), { ...second, mode, backing, sharing }] })
      expect(codes(state)).toEqual(['disk-unsupported'])
      expect(preflight(state, policy()).faults[0]?.hint).toContain('disks.exclude: ["Hard disk 2"]')
      const judged = preflight(state, excluding('Hard disk 2'))
      expect(judged.faults).toEqual([])
      expect(judged.notices.map((notice) => notice.code)).toEqual(['disk-excluded'])
      expect(judged.excludedDisks).toMatchObject([{ key: 2001, label: 'Hard disk 2' }])
    },
  )

  it('lists a disk that the policy leaves out by choice, without a notice', () => {
    const judged = preflight(vm(), excluding('db-1_1'))
    expect(judged.excludedDisks).toMatchObject([{ key: 2001, reason: 'excluded by the policy' }])
    expect(judged.notices).toEqual([])
  })

  it('refuses to back up no disk at all, but takes a VM that has none', () => {
    expect(codes(vm(), excluding('*'))).toEqual(['no-disks'])
    expect(codes(vm({ disks: [] }), excluding('*'))).toEqual([])
  })

  it('refuses snapshots of others only where the transports cannot read what lies on them', () => {
    const state = vm({ snapshots: [snapshot('one', [snapshot('of a child')])] })
    expect(preflight(state, policy()).faults[0]?.message).toContain('"one", "of a child"')
    expect(codes(state, policy({ transport: ['datastore', 'lease'] }))).toEqual([])
    expect(preflight(state, policy({ transport: ['lease'] })).foreignSnapshots).toHaveLength(2)
  })

  it('takes a snapshot with a name of ours that is still there for one of others', () => {
    const state = vm({ snapshots: [snapshot(`coldframe-${'a'.repeat(32)}-backup-1`)] })
    expect(codes(state)).toEqual(['foreign-snapshot'])
  })

  it('says what keeps applications of a Windows guest out of a quiesced snapshot', () => {
    const wanted = policy({ consistency: { ...policy().consistency, want: 'application' } })
    const windows = { ...vm().guest, family: 'windows' as const, toolsVersionStatus: 'guestToolsNeedUpgrade' }
    const noticed = (state: VmState) => preflight(state, wanted).notices.map((notice) => notice.code)
    const state = vm({ guest: windows, diskUuidEnabled: null, ideDisks: ['Hard disk 2'] })
    expect(noticed(state)).toEqual(['vss-disk-uuid', 'vss-ide-disks', 'vss-tools-old'])
    expect(preflight(state, policy()).notices).toEqual([])
    expect(noticed(vm({ diskUuidEnabled: false }))).toEqual([])
    const fit = { ...windows, toolsVersionStatus: 'guestToolsCurrent' }
    expect(noticed(vm({ guest: fit, diskUuidEnabled: true }))).toEqual([])
  })
})

describe('isExcluded()', () => {
  it('knows a disk by its label and by every form of its file name', () => {
    for (const pattern of [
      'hard disk 2',
      '[ds1] db-1/db-1_1.vmdk',
      'db-1/db-1_1.vmdk',
      'db-1_1.vmdk',
      'db-1_1',
      'db-?_1*',
    ])
      expect([pattern, isExcluded(second, excluding(pattern)), isExcluded(disk(), excluding(pattern))]).toEqual([
        pattern,
        true,
        false,
      ])
  })

  it('means the same disk while it runs on the delta of a snapshot', () => {
    const onDelta = { ...second, fileName: '[ds1] db-1/db-1_1-000001.vmdk', parents: [second.fileName] }
    expect(isExcluded(onDelta, excluding('db-1_1.vmdk'))).toBe(true)
    expect(isExcluded(onDelta, excluding('db-1.vmdk'))).toBe(false)
  })
})

describe('deltas that no snapshot accounts for', () => {
  const lost = vm({ disks: [disk({ fileName: '[ds1] db-1/db-1-000002.vmdk', parents: ['[ds1] db-1/db-1.vmdk'] })] })

  it('stop a job that can read plain files only, and are named', () => {
    const { faults } = preflight(lost, { ...defaultPolicy(), transport: ['datastore'] })
    expect(faults).toMatchObject([{ code: 'lost-deltas', message: expect.stringContaining('db-1-000002.vmdk') }])
  })

  it('are told of where a transport reads chains, unless the disk is left out', () => {
    const policy: Policy = { ...defaultPolicy(), transport: ['datastore', 'nbdssl'] }
    expect(preflight(lost, policy)).toMatchObject({ faults: [], notices: [{ code: 'lost-deltas' }] })
    const without = { ...policy, disks: { exclude: ['Hard disk 1'] } }
    expect(preflight({ ...lost, disks: [...lost.disks, second] }, without).notices).toEqual([])
  })
})
