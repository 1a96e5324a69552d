// Guest operations over SOAP and /guestFile: rights, states of Tools, URLs that work once, and mishaps like those of any call.

import { describe, expect, it } from 'vitest'
import { manualClock, systemClock } from '../../../lib/base/clock.ts'
import type { GuestAccount } from '../../../sim/guest/types.ts'
import { guestsDirectory } from '../guest/guest-kit.ts'
import {
  all,
  call,
  openSim,
  retrieve,
  type Sim,
  type SimOptions,
  type SoapReply,
  textOf,
  typeOf,
} from './raw-client.ts'

const account: GuestAccount = { name: 'backup', password: 'right', elevated: true }
const vm = '<vm type="VirtualMachine">vm-101</vm>'
const auth = (password = 'right', type = 'NamePasswordAuthentication') =>
  `<auth xsi:type="${type}"><interactiveSession>false</interactiveSession><username>backup</username><password>${password}</password></auth>`
const validate = (password?: string) =>
  call('ValidateCredentialsInGuest', {
    type: 'GuestAuthManager',
    id: 'guestOperationsAuthManager',
    args: `${vm}${auth(password)}`,
  })
const onFiles = (method: string, args: string) =>
  call(method, { type: 'GuestFileManager', id: 'guestOperationsFileManager', args: `${vm}${auth()}${args}` })
const onPrograms = (method: string, args: string) =>
  call(method, { type: 'GuestProcessManager', id: 'guestOperationsProcessManager', args: `${vm}${auth()}${args}` })
const runTrue = onPrograms(
  'StartProgramInGuest',
  '<spec><programPath>/bin/true</programPath><arguments></arguments></spec>',
)
const temporary = onFiles('CreateTemporaryDirectoryInGuest', '<prefix>a</prefix><suffix>b</suffix>')

describe('guest operations', () => {
  it('are found through the service content', async () => {
    await using guest = await openGuests()

    const content = await guest.soap(call('RetrieveServiceContent', { type: 'ServiceInstance', id: 'ServiceInstance' }))
    const found = textOf(content.element, 'guestOperationsManager')
    const paths = ['authManager', 'fileManager', 'processManager']
    const shown = await guest.ask(retrieve({ type: 'GuestOperationsManager', id: found, paths }))
    expect(all(shown.element, 'val').map((each) => each.text)).toEqual([
      'guestOperationsAuthManager',
      'guestOperationsFileManager',
      'guestOperationsProcessManager',
    ])
  })

  it.each([
    ['Query', validate()],
    ['Modify', temporary],
    ['Execute', runTrue],
  ])('need the privilege VirtualMachine.GuestOperations.%s', async (right, body) => {
    await using guest = await openGuests({
      server: { deniedPrivileges: [`VirtualMachine.GuestOperations.${right}`] },
    })

    const reply = await guest.ask(body)
    expect(reply.fault).toBe('NoPermission')
    expect(textOf(reply.element, 'privilegeId')).toBe(`VirtualMachine.GuestOperations.${right}`)
    expect(textOf(reply.element, 'object')).toBe('vm-101')
    expect((await guest.soap(body)).fault).toBe('NotAuthenticated')
  })

  it('fail by the state of the guest: login, Tools, power, its own switch', async () => {
    await using guest = await openGuests()

    const [machine] = guest.estate.named('app-01')
    if (machine === undefined) throw new Error('no machine')
    expect((await guest.ask(validate())).fault).toBeNull()
    expect((await guest.ask(validate('wrong'))).fault).toBe('InvalidGuestLogin')
    machine.tools.operationsDisabled = true
    expect((await guest.ask(validate())).fault).toBe('OperationDisabledByGuest')
    machine.tools.operationsDisabled = false
    machine.tools.state = 'notRunning'
    expect((await guest.ask(validate())).fault).toBe('GuestOperationsUnavailable')
    machine.powerOff()
    expect((await guest.ask(validate())).fault).toBe('InvalidPowerState')
  })

  it('are unavailable where the simulator has no directory for guests', async () => {
    await using sim = await openSim({ estate: { accounts: [account] } })

    const cookie = await sim.login()
    expect((await sim.soap(validate(), { cookie })).fault).toBe('GuestOperationsUnavailable')
    const ready = await sim.soap(guestPaths(['guest.guestOperationsReady']), { cookie })
    expect(textOf(ready.element, 'val')).toBe('false')
  })

  it.each(['ValidateCredentialsInGuest', 'CreateTemporaryDirectoryInGuest', 'StartProgramInGuest'])(
    '%s meets a scenario’s mishaps',
    async (method) => {
      await using guest = await openGuests()

      const body = [validate(), temporary, runTrue].find((each) => each.includes(`<${method} `)) ?? ''
      guest.arm(method, { kind: 'fault', fault: 'GuestOperationsUnavailable', message: 'told to' })
      expect((await guest.ask(body)).fault).toBe('GuestOperationsUnavailable')
      guest.arm(method, { kind: 'drop-connection' })
      await expect(guest.ask(body)).rejects.toThrow()
      expect((await guest.ask(body)).fault).toBeNull()
    },
  )

  it('an old vCenter that knows no CreateSnapshotEx_Task says so', async () => {
    await using guest = await openGuests()

    guest.arm('CreateSnapshotEx_Task', { kind: 'fault', fault: 'MethodNotFound', message: 'An old vCenter' })
    const args = '<name>a</name><memory>false</memory>'
    const reply = await guest.ask(call('CreateSnapshotEx_Task', { type: 'VirtualMachine', id: 'vm-101', args }))
    expect(reply.fault).toBe('MethodNotFound')
  })
})

