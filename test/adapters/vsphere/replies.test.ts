// What the adapter makes of replies: types by namespace, lists that stay lists, numbers that are checked, faults by name.

import { describe, expect, it } from 'vitest'
import { listInventory, readObject } from '../../../lib/adapters/vsphere/properties.ts'
import { openSession, type VimSession } from '../../../lib/adapters/vsphere/session.ts'
import {
  isRecord,
  recordsAt,
  recordsOf,
  ref,
  refsOf,
  textAt,
  type VimValue,
} from '../../../lib/adapters/vsphere/values.ts'
import { readVm } from '../../../lib/adapters/vsphere/vm-state.ts'
import { type Answer, fault, openScripted, returned } from './scripted-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }
const vm = ref('VirtualMachine', 'vm-1')

function object(properties: string, moref = 'vm-1'): string {
  return `<objects><obj type="VirtualMachine">${moref}</obj>${properties}</objects>`
}

function property(name: string, val: string): string {
  return `<propSet><name>${name}</name>${val}</propSet>`
}

async function withAnswers<Result>(
  answers: Readonly<Record<string, Answer>>,
  act: (session: VimSession) => Promise<Result>,
): Promise<Result> {
  await using vcenter = await openScripted(answers)
  await using session = await openSession(vcenter.settings, cancel)
  return await act(session)
}

/** The value of property "x" when the server sends `val`. */
function valueSent(val: string, prefixes: { readonly xsi?: string } = {}): Promise<VimValue | undefined> {
  const retrieve = () =>
    returned('RetrievePropertiesEx', `<returnval>${object(property('x', val))}</returnval>`, prefixes)
  return withAnswers({ RetrievePropertiesEx: retrieve }, async (session) =>
    (await readObject(session, { ref: vm, paths: ['x'], what: 'Cannot read' }, cancel)).get('x'),
  )
}

const disk = (xsi: string) =>
  `<val ${xsi}:type="ArrayOfVirtualDevice"><VirtualDevice ${xsi}:type="VirtualDisk"><key>2000</key>` +
  `<backing ${xsi}:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds] a/a.vmdk</fileName><diskMode>persistent</diskMode>` +
  `<thinProvisioned>true</thinProvisioned><parent><fileName>[ds] a/b.vmdk</fileName><diskMode>persistent</diskMode>` +
  `<parent><fileName>[ds] a/c.vmdk</fileName><diskMode>persistent</diskMode></parent></parent></backing>` +
  `<controllerKey>1000</controllerKey><unitNumber>0</unitNumber><capacityInKB>9007199254740</capacityInKB></VirtualDevice></val>`

describe('values in replies', () => {
  it.each(['xsi', 'XMLSchema-instance', '_XMLSchema-instance', 'ns0.a-b'])(
    'finds the type of a device under the prefix "%s"',
    async (xsi) => {
      const devices = recordsOf(await valueSent(disk(xsi), { xsi }))
      expect(devices.map(({ type }) => type)).toEqual(['VirtualDisk'])
      const [device] = devices
      expect(device?.fields.get('key')).toBe(2000)
      expect(device?.fields.get('capacityInKB')).toBe(9_007_199_254_740)
      const backing = device?.fields.get('backing')
      expect(isRecord(backing) && backing.type).toBe('VirtualDiskFlatVer2BackingInfo')
      expect(isRecord(backing) && backing.fields.get('thinProvisioned')).toBe(true)
    },
  )

  it('does not take a type attribute of another namespace for the type', async () => {
    const value = await valueSent(
      '<val xmlns:o="urn:other" o:type="ArrayOfString" xsi:type="Description"><label>a</label><summary>b</summary></val>',
    )
    expect(isRecord(value) && value.type).toBe('Description')
  })

  it('keeps a list of one a list, at any depth', async () => {
    const tree = (name: string, below = '') =>
      `<snapshot type="VirtualMachineSnapshot">s-${name}</snapshot><vm type="VirtualMachine">vm-1</vm><name>${name}</name>` +
      `<description/><id>1</id><createTime>2030-01-01T00:00:00.123456789Z</createTime><state>poweredOn</state><quiesced>false</quiesced>${below}`
    const child = (content: string) => `<childSnapshotList>${content}</childSnapshotList>`
    const root = tree('a', child(tree('b', child(tree('c', child(tree('d')))))))
    const value = await valueSent(
      `<val xsi:type="VirtualMachineSnapshotInfo"><rootSnapshotList>${root}</rootSnapshotList></val>`,
    )
    const names: (string | null)[] = []
    let level = isRecord(value) ? recordsAt(value, 'rootSnapshotList') : []
    while (level.length > 0) {
      const [first] = level
      if (first === undefined) break
      expect(Array.isArray(first.fields.get('childSnapshotList') ?? [])).toBe(true)
      expect(textAt(first, 'createTime')).toBe('2030-01-01T00:00:00.123456789Z')
      expect(textAt(first, 'description')).toBe('')
      names.push(textAt(first, 'name'))
      level = recordsAt(first, 'childSnapshotList')
    }
    expect(names).toEqual(['a', 'b', 'c', 'd'])
  })

  it('reads values of any type by their type', async () => {
    expect(await valueSent('<val xsi:type="xsd:boolean">false</val>')).toBe(false)
    expect(await valueSent('<val xsi:type="xsd:int">-7</val>')).toBe(-7)
    expect(await valueSent('<val xsi:type="xsd:long">9007199254740991</val>')).toBe(9_007_199_254_740_991)
    expect(await valueSent('<val xsi:type="xsd:string"> a &lt;b&gt; </val>')).toBe(' a <b> ')
    expect(await valueSent('<val xsi:type="xsd:string"></val>')).toBe('')
    expect(await valueSent('<val xsi:type="VirtualMachinePowerState">poweredOn</val>')).toBe('poweredOn')
    expect(await valueSent('<val type="Folder" xsi:type="ManagedObjectReference">group-v3</val>')).toEqual(
      ref('Folder', 'group-v3'),
    )
    expect(await valueSent('<val xsi:type="ArrayOfString"></val>')).toEqual([])
    expect(await valueSent('<val xsi:type="ArrayOfString"><string>1</string></val>')).toEqual(['1'])
  })

  it('reads references as opaque texts, whatever is in them', async () => {
    const refs =
      '<val xsi:type="ArrayOfManagedObjectReference"><ManagedObjectReference type="Datastore" xsi:type="ManagedObjectReference">x:y@z/1</ManagedObjectReference></val>'
    expect(refsOf(await valueSent(refs)).map(({ value }) => value)).toEqual(['x:y@z/1'])
  })

  it('refuses a number that it cannot hold exactly', async () => {
    await expect(valueSent('<val xsi:type="xsd:long">9007199254740993</val>')).rejects.toMatchObject({
      code: 'vcenter-reply-malformed',
    })
    await expect(valueSent(disk('xsi').replace('9007199254740', '99999999999999999'))).rejects.toMatchObject({
      code: 'vcenter-reply-malformed',
    })
  })

  it.each(['not XML', '<a><b></a>', ''])('refuses a reply that is "%s"', async (body) => {
    const answers = { RetrievePropertiesEx: () => ({ body }) }
    await expect(withAnswers(answers, (session) => readVm(session, vm.value, cancel))).rejects.toMatchObject({
      code: 'vcenter-reply-malformed',
    })
  })
})

