// What a VM's state says of its guest and of what quiescing needs: from the simulator, and from replies of other servers.

import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { parseMoref } from '../../../lib/model/ids.ts'
import type { VmState } from '../../../lib/model/vm.ts'
import { openScripted, returned } from './scripted-vcenter.ts'
import { openSimVcenter } from './sim-vcenter.ts'
import { plainAccount } from './vix-kit.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }

type Properties = Readonly<Record<string, string>>

const text = (value: string) => `<val xsi:type="xsd:string">${value}</val>`
const needed: Properties = {
  name: text('one'),
  'runtime.powerState': '<val xsi:type="VirtualMachinePowerState">poweredOn</val>',
  'config.instanceUuid': text('5003f1d6-8b1c-3f7c-4a62-0d7b6c1c2a11'),
  'config.hardware.device': '<val xsi:type="ArrayOfVirtualDevice"></val>',
}

async function stateOf(properties: Properties): Promise<VmState> {
  const set = Object.entries({ ...needed, ...properties }).map(
    ([name, val]) => `<propSet><name>${name}</name>${val}</propSet>`,
  )
  const reply = `<returnval><objects><obj type="VirtualMachine">vm-1</obj>${set.join('')}</objects></returnval>`
  await using vcenter = await openScripted({ RetrievePropertiesEx: () => returned('RetrievePropertiesEx', reply) })
  await using session = await openVsphere(vcenter.settings).open(cancel)
  return await session.readVm(parseMoref('vm-1'), cancel)
}

const nic = (fields: string) => `<GuestNicInfo>${fields}</GuestNicInfo>`
const nics = (...members: readonly string[]) => `<val xsi:type="ArrayOfGuestNicInfo">${members.join('')}</val>`

describe('the guest of a VM', () => {
  it('is known by its cards, addresses and Tools, on the simulator', async () => {
    await using sim = await openSimVcenter({ accounts: [plainAccount] })
    const [machine] = sim.estate.named('app-01')
    if (machine === undefined) throw new Error('no machine')
    machine.tools.addresses = {
      cards: [['192.0.2.11', 'fe80::1'], ['198.51.100.11']],
      bridges: [{ macAddress: '02:42:7c:31:5a:01', addresses: ['172.17.0.1'] }],
    }
    await using session = await openVsphere(sim.settings).open(cancel)
    const { moref } = (await session.listVms(cancel)).find(({ name }) => name === 'app-01') ?? {}
    if (moref === undefined) throw new Error('no VM')
    const read = async () => (await session.readVm(moref, cancel)).guest
    expect(await read()).toMatchObject({
      family: 'linux',
      toolsRunning: true,
      toolsVersion: expect.stringMatching(/^[1-9][0-9]+$/),
      toolsVersionStatus: 'guestToolsUnmanaged',
      operationsReady: true,
      ipAddresses: ['192.0.2.11', 'fe80::1', '198.51.100.11', '172.17.0.1'],
      nics: [
        { network: 'VM Network', connected: true, addresses: ['192.0.2.11', 'fe80::1'] },
        { network: 'backend', connected: true, addresses: ['198.51.100.11'] },
        { network: null, macAddress: '02:42:7c:31:5a:01', addresses: ['172.17.0.1'] },
      ],
    })
    machine.tools.operationsDisabled = true
    expect(await read()).toMatchObject({ toolsRunning: true, operationsReady: false })
    machine.tools.state = 'old'
    expect(await read()).toMatchObject({ toolsRunning: true, toolsVersionStatus: 'guestToolsSupportedOld' })
    machine.tools.state = 'notInstalled'
    expect(await read()).toMatchObject({ toolsRunning: false, operationsReady: false })
  })

  it('has its addresses in order, once each, whatever a card leaves out', async () => {
    const { guest } = await stateOf({
      'guest.ipAddress': text('192.0.2.2'),
      'guest.net': nics(
        nic(
          '<network>a</network><ipAddress>192.0.2.1</ipAddress><ipAddress>192.0.2.2</ipAddress><macAddress>00:50:56:00:00:01</macAddress><connected>true</connected><deviceConfigId>4000</deviceConfigId>',
        ),
        nic('<connected>false</connected><deviceConfigId>4001</deviceConfigId>'),
        nic(
          '<network></network><ipAddress>2001:db8::1</ipAddress><connected>true</connected><deviceConfigId>-1</deviceConfigId>',
        ),
      ),
    })
    expect(guest.ipAddresses).toEqual(['192.0.2.2', '192.0.2.1', '2001:db8::1'])
    expect(guest.nics).toEqual([
      { network: 'a', macAddress: '00:50:56:00:00:01', connected: true, addresses: ['192.0.2.1', '192.0.2.2'] },
      { network: null, macAddress: null, connected: false, addresses: [] },
      { network: null, macAddress: null, connected: true, addresses: ['2001:db8::1'] },
    ])
  })

  it('of which a server says nothing is not known, rather than not ready', async () => {
    const { guest, diskUuidEnabled, ideDisks } = await stateOf({})
    expect(guest).toEqual({
      family: null,
      toolsRunning: false,
      toolsVersion: null,
      toolsVersionStatus: null,
      operationsReady: null,
      hostName: null,
      ipAddresses: [],
      nics: [],
    })
    expect({ diskUuidEnabled, ideDisks }).toEqual({ diskUuidEnabled: null, ideDisks: [] })
  })

  it.each([
    [
      'a Windows that Tools report',
      { 'guest.guestFamily': text('windowsGuest'), 'config.guestId': text('otherGuest') },
      'windows',
    ],
    ['a Windows that is configured', { 'config.guestId': text('windows2019srv_64Guest') }, 'windows'],
    ['a Linux that is configured', { 'config.guestId': text('debian12_64Guest') }, 'linux'],
    ['another system', { 'guest.guestFamily': text('darwinGuestFamily') }, 'other'],
  ])('is %s', async (_name, properties, family) => {
    expect((await stateOf(properties)).guest.family).toBe(family)
  })
})