describe('/guestFile', () => {
  const upload = async (guest: Guests, size: number) => {
    const folder = textOf((await guest.ask(temporary)).element, 'returnval')
    const reply = await guest.ask(
      onFiles(
        'InitiateFileTransferToGuest',
        `<guestFilePath>${folder}/a</guestFilePath><fileAttributes xsi:type="GuestPosixFileAttributes"/><fileSize>${size}</fileSize><overwrite>false</overwrite>`,
      ),
    )
    return { folder, url: textOf(reply.element, 'returnval') }
  }

  it('gives URLs with "*" for the host, or with the server’s own', async () => {
    await using star = await openGuests()
    await using own = await openGuests({ server: { guestFileHost: 'own' } })

    expect((await upload(star, 1)).url).toMatch(/^https:\/\/\*\/guestFile\?id=\d+&token=[0-9a-f-]{36}$/)
    expect((await upload(own, 1)).url).toContain(`https://127.0.0.1:${own.server.port}/guestFile?id=`)
  })

  it('takes exactly the size that was said, once, without a session', async () => {
    await using guest = await openGuests()

    const { url } = await upload(guest, 5)
    const path = pathOf(url)
    expect((await guest.http(path)).status).toBe(405)
    expect((await guest.http(path, { method: 'PUT', body: 'four' })).status).toBe(400)
    expect((await guest.http(path.replace(/.$/, 'x'), { method: 'PUT', body: '12345' })).status).toBe(404)
    expect((await guest.http(path, { method: 'PUT', body: '12345' })).status).toBe(200)
    expect((await guest.http(path, { method: 'PUT', body: '12345' })).status).toBe(404)
  })

  it('gives a file’s bytes, once, and only half of them when a scenario says so', async () => {
    await using guest = await openGuests()

    const { folder, url } = await upload(guest, 6)
    await guest.http(pathOf(url), { method: 'PUT', body: '123456' })
    const download = async () => {
      const reply = await guest.ask(
        onFiles('InitiateFileTransferFromGuest', `<guestFilePath>${folder}/a</guestFilePath>`),
      )
      expect(textOf(reply.element, 'size')).toBe('6')
      return pathOf(textOf(reply.element, 'url'))
    }
    const path = await download()
    guest.arm('/guestFile', { kind: 'http-status', status: 503 })
    expect((await guest.http(path)).status).toBe(503)
    expect((await guest.http(path)).body.toString()).toBe('123456')
    expect((await guest.http(path)).status).toBe(404)
    guest.arm('/guestFile', { kind: 'short-body' })
    expect((await guest.http(await download())).body.toString()).toBe('123')
  })

  it('forgets URLs after a while, and when the guest was off meanwhile', async () => {
    const clock = manualClock(Date.now())
    await using guest = await openGuests({ server: { clock, guestFileMs: 1000 } })

    const first = await upload(guest, 1)
    clock.advance(1001)
    expect((await guest.http(pathOf(first.url), { method: 'PUT', body: 'a' })).status).toBe(404)
    const second = await upload(guest, 1)
    guest.estate.named('app-01')[0]?.powerOff()
    expect((await guest.http(pathOf(second.url), { method: 'PUT', body: 'a' })).status).toBe(404)
  })
})