describe('listings', () => {
  it('follow the pages to the end', async () => {
    const page = (moref: string, token: string) =>
      `<returnval>${token}${object(property('name', '<val xsi:type="xsd:string">n</val>'), moref)}</returnval>`
    const answers = {
      RetrievePropertiesEx: () => returned('RetrievePropertiesEx', page('vm-1', '<token>0</token>')),
      ContinueRetrievePropertiesEx: ({ body }: { body: string }) =>
        /token>0</.test(body)
          ? returned('ContinueRetrievePropertiesEx', page('vm-2', '<token>1</token>'))
          : returned('ContinueRetrievePropertiesEx', page('vm-3', '')),
    }
    const found = await withAnswers(answers, (session) =>
      listInventory(session, { wanted: { VirtualMachine: ['name'] }, what: 'Cannot list' }, cancel),
    )
    expect(found.map(({ ref: { value } }) => value)).toEqual(['vm-1', 'vm-2', 'vm-3'])
  })

  it('start over with a new session when it ends between two pages', async () => {
    let pages = 0
    const page = (moref: string, token: string) => `<returnval>${token}${object('', moref)}</returnval>`
    const answers = {
      RetrievePropertiesEx: () => returned('RetrievePropertiesEx', page('vm-1', '<token>0</token>')),
      ContinueRetrievePropertiesEx: () =>
        pages++ === 0 ? fault('NotAuthenticated') : returned('ContinueRetrievePropertiesEx', page('vm-2', '')),
    }
    await using vcenter = await openScripted(answers)
    await using session = await openSession(vcenter.settings, cancel)
    const found = await listInventory(session, { wanted: { VirtualMachine: ['name'] }, what: 'Cannot list' }, cancel)
    expect(found.map(({ ref: { value } }) => value)).toEqual(['vm-1', 'vm-2'])
    expect(vcenter.asked.filter(({ call }) => call === 'Login').length).toBe(2)
    expect(vcenter.asked.filter(({ call }) => call === 'CreateContainerView').length).toBe(2)
  })

  const missing = (name: string, detail = '') =>
    `<missingSet><path>config</path><fault><fault xsi:type="${name}">${detail}</fault><localizedMessage>It is ${name}</localizedMessage></fault></missingSet>`
  const listWith = (content: string) =>
    withAnswers(
      { RetrievePropertiesEx: () => returned('RetrievePropertiesEx', `<returnval>${content}</returnval>`) },
      (session) => listInventory(session, { wanted: { VirtualMachine: ['config'] }, what: 'Cannot list' }, cancel),
    )

  it('name what the user may not see, and do not pass over it', async () => {
    const denied = missing(
      'NoPermission',
      '<object type="VirtualMachine">vm-1</object><privilegeId>System.Read</privilegeId>',
    )
    await expect(listWith(object(denied))).rejects.toMatchObject({
      code: 'vcenter-permission',
      kind: 'refused',
      facts: { fault: 'NoPermission', privilegeId: 'System.Read', object: 'VirtualMachine:vm-1' },
    })
  })

  it('leave out an object that vanished while it was read', async () => {
    expect(await listWith(object(missing('ManagedObjectNotFound')) + object('', 'vm-2'))).toMatchObject([
      { ref: { value: 'vm-2' } },
    ])
  })
})

