// Names, folders and devices as vCenter describes them, without a server.

import { describe, expect, it } from 'vitest'
import { controllersOf, disksOf, otherDevicesOf } from '../../../lib/adapters/vsphere/devices.ts'
import { folderPath, parseDatastorePath } from '../../../lib/adapters/vsphere/folder.ts'
import { decodeName, encodeName, type Place, standingOf } from '../../../lib/adapters/vsphere/places.ts'
import { record, typed, type VimRecord } from '../../../lib/adapters/vsphere/values.ts'
import { parseVmdkDescriptor } from '../../../lib/adapters/vsphere/vmdk-descriptor.ts'

const places = new Map<string, Place>([
  ['root', { type: 'Folder', name: 'Datacenters', parent: null }],
  ['f1', { type: 'Folder', name: 'Europe', parent: 'root' }],
  ['dc1', { type: 'Datacenter', name: 'DC%2f1', parent: 'f1' }],
  ['dc2', { type: 'Datacenter', name: 'DC2', parent: 'root' }],
  ['vm1', { type: 'Folder', name: 'vm', parent: 'dc1' }],
  ['vm2', { type: 'Folder', name: 'vm', parent: 'dc2' }],
  ['a', { type: 'Folder', name: 'prod', parent: 'vm2' }],
  ['b', { type: 'Folder', name: '50%25 %5c', parent: 'a' }],
])

describe('standingOf()', () => {
  it.each([
    ['vm2', { datacenter: 'DC2', folder: '/DC2' }],
    ['a', { datacenter: 'DC2', folder: '/DC2/prod' }],
    ['b', { datacenter: 'DC2', folder: '/DC2/prod/50% \\' }],
    ['vm1', { datacenter: 'Europe/DC/1', folder: '/Europe/DC/1' }],
  ])('leaves out the root and the hidden folder, and decodes names, for "%s"', (start, standing) => {
    expect(standingOf(start, places)).toEqual(standing)
  })

  it('knows no datacenter where the user may not see one', () => {
    expect(standingOf('x', new Map([['x', { type: 'Folder', name: 'seen', parent: 'unseen' }]])).datacenter).toBe('')
    expect(standingOf(null, places).datacenter).toBe('')
  })

  it('ends on parents that go round in a circle', () => {
    const round = new Map<string, Place>([
      ['x', { type: 'Folder', name: 'x', parent: 'y' }],
      ['y', { type: 'Folder', name: 'y', parent: 'x' }],
    ])
    expect(standingOf('x', round).datacenter).toBe('')
  })
})

describe('names', () => {
  it('are decoded once, in any case', () => {
    expect(decodeName('a%2Fb%5cc%252fd')).toBe('a/b\\c%2fd')
  })

  it('are sent so that vCenter, which keeps escapes and escapes the rest, shows the same name', () => {
    // ManagedEntity.name: '/' and '\' are escaped, '%' unless it starts an escape.
    const kept = (sent: string) =>
      sent
        .replaceAll(/%(?!2f|5c|25)/gi, '%25')
        .replaceAll('/', '%2f')
        .replaceAll('\\', '%5c')
    for (const name of ['plain', 'a/b', 'a\\b', '100%', '100%2f', '%25', '%%2F/']) {
      expect(decodeName(kept(encodeName(name)))).toBe(name)
    }
  })
})

describe('paths of a datastore', () => {
  it('are read with odd names and encoded each part by itself', () => {
    const file = parseDatastorePath('[my ds] a b/ü#?&%/x-flat.vmdk')
    expect(file).toEqual({ datastore: 'my ds', path: 'a b/ü#?&%/x-flat.vmdk' })
    expect(folderPath(file, { datacenter: 'F/DC 1' })).toBe(
      '/folder/a%20b/%C3%BC%23%3F%26%25/x-flat.vmdk?dcPath=F%2FDC%201&dsName=my%20ds',
    )
  })

  it('belong to "ha-datacenter" on a lone host, and nothing else is a path', () => {
    expect(folderPath({ datastore: 'd', path: 'x' }, { datacenter: '' })).toContain('dcPath=ha-datacenter')
    expect(() => parseDatastorePath('/vmfs/volumes/x')).toThrow('[datastore]')
  })
})

function disk(backing: VimRecord, fields = {}): VimRecord {
  return typed('VirtualDisk', { key: 2000, controllerKey: 1000, unitNumber: 3, capacityInKB: 3, backing, ...fields })
}

