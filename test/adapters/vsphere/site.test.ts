// Hosts, time and rights of a vCenter whose account may little, whose hosts are away, and whose clock is wrong.

import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { parseMoref } from '../../../lib/model/ids.ts'
import type { VsphereSession } from '../../../lib/ports/vsphere.ts'
import { openScripted, returned, serviceContent } from './scripted-vcenter.ts'
import { openSimVcenter } from './sim-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }

async function vmNamed(session: VsphereSession, name: string) {
  const vm = (await session.listVms(cancel)).find((each) => each.name === name)
  if (vm === undefined) throw new Error(`no VM "${name}"`)
  return vm.moref
}

describe('the site of a VM', () => {
  it('names the privileges that are missing, and vCenter refuses what needs them', async () => {
    const denied = 'VirtualMachine.State.CreateSnapshot'
    await using sim = await openSimVcenter({ deniedPrivileges: [`${denied}@app-01`, 'Datastore.Browse@ds1'] })
    await using session = await openVsphere(sim.settings).open(cancel)
    const [app, db] = [await vmNamed(session, 'app-01'), await vmNamed(session, 'db-01')]
    const ids = [denied, 'VirtualMachine.State.RemoveSnapshot', 'No.Such.Privilege']
    const missing = (moref: typeof app) => session.missingPrivileges({ entity: { kind: 'vm', moref }, ids }, cancel)
    expect(await missing(app)).toEqual([denied, 'No.Such.Privilege'])
    expect(await missing(db)).toEqual(['No.Such.Privilege'])
    const snapshot = (vm: typeof app) =>
      session.createSnapshot({ vm, name: 'x', description: '', quiesce: { kind: 'none' } }, cancel)
    await expect(snapshot(app)).rejects.toMatchObject({ code: 'vcenter-permission', facts: { privilegeId: denied } })
    await session.removeSnapshot(await snapshot(db), cancel)
    const store = (await session.readDatastores(app, cancel)).find(({ name }) => name === 'ds1')
    const entity = { kind: 'datastore', moref: store?.moref ?? parseMoref('none') } as const
    expect(await session.missingPrivileges({ entity, ids: ['Datastore.Browse'] }, cancel)).toEqual(['Datastore.Browse'])
  })

  it('asks with the key of the login that stands, also after the session was lost', async () => {
    await using sim = await openSimVcenter()
    await using session = await openVsphere(sim.settings).open(cancel)
    const moref = await vmNamed(session, 'app-01')
    sim.arm('HasPrivilegeOnEntities', { kind: 'expire-session' })
    const ids = ['VirtualMachine.State.CreateSnapshot']
    expect(await session.missingPrivileges({ entity: { kind: 'vm', moref }, ids }, cancel)).toEqual([])
    const gone = { kind: 'vm', moref: parseMoref('vm-999999') } as const
    await expect(session.missingPrivileges({ entity: gone, ids }, cancel)).rejects.toMatchObject({
      code: 'vcenter-object-gone',
    })
  })

  it('takes no privilege for granted that the server does not tell of', async () => {
    const ask = async (answers: Parameters<typeof openScripted>[0]) => {
      await using vcenter = await openScripted(answers)
      await using session = await openVsphere(vcenter.settings).open(cancel)
      return await session.missingPrivileges({ entity: { kind: 'root' }, ids: ['Alarm.Create'] }, cancel)
    }
    await expect(ask({})).rejects.toMatchObject({ code: 'vcenter-unsupported' })
    const authorization = '<authorizationManager type="AuthorizationManager">am</authorizationManager></returnval>'
    const RetrieveServiceContent = () =>
      returned('RetrieveServiceContent', serviceContent.replace('</returnval>', authorization))
    const silent = '<returnval><entity type="Folder">group-d1</entity></returnval>'
    for (const reply of [silent, '']) {
      const HasPrivilegeOnEntities = () => returned('HasPrivilegeOnEntities', reply)
      const asking = ask({ RetrieveServiceContent, HasPrivilegeOnEntities })
      await expect(asking).rejects.toMatchObject({ code: 'vcenter-reply-malformed' })
    }
  })

  it("tells the server's own time and what became of a host", async () => {
    await using sim = await openSimVcenter({
      clockOffsetMs: -3_600_000,
      hostsAway: ['esx-01.example'],
      hostsInMaintenance: ['esx-01.example'],
    })
    await using session = await openVsphere(sim.settings).open(cancel)
    const behindMs = Date.now() - Date.parse(await session.currentTime(cancel))
    expect(behindMs).toBeGreaterThan(3_590_000)
    const vm = await session.readVm(await vmNamed(session, 'app-01'), cancel)
    const host = await session.readHost(vm.host ?? parseMoref('none'), cancel)
    expect(host).toMatchObject({ connectionState: 'notResponding', maintenance: true, version: '8.0.3' })
  })

  it('does not take what is no time for a time', async () => {
    await using vcenter = await openScripted({
      CurrentTime: () => returned('CurrentTime', '<returnval>soon</returnval>'),
    })
    await using session = await openVsphere(vcenter.settings).open(cancel)
    await expect(session.currentTime(cancel)).rejects.toMatchObject({ code: 'vcenter-reply-malformed' })
  })
})