describe('faults', () => {
  it.each([
    ['NoPermission', 'vcenter-permission', 'refused', 'no'],
    ['ManagedObjectNotFound', 'vm-not-found', 'not-found', 'no'],
    ['SystemError', 'vcenter-fault', 'failed', 'later'],
    ['MethodNotFound', 'vcenter-unsupported', 'refused', 'no'],
    ['SomethingNew', 'vcenter-fault', 'failed', 'no'],
  ])('of the name %s become "%s"', async (name, code, kind, retry) => {
    for (const xsi of ['xsi', 'XMLSchema-instance']) {
      const answers = { RetrievePropertiesEx: () => fault(name, '', { xsi }) }
      await expect(withAnswers(answers, (session) => readVm(session, vm.value, cancel))).rejects.toMatchObject({
        code,
        kind,
        retry,
        facts: { fault: name },
      })
    }
  })

  it('of a proxy in front of vCenter are told by their HTTP status', async () => {
    const answers = { RetrievePropertiesEx: () => ({ status: 407, body: '<html>Proxy</html>' }) }
    await expect(withAnswers(answers, (session) => readVm(session, vm.value, cancel))).rejects.toMatchObject({
      code: 'vcenter-http-status',
      facts: { status: 407 },
    })
  })

  it('that pass by themselves are waited out when only reading', async () => {
    let calls = 0
    const retrieve = () =>
      calls++ < 2 ? { status: 503, body: '' } : returned('RetrievePropertiesEx', `<returnval>${object('')}</returnval>`)
    const reading = withAnswers({ RetrievePropertiesEx: retrieve }, (session) => readVm(session, vm.value, cancel))
    await expect(reading).rejects.toMatchObject({ code: 'vm-inaccessible' })
    expect(calls).toBe(3)
  })
})

describe('sessions', () => {
  it('send the cookie with its quotes, the method version and the password once only', async () => {
    const answers = {
      RetrievePropertiesEx: () => returned('RetrievePropertiesEx', `<returnval>${object('')}</returnval>`),
    }
    await using vcenter = await openScripted(answers)
    await using session = await openSession(vcenter.settings, cancel)
    await readVm(session, vm.value, cancel).catch(() => undefined)
    const last = vcenter.asked.at(-1)
    expect(last?.headers['cookie']).toBe('vmware_soap_session="abc"')
    expect(last?.headers['soapaction']).toBe('"urn:vim25/6.5"')
    expect(vcenter.asked.filter(({ body }) => body.includes('secret-password')).map(({ call }) => call)).toEqual([
      'Login',
    ])
  })

  it('give up after one new login when vCenter refuses every session', async () => {
    await using vcenter = await openScripted({ RetrievePropertiesEx: () => fault('NotAuthenticated') })
    await using session = await openSession(vcenter.settings, cancel)
    await expect(readVm(session, vm.value, cancel)).rejects.toMatchObject({ code: 'vcenter-not-authenticated' })
    expect(vcenter.asked.filter(({ call }) => call === 'Login').length).toBe(2)
  })

  it('log in once when many calls find the session ended together', async () => {
    let valid = false
    const answers: Readonly<Record<string, Answer>> = {
      CurrentTime: () =>
        valid ? returned('CurrentTime', '<returnval>2030-01-01T00:00:00Z</returnval>') : fault('NotAuthenticated'),
    }
    await using vcenter = await openScripted(answers)
    await using session = await openSession(vcenter.settings, cancel)
    const ask = () =>
      session.call({ method: 'CurrentTime', target: session.content.rootFolder, what: 'Cannot ask' }, cancel)
    const waiting = Array.from({ length: 8 }, () =>
      session.loggedIn(async () => {
        if (vcenter.asked.filter(({ call }) => call === 'Login').length > 1) valid = true
        return await ask()
      }, cancel),
    )
    await Promise.all(waiting)
    expect(vcenter.asked.filter(({ call }) => call === 'Login').length).toBe(2)
  })

  it('log out when they are disposed, and end even if vCenter does not answer that', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await using vcenter = await openScripted({
      Logout: async () => {
        await held
        return returned('Logout', '')
      },
    })
    const startedMs = performance.now()
    await (await openSession(vcenter.settings, cancel))[Symbol.asyncDispose]()
    expect(performance.now() - startedMs).toBeLessThan(8_000)
    expect(vcenter.asked.at(-1)?.call).toBe('Logout')
    release()
  })
})
