import { describe, expect, it } from 'vitest'
import { all, call, openSim, retrieve, type Sim, textOf, typeOf } from './raw-client.ts'

const collector = { type: 'PropertyCollector', id: 'propertyCollector' }

/** Machines of the whole inventory by named, mutually recursive selections, as tools without views do it. */
const walkDown = `<objectSet><obj type="Folder">group-d1</obj><skip>false</skip>
<selectSet xsi:type="TraversalSpec"><name>folder</name><type>Folder</type><path>childEntity</path><skip>false</skip>
<selectSet><name>folder</name></selectSet><selectSet><name>datacenter</name></selectSet></selectSet>
<selectSet xsi:type="TraversalSpec"><name>datacenter</name><type>Datacenter</type><path>vmFolder</path>
<selectSet><name>folder</name></selectSet></selectSet></objectSet>`

function machines(options: { readonly paths: readonly string[]; readonly maxObjects?: number }): string {
  const paths = options.paths.map((path) => `<pathSet>${path}</pathSet>`).join('')
  const most = options.maxObjects === undefined ? '' : `<maxObjects>${options.maxObjects}</maxObjects>`
  const args = `<specSet><propSet><type>VirtualMachine</type>${paths}</propSet>${walkDown}</specSet><options>${most}</options>`
  return call('RetrievePropertiesEx', { ...collector, args })
}

describe('the property collector', () => {
  it('follows recursive named selections, and pages what it finds', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const whole = await sim.soap(machines({ paths: ['name'] }), { cookie })
    const names = all(whole.element, 'val').map((val) => val.text)
    expect(names).toEqual(expect.arrayContaining(['app-01', 'db-01', 'cold-01']))
    expect(textOf(whole.element, 'token')).toBe('')

    const paged: string[] = []
    let page = await sim.soap(machines({ paths: ['name'], maxObjects: 1 }), { cookie })
    for (;;) {
      expect(all(page.element, 'objects')).toHaveLength(1)
      paged.push(...all(page.element, 'val').map((val) => val.text))
      const token = textOf(page.element, 'token')
      if (token === '') break
      const args = `<token>${token}</token>`
      page = await sim.soap(call('ContinueRetrievePropertiesEx', { ...collector, args }), { cookie })
      expect(page.fault).toBeNull()
      expect((await sim.soap(call('ContinueRetrievePropertiesEx', { ...collector, args }), { cookie })).fault).toBe(
        'InvalidProperty',
      )
    }
    expect(paged).toEqual(names)
  })

  it('reads nested paths and keyed items with their types, also of every item of an array', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const paths = [
      'summary.config.name',
      'config.hardware.device',
      'config.hardware.device[2000].backing',
      'runtime.powerState',
      'snapshot',
      'datastore',
    ]
    const { element } = await sim.soap(retrieve({ type: 'VirtualMachine', id: 'vm-101', paths }), { cookie })
    const found = Object.fromEntries(
      all(element, 'propSet').map((set) => [textOf(set, 'name'), set.children.find((child) => child.name === 'val')]),
    )
    expect(Object.keys(found)).toEqual(paths.filter((path) => path !== 'snapshot'))
    expect(typeOf(found['summary.config.name'])).toBe('xsd:string')
    expect(typeOf(found['config.hardware.device'])).toBe('ArrayOfVirtualDevice')
    expect(typeOf(found['config.hardware.device[2000].backing'])).toBe('VirtualDiskFlatVer2BackingInfo')
    expect(typeOf(found['runtime.powerState'])).toBe('VirtualMachinePowerState')
    expect(typeOf(found['datastore'])).toBe('ArrayOfManagedObjectReference')
    const items = [...(found['config.hardware.device']?.children ?? []), ...(found['datastore']?.children ?? [])]
    expect(items.every((item) => typeOf(item) !== null)).toBe(true)
  })

  it('refuses a path that no type declares, and a start that does not exist', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const ask = (id: string, path: string) =>
      sim.soap(retrieve({ type: 'VirtualMachine', id, paths: [path] }), { cookie })
    expect((await ask('vm-101', 'config.nothing')).fault).toBe('InvalidProperty')
    expect((await ask('vm-999', 'name')).fault).toBe('ManagedObjectNotFound')
  })
})

describe('waiting for updates', () => {
  it('gives everything first, then only what changed, and nothing when nothing does', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const paths = '<pathSet>runtime.powerState</pathSet><pathSet>config.changeTrackingEnabled</pathSet>'
    await createFilter(sim, { cookie, spec: `<propSet><type>VirtualMachine</type>${paths}</propSet>${walkDown}` })
    const first = await wait(sim, { cookie, version: '', seconds: 0 })
    expect(all(first.element, 'kind').map((kind) => kind.text)).toEqual(['enter', 'enter', 'enter'])
    const version = textOf(first.element, 'version')
    const quiet = await wait(sim, { cookie, version, seconds: 0 })
    expect(all(quiet.element, 'returnval')).toEqual([])

    const waiting = wait(sim, { cookie, version, seconds: 10 })
    await sim.task(
      await sim.soap(call('PowerOffVM_Task', { type: 'VirtualMachine', id: 'vm-101' }), { cookie }),
      cookie,
    )
    const changed = await waiting
    expect(all(changed.element, 'kind').map((kind) => kind.text)).toEqual(['modify'])
    expect(textOf(changed.element, 'name')).toBe('runtime.powerState')
    expect(textOf(changed.element, 'val')).toBe('poweredOff')
    // An answer that was lost can be asked for again; an older one cannot.
    expect(textOf((await wait(sim, { cookie, version, seconds: 0 })).element, 'val')).toBe('poweredOff')
    expect((await wait(sim, { cookie, version: '77', seconds: 0 })).fault).toBe('InvalidCollectorVersion')
  })

  it('a wait is ended by CancelWaitForUpdates', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    await createFilter(sim, {
      cookie,
      spec: `<propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet>${walkDown}`,
    })
    const version = textOf((await wait(sim, { cookie, version: '', seconds: 0 })).element, 'version')
    const waiting = wait(sim, { cookie, version, seconds: 30 })
    await new Promise((resolve) => setTimeout(resolve, 200))
    await sim.soap(call('CancelWaitForUpdates', collector), { cookie })
    expect((await waiting).fault).toBe('RequestCanceled')
  })
})

async function createFilter(sim: Sim, options: { readonly cookie: string; readonly spec: string }): Promise<void> {
  const args = `<spec>${options.spec}</spec><partialUpdates>false</partialUpdates>`
  const reply = await sim.soap(call('CreateFilter', { ...collector, args }), { cookie: options.cookie })
  expect(reply.fault).toBeNull()
}

function wait(sim: Sim, options: { readonly cookie: string; readonly version: string; readonly seconds: number }) {
  const args = `<version>${options.version}</version><options><maxWaitSeconds>${options.seconds}</maxWaitSeconds></options>`
  return sim.soap(call('WaitForUpdatesEx', { ...collector, args }), { cookie: options.cookie })
}
