import { describe, expect, it } from 'vitest'
import { call, openSim, retrieve, type Sim, textOf } from './raw-client.ts'

const XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

describe('CreateVM_Task', () => {
  it('makes an equivalent machine: firmware, controllers, disks, adapters, settings', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const places = await placesOf(sim, cookie)
    const spec = `<config ${XSI}><name>copy of app</name><version>vmx-19</version><guestId>ubuntu64Guest</guestId><annotation>a &amp; b</annotation>
<files><vmPathName>[ds1]</vmPathName></files><numCPUs>2</numCPUs><numCoresPerSocket>2</numCoresPerSocket><memoryMB>2048</memoryMB>
<deviceChange><operation>add</operation><device xsi:type="ParaVirtualSCSIController"><key>-1</key><busNumber>0</busNumber><sharedBus>noSharing</sharedBus></device></deviceChange>
<deviceChange><operation>add</operation><fileOperation>create</fileOperation><device xsi:type="VirtualDisk"><key>-2</key>
<backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds1]</fileName><diskMode>persistent</diskMode><thinProvisioned>true</thinProvisioned></backing>
<controllerKey>-1</controllerKey><unitNumber>1</unitNumber><capacityInKB>3072</capacityInKB></device></deviceChange>
<deviceChange><operation>add</operation><device xsi:type="VirtualVmxnet3"><key>-3</key><backing xsi:type="VirtualEthernetCardNetworkBackingInfo"><deviceName>backend</deviceName></backing>
<addressType>manual</addressType><macAddress>00:50:56:01:02:03</macAddress></device></deviceChange>
<extraConfig><key>disk.EnableUUID</key><value xsi:type="xsd:string" xmlns:xsd="http://www.w3.org/2001/XMLSchema">TRUE</value></extraConfig>
<bootOptions><efiSecureBootEnabled>true</efiSecureBootEnabled></bootOptions><firmware>efi</firmware></config><pool type="ResourcePool">${places.pool}</pool>`
    const reply = await sim.soap(call('CreateVM_Task', { type: 'Folder', id: places.folder, args: spec }), { cookie })
    const task = await sim.task(reply, cookie)
    expect(task).toMatchObject({ state: 'success', fault: null })
    const [machine] = sim.estate.named('copy of app')
    expect(machine?.config).toMatchObject({
      guestId: 'ubuntu64Guest',
      firmware: 'efi',
      secureBoot: true,
      annotation: 'a & b',
      cpus: 2,
      coresPerSocket: 2,
      memoryMB: 2048,
      vmPathName: '[ds1] copy of app/copy of app.vmx',
      extraConfig: { 'disk.EnableUUID': 'TRUE' },
      controllers: [{ type: 'ParaVirtualSCSIController', busNumber: 0 }],
      nics: [{ type: 'VirtualVmxnet3', macAddress: '00:50:56:01:02:03', network: 'backend' }],
    })
    expect(machine?.disks).toMatchObject([{ capacityBytes: 3072 * 1024, unitNumber: 1, thin: true }])
    const seen = await sim.soap(
      retrieve({ type: 'VirtualMachine', id: task.result ?? '', paths: ['name', 'runtime.powerState'] }),
      { cookie },
    )
    expect(seen.text).toContain('poweredOff')

    const destroyed = await sim.soap(call('Destroy_Task', { type: 'VirtualMachine', id: task.result ?? '' }), {
      cookie,
    })
    expect(await sim.task(destroyed, cookie)).toMatchObject({ state: 'success' })
    expect(sim.estate.named('copy of app')).toEqual([])
  })

  it('refuses a disk without controller and a datastore that is not there', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const places = await placesOf(sim, cookie)
    const attempt = async (config: string) => {
      const args = `<config ${XSI}>${config}</config><pool type="ResourcePool">${places.pool}</pool>`
      const reply = await sim.soap(call('CreateVM_Task', { type: 'Folder', id: places.folder, args }), { cookie })
      return reply.fault ?? (await sim.task(reply, cookie)).fault
    }
    const disk =
      '<deviceChange><operation>add</operation><device xsi:type="VirtualDisk"><key>-2</key><controllerKey>-9</controllerKey><capacityInKB>1024</capacityInKB></device></deviceChange>'
    expect(await attempt(`<name>x</name><files><vmPathName>[ds1]</vmPathName></files>${disk}`)).toBe(
      'InvalidDeviceSpec',
    )
    expect(await attempt('<name>x</name><files><vmPathName>[nowhere]</vmPathName></files>')).toBe('InvalidDatastore')
    expect(await attempt('<name>x</name>')).toBe('InvalidDatastorePath')
  })
})

describe('ReconfigVM_Task', () => {
  it('adds and removes a disk, and refuses what is not simulated by its name', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const reconfigure = async (spec: string) => {
      const args = `<spec ${XSI}>${spec}</spec>`
      const reply = await sim.soap(call('ReconfigVM_Task', { type: 'VirtualMachine', id: 'vm-103', args }), { cookie })
      return reply.fault === null ? await sim.task(reply, cookie) : { state: 'refused', text: reply.text }
    }
    const [machine] = sim.estate.named('cold-01')
    await reconfigure(
      '<deviceChange><operation>add</operation><device xsi:type="VirtualDisk"><key>-1</key><capacityInKB>1024</capacityInKB></device></deviceChange>',
    )
    expect(machine?.disks.map((disk) => disk.capacityBytes)).toEqual([2 * 1024 * 1024, 1024 * 1024])
    const key = machine?.disks[1]?.deviceKey
    await reconfigure(
      `<deviceChange><operation>remove</operation><device xsi:type="VirtualDisk"><key>${key}</key><capacityInKB>1024</capacityInKB></device></deviceChange>`,
    )
    expect(machine?.disks).toHaveLength(1)
    expect((await reconfigure('<name>warm-01</name><annotation>n</annotation>')).state).toBe('success')
    expect(machine?.config).toMatchObject({ name: 'warm-01', annotation: 'n' })
    expect(await reconfigure('<firmware>efi</firmware>')).toMatchObject({
      state: 'refused',
      text: expect.stringContaining('firmware'),
    })
  })
})

async function placesOf(sim: Sim, cookie: string): Promise<{ readonly folder: string; readonly pool: string }> {
  const { element } = await sim.soap(
    retrieve({ type: 'VirtualMachine', id: 'vm-101', paths: ['parent', 'resourcePool'] }),
    { cookie },
  )
  const values = new Map(
    element.children
      .flatMap((set) => set.children.flatMap((object) => object.children))
      .filter(({ name }) => name === 'propSet')
      .map((set) => [textOf(set, 'name'), textOf(set, 'val')]),
  )
  return { folder: values.get('parent') ?? '', pool: values.get('resourcePool') ?? '' }
}
