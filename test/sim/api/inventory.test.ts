import { describe, expect, it } from 'vitest'
import { all, call, openSim, retrieve, type Sim, textOf, typeOf } from './raw-client.ts'

const search = { type: 'SearchIndex', id: 'SearchIndex' }

async function found(
  sim: Sim,
  options: { readonly cookie: string; readonly method: string; readonly args: string },
): Promise<string | null> {
  const reply = await sim.soap(call(options.method, { ...search, args: options.args }), { cookie: options.cookie })
  expect(reply.fault).toBeNull()
  return all(reply.element, 'returnval')[0]?.text ?? null
}

describe('the inventory', () => {
  it('finds machines by path, uuid, address, name and datastore path', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const find = (method: string, args: string) => found(sim, { cookie, method, args })
    const config = sim.estate.named('app-01')[0]?.config
    const bios = `<uuid>${config?.biosUuid}</uuid><vmSearch>true</vmSearch>`
    const instance = `<uuid>${config?.instanceUuid.toUpperCase()}</uuid><vmSearch>true</vmSearch><instanceUuid>true</instanceUuid>`
    expect(await find('FindByInventoryPath', '<inventoryPath>DC1/vm/prod/app-01</inventoryPath>')).toBe('vm-101')
    expect(await find('FindByInventoryPath', '<inventoryPath>/DC1/vm/app-01</inventoryPath>')).toBeNull()
    expect(
      await find('FindByInventoryPath', '<inventoryPath>DC1/host/cluster-1/esx-02.example</inventoryPath>'),
    ).toMatch(/^host-/)
    expect(await find('FindByUuid', bios)).toBe('vm-101')
    expect(await find('FindByUuid', instance)).toBe('vm-101')
    expect(await find('FindByUuid', instance.replace('true</instanceUuid>', 'false</instanceUuid>'))).toBeNull()
    expect(await find('FindByIp', '<ip>192.0.2.11</ip><vmSearch>true</vmSearch>')).toBe('vm-101')
    const home = '<datacenter type="Datacenter">datacenter-2</datacenter><path>[ds1] db-01/db-01.vmx</path>'
    expect(await find('FindByDatastorePath', home)).toBe('vm-102')
  })

  it('shows in a container view what is below a folder, a host or a pool', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const view = async (path: string) => {
      const id = await found(sim, {
        cookie,
        method: 'FindByInventoryPath',
        args: `<inventoryPath>${path}</inventoryPath>`,
      })
      const type = path.includes('esx') ? 'HostSystem' : path.includes('cluster') ? 'ClusterComputeResource' : 'Folder'
      const args = `<container type="${type}">${id}</container><type>VirtualMachine</type><recursive>true</recursive>`
      const made = await sim.soap(call('CreateContainerView', { type: 'ViewManager', id: 'ViewManager', args }), {
        cookie,
      })
      const own = textOf(made.element, 'returnval')
      const { element } = await sim.soap(retrieve({ type: 'ContainerView', id: own, paths: ['view'] }), { cookie })
      const shown = all(element, 'ManagedObjectReference').map((one) => one.text)
      expect((await sim.soap(call('DestroyView', { type: 'ContainerView', id: own }), { cookie })).fault).toBeNull()
      expect((await sim.soap(call('DestroyView', { type: 'ContainerView', id: own }), { cookie })).fault).toBe(
        'ManagedObjectNotFound',
      )
      return shown
    }
    expect(await view('DC1/vm')).toEqual(expect.arrayContaining(['vm-101', 'vm-102', 'vm-103']))
    expect(await view('DC1/vm/prod')).toEqual(['vm-101', 'vm-102'])
    expect(await view('DC1/host/cluster-1')).toHaveLength(3)
    expect(await view('DC1/host/cluster-1/esx-02.example')).toEqual(['vm-102'])
  })

  it('escapes slashes and per cent signs in names', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    sim.estate.named('cold-01')[0]?.reconfigure({ name: 'a/b 100%' })
    const { text } = await sim.soap(retrieve({ type: 'VirtualMachine', id: 'vm-103', paths: ['name'] }), { cookie })
    expect(text).toContain('a%2fb 100%25')
  })

  it('forgets a machine that is unregistered, not its files', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    expect((await sim.soap(call('UnregisterVM', { type: 'VirtualMachine', id: 'vm-101' }), { cookie })).fault).toBe(
      'InvalidPowerState',
    )
    expect(
      (await sim.soap(call('UnregisterVM', { type: 'VirtualMachine', id: 'vm-103' }), { cookie })).fault,
    ).toBeNull()
    const gone = await sim.soap(retrieve({ type: 'VirtualMachine', id: 'vm-103', paths: ['name'] }), { cookie })
    expect(gone.fault).toBe('ManagedObjectNotFound')
    const file = '/folder/cold-01/cold-01.vmx?dcPath=DC1&dsName=ds1'
    expect((await sim.http(file, { headers: { Cookie: cookie } })).status).toBe(200)
  })

  it('answers Fetch, by which newer clients read one property', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const fetchOf = (prop: string) =>
      sim.soap(call('Fetch', { type: 'VirtualMachine', id: 'vm-101', args: `<prop>${prop}</prop>` }), { cookie })
    const name = await fetchOf('name')
    expect(textOf(name.element, 'returnval')).toBe('app-01')
    expect(typeOf(all(name.element, 'returnval')[0])).toBe('xsd:string')
    expect(all((await fetchOf('snapshot')).element, 'returnval')).toEqual([])
    expect((await fetchOf('nothing')).fault).toBe('InvalidProperty')
  })
})
