import { describe, expect, it } from 'vitest'
import { all, call, loginCall, openSim, PASSWORD, retrieve, typeOf, USER } from './raw-client.ts'

const currentTime = call('CurrentTime', { type: 'ServiceInstance', id: 'ServiceInstance' })
const machineName = retrieve({ type: 'VirtualMachine', id: 'vm-101', paths: ['name'] })

describe('sessions of the simulated vCenter', () => {
  it('a login gives a quoted cookie for all paths, and the cookie opens the rest', async () => {
    await using sim = await openSim()

    const reply = await sim.http('/sdk', {
      method: 'POST',
      body: `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>${loginCall(USER, PASSWORD)}</e:Body></e:Envelope>`,
    })
    const [cookie = ''] = reply.headers['set-cookie'] ?? []
    expect(cookie).toMatch(/^vmware_soap_session="[0-9a-f]{40}"; Path=\/; HttpOnly; Secure$/)
    const quoted = cookie.split(';')[0] ?? ''
    for (const sent of [quoted, quoted.replaceAll('"', '')]) {
      expect((await sim.soap(currentTime, { cookie: sent })).fault).toBeNull()
    }
  })

  it('a wrong password, and a login inside a session, are InvalidLogin', async () => {
    await using sim = await openSim()

    expect(await sim.soap(loginCall(USER, 'wrong'))).toMatchObject({ status: 500, fault: 'InvalidLogin', cookie: null })
    const cookie = await sim.login()
    expect((await sim.soap(loginCall(USER, PASSWORD), { cookie })).fault).toBe('InvalidLogin')
  })

  it('without a session calls are a NotAuthenticated fault, and property retrieval answers 200 with it inside', async () => {
    await using sim = await openSim()

    expect(await sim.soap(currentTime)).toMatchObject({ status: 500, fault: 'NotAuthenticated' })
    const reply = await sim.soap(machineName)
    expect(reply.status).toBe(200)
    expect(typeOf(all(reply.element, 'missingSet').flatMap((missing) => all(missing, 'fault'))[1])).toBe(
      'NotAuthenticated',
    )
    expect(all(reply.element, 'propSet')).toEqual([])
    const content = retrieve({ type: 'ServiceInstance', id: 'ServiceInstance', paths: ['content'] })
    expect(all((await sim.soap(content)).element, 'propSet')).toHaveLength(1)
  })

  it('an idle session ends, and its views with it', async () => {
    await using sim = await openSim({ server: { sessionIdleMs: 300 } })

    const cookie = await sim.login()
    expect((await sim.soap(machineName, { cookie })).text).toContain('app-01')
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect((await sim.soap(currentTime, { cookie })).fault).toBe('NotAuthenticated')
    expect(await sim.soap(loginCall(USER, PASSWORD), { cookie })).toMatchObject({ status: 200 })
  })

  it('a scenario ends a session before a call; logging out ends it for good', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    sim.arm('CurrentTime', { kind: 'expire-session' })
    expect((await sim.soap(currentTime, { cookie })).fault).toBe('NotAuthenticated')
    const second = await sim.login()
    await sim.soap(call('Logout', { type: 'SessionManager', id: 'SessionManager' }), { cookie: second })
    expect((await sim.soap(currentTime, { cookie: second })).fault).toBe('NotAuthenticated')
  })

  it('a privilege that is denied is NoPermission with its name', async () => {
    await using sim = await openSim({ server: { deniedPrivileges: ['VirtualMachine.State.CreateSnapshot'] } })

    const cookie = await sim.login()
    const args = '<name>a</name><memory>false</memory><quiesce>false</quiesce>'
    const reply = await sim.soap(call('CreateSnapshot_Task', { type: 'VirtualMachine', id: 'vm-101', args }), {
      cookie,
    })
    expect(reply.fault).toBe('NoPermission')
    expect(all(reply.element, 'privilegeId')[0]?.text).toBe('VirtualMachine.State.CreateSnapshot')
  })
})

describe('requests that do not fit the declared types', () => {
  const create = (args: string) => call('CreateSnapshot_Task', { type: 'VirtualMachine', id: 'vm-101', args })

  it.each([
    ['an unknown element', create('<name>a</name><memory>false</memory><quiesce>false</quiesce><more>1</more>')],
    ['a wrong order', create('<memory>false</memory><name>a</name><quiesce>false</quiesce>')],
    ['a missing field', create('<name>a</name><memory>false</memory>')],
    ['a repeated field', create('<name>a</name><name>b</name><memory>false</memory><quiesce>false</quiesce>')],
    ['a boolean that is none', create('<name>a</name><memory>no</memory><quiesce>false</quiesce>')],
    [
      'a nil field',
      create('<name>a</name><description xsi:nil="true"/><memory>false</memory><quiesce>false</quiesce>'),
    ],
    ['a reference without type', '<CurrentTime xmlns="urn:vim25"><_this>ServiceInstance</_this></CurrentTime>'],
    ['broken XML', '<CurrentTime'],
  ])('%s is refused', async (_, body) => {
    await using sim = await openSim()

    const cookie = await sim.login()
    expect(await sim.soap(body, { cookie })).toMatchObject({ status: 500, fault: 'InvalidRequest' })
  })

  it('an unknown method, an unknown object and a version to come are refused by name', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const clone = call('CloneVM_Task', { type: 'VirtualMachine', id: 'vm-101' })
    expect((await sim.soap(clone, { cookie })).fault).toBe('MethodNotFound')
    const gone = call('PowerOffVM_Task', { type: 'VirtualMachine', id: 'vm-999' })
    expect((await sim.soap(gone, { cookie })).fault).toBe('ManagedObjectNotFound')
    expect((await sim.soap(currentTime, { cookie, action: '"urn:vim25/9.0"' })).text).toContain(
      'Unsupported version URI',
    )
  })
})