describe('GuestInfo', () => {
  it.each([
    ['running', 'toolsOk', 'guestToolsUnmanaged', 'guestToolsRunning', 'true'],
    ['old', 'toolsOld', 'guestToolsSupportedOld', 'guestToolsRunning', 'true'],
    ['notRunning', 'toolsNotRunning', 'guestToolsUnmanaged', 'guestToolsNotRunning', 'false'],
    ['notInstalled', 'toolsNotInstalled', 'guestToolsNotInstalled', 'guestToolsNotRunning', 'false'],
  ] as const)('shows Tools that are %s', async (state, ...shown) => {
    await using guest = await openGuests()

    const [machine] = guest.estate.named('app-01')
    if (machine === undefined) throw new Error('no machine')
    machine.tools.state = state
    const names = ['toolsStatus', 'toolsVersionStatus2', 'toolsRunningStatus', 'guestOperationsReady']
    const reply = await guest.ask(guestPaths(['guest']))
    expect(names.map((name) => textOf(reply.element, name))).toEqual(shown)
  })

  it('shows the addresses of every card, and bridges that only the guest knows', async () => {
    await using guest = await openGuests()

    const [machine] = guest.estate.named('app-01')
    if (machine === undefined) throw new Error('no machine')
    const bridges = [{ macAddress: '02:42:00:00:00:01', addresses: ['172.17.0.1'] }]
    machine.tools.addresses = { cards: [['192.0.2.1', 'fe80::1'], ['2001:db8::1']], bridges }
    const reply = await guest.ask(guestPaths(['guest.net', 'guest.ipAddress']))
    const cards = all(reply.element, 'GuestNicInfo')
    expect(cards.map((card) => [textOf(card, 'network'), textOf(card, 'deviceConfigId')])).toEqual([
      ['VM Network', '4000'],
      ['backend', '4001'],
      ['', '-1'],
    ])
    expect(cards.map((card) => all(card, 'ipAddress').map((each) => each.text))).toEqual([
      ['192.0.2.1', 'fe80::1'],
      ['2001:db8::1'],
      ['172.17.0.1'],
    ])
    expect(all(reply.element, 'val').map((each) => typeOf(each))).toContain('ArrayOfGuestNicInfo')
  })
})

type Guests = Sim & { ask(body: string): Promise<SoapReply> }

/** The small estate, with an inside in the guest of app-01 (vm-101), and a session. */
async function openGuests(options: SimOptions = {}): Promise<Guests> {
  const clock = options.server?.clock ?? systemClock
  const guests = { directory: guestsDirectory(), exitKeepMs: 300_000 }
  const sim = await openSim({ ...options, estate: { accounts: [account], guests, clock, ...options.estate } })
  const cookie = await sim.login()
  return { ...sim, ask: (body) => sim.soap(body, { cookie }) }
}

function guestPaths(paths: readonly string[]): string {
  return retrieve({ type: 'VirtualMachine', id: 'vm-101', paths })
}

function pathOf(url: string): string {
  return url.slice(url.indexOf('/guestFile'))
}