describe('what VSS needs', () => {
  const options = (...pairs: readonly (readonly [string, string])[]) =>
    `<val xsi:type="ArrayOfOptionValue">${pairs
      .map(
        ([key, value]) => `<OptionValue><key>${key}</key><value xsi:type="xsd:string">${value}</value></OptionValue>`,
      )
      .join('')}</val>`

  it.each([
    [options(['disk.EnableUUID', 'TRUE'], ['other', 'FALSE']), true],
    [options(['disk.enableUUID', 'true']), true],
    [options(['disk.EnableUUID', 'FALSE']), false],
    [options(['other', 'TRUE']), null],
    [options(), null],
  ])(
    'is read from the option disk.enableUUID, whose name and value come in any case: %#',
    async (extraConfig, enabled) => {
      expect((await stateOf({ 'config.extraConfig': extraConfig })).diskUuidEnabled).toBe(enabled)
    },
  )

  it('names the disks on IDE controllers, and no others', async () => {
    const device = (type: string, fields: string) => `<VirtualDevice xsi:type="${type}">${fields}</VirtualDevice>`
    const disk = (key: number, { label, controller }: { readonly label: string; readonly controller: number }) =>
      device(
        'VirtualDisk',
        `<key>${key}</key><deviceInfo><label>${label}</label><summary>s</summary></deviceInfo>` +
          '<backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds] a/a.vmdk</fileName><diskMode>persistent</diskMode></backing>' +
          `<controllerKey>${controller}</controllerKey><unitNumber>0</unitNumber><capacityInKB>1024</capacityInKB>`,
      )
    const devices = [
      device('VirtualIDEController', '<key>200</key><busNumber>0</busNumber>'),
      device('ParaVirtualSCSIController', '<key>1000</key><busNumber>0</busNumber><sharedBus>noSharing</sharedBus>'),
      disk(3000, { label: 'Hard disk 1', controller: 200 }),
      disk(2000, { label: 'Hard disk 2', controller: 1000 }),
    ]
    const state = await stateOf({
      'config.hardware.device': `<val xsi:type="ArrayOfVirtualDevice">${devices.join('')}</val>`,
    })
    expect(state.disks).toHaveLength(2)
    expect(state.ideDisks).toEqual(['Hard disk 1'])
  })
})

describe('a snapshot in the tree', () => {
  it('has its manifest where the server names one', async () => {
    const tree = (fields: string, children = '') =>
      `<snapshot type="VirtualMachineSnapshot">s-1</snapshot><vm type="VirtualMachine">vm-1</vm><name>n</name><description/>` +
      `<id>1</id><createTime>2030-01-01T00:00:00Z</createTime><state>poweredOn</state>${fields}${children}`
    const child = `<childSnapshotList>${tree('<quiesced>false</quiesced>')}</childSnapshotList>`
    const list = `<rootSnapshotList>${tree('<quiesced>true</quiesced><backupManifest>one-vss_manifests1.zip</backupManifest>', child)}</rootSnapshotList>`
    const { snapshots } = await stateOf({ snapshot: `<val xsi:type="VirtualMachineSnapshotInfo">${list}</val>` })
    expect(snapshots).toMatchObject([
      {
        quiesced: true,
        backupManifest: 'one-vss_manifests1.zip',
        children: [{ quiesced: false, backupManifest: null }],
      },
    ])
  })
})