const flat = (fields = {}) =>
  typed('VirtualDiskFlatVer2BackingInfo', { fileName: '[d] a.vmdk', diskMode: 'persistent', ...fields })

describe('devices', () => {
  it.each([
    [flat(), 'flat'],
    [typed('VirtualDiskFlatVer1BackingInfo', { fileName: 'x', diskMode: 'append' }), 'flat'],
    [typed('VirtualDiskSeSparseBackingInfo', { fileName: 'x', diskMode: 'persistent' }), 'sesparse'],
    [typed('VirtualDiskSparseVer2BackingInfo', { fileName: 'x', diskMode: 'persistent' }), 'sparse'],
    [
      typed('VirtualDiskRawDiskMappingVer1BackingInfo', { fileName: 'x', compatibilityMode: 'physicalMode' }),
      'rdm-physical',
    ],
    [
      typed('VirtualDiskRawDiskMappingVer1BackingInfo', { fileName: 'x', compatibilityMode: 'virtualMode' }),
      'rdm-virtual',
    ],
    [typed('VirtualDiskLocalPMemBackingInfo', { fileName: 'x', diskMode: 'persistent' }), 'other'],
  ])('tell the backing of a disk: %#', (backing, kind) => {
    expect(disksOf([disk(backing)])).toMatchObject([{ backing: kind }])
  })

  it('give the parents nearest first, the exact size where it is known, and what stops a plain read', () => {
    const chain = flat({
      parent: record({ fileName: 'p1', parent: record({ fileName: 'p2' }) }),
      keyId: record({ keyId: 'k' }),
    })
    expect(disksOf([disk(chain, { capacityInBytes: 3500 })])).toMatchObject([
      { parents: ['p1', 'p2'], capacityBytes: 3500, encrypted: true, sharing: false, unitNumber: 3 },
    ])
    expect(disksOf([disk(flat(), { capacityInBytes: 0 })])).toMatchObject([{ capacityBytes: 3072, encrypted: false }])
  })

  it('mark disks that other machines may write too', () => {
    const shared = typed('VirtualLsiLogicSASController', { key: 1000, busNumber: 0, sharedBus: 'physicalSharing' })
    expect(disksOf([shared, disk(flat())])).toMatchObject([{ sharing: true }])
    expect(disksOf([disk(flat({ sharing: 'sharingMultiWriter' }))])).toMatchObject([{ sharing: true }])
  })

  it('refuse a disk mode that nobody knows', () => {
    expect(() => disksOf([disk(flat({ diskMode: 'quantum' }))])).toThrow('quantum')
  })

  it('are sorted into what is made again, what every VM has, and what is only named', () => {
    const devices = [
      typed('VirtualIDEController', { key: 200, busNumber: 0 }),
      typed('VirtualPS2Controller', { key: 300, busNumber: 0 }),
      typed('VirtualMachineVideoCard', { key: 500 }),
      typed('VirtualCdrom', { key: 16000, deviceInfo: record({ label: 'CD/DVD drive 1', summary: '' }) }),
      typed('VirtualTPM', { key: 11000 }),
      typed('VirtualVmxnet3', { key: 4000, macAddress: '00:50:56:00:00:01' }),
      disk(flat()),
    ]
    expect(controllersOf(devices).map(({ key }) => key)).toEqual([200])
    expect(otherDevicesOf(devices)).toEqual([
      { key: 16000, type: 'VirtualCdrom', label: 'CD/DVD drive 1' },
      { key: 11000, type: 'VirtualTPM', label: 'VirtualTPM 11000' },
    ])
  })
})

describe('parseVmdkDescriptor()', () => {
  it('reads what ESXi writes', () => {
    const text =
      '# Disk DescriptorFile\nversion=1\nencoding="UTF-8"\nCID=fffffffe\nparentCID=ffffffff\ncreateType="vmfs"\n\n' +
      '# Extent description\nRW 131072 VMFS "rv 1-flat.vmdk"\n\n# The Disk Data Base\nddb.adapterType = "lsilogic"\n'
    expect(parseVmdkDescriptor(text)).toEqual({
      createType: 'vmfs',
      delta: false,
      extents: [{ sectors: 131072, kind: 'VMFS', file: 'rv 1-flat.vmdk', firstSector: 0 }],
    })
  })

  it('refuses a text that names no extent', () => {
    expect(() => parseVmdkDescriptor('createType="vmfs"')).toThrow('createType and extents')
  })
})
