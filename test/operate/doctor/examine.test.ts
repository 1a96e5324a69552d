// The doctor over a vCenter and a network in memory: what depends on what, what is asked, and that nothing is changed.

import { describe, expect, it } from 'vitest'
import { type MemoryNetwork, memoryNetwork } from '../../../lib/adapters/memory/network-probe.ts'
import { type MemoryVcenter, type MemoryVcenterOptions, memoryVcenter } from '../../../lib/adapters/memory/vsphere.ts'
import { manualClock, systemClock } from '../../../lib/base/clock.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { defaultAdmissionLimits } from '../../../lib/model/admission.ts'
import { type Check, checkOf, learn, ok } from '../../../lib/operate/doctor/check.ts'
import type { DoctorDeps } from '../../../lib/operate/doctor/deps.ts'
import { examine } from '../../../lib/operate/doctor/doctor.ts'
import { policyOf } from './facts.ts'

type Transports = ReturnType<typeof policyOf>['transport']

const never = () => Promise.reject(new Error('not opened'))
const cancel = { signal: new AbortController().signal }
const sha256 = 'AB:CD'
const certificate = { sha256, sha1: 'AB', subject: 'vc', validUntil: null, mistrust: 'self-signed' }

function worldOf(options: Partial<MemoryVcenterOptions> = {}, change: Partial<DoctorDeps> = {}) {
  const center = memoryVcenter({ clock: systemClock, ...options })
  const network = memoryNetwork()
  network.names.set('vc', ['192.0.2.1'])
  network.names.set('esx-1', ['192.0.2.2'])
  network.open.set('vc:443', certificate)
  for (const name of ['db-1', 'db-2']) center.addVm({ name, diskBytes: [1024 * 1024] })
  const deps: DoctorDeps = {
    clock: systemClock,
    probe: network.probe,
    vsphere: center.vsphere,
    vcenter: { place: { host: 'vc', port: 443 }, user: 'backup', trust: { kind: 'thumbprint', sha256 } },
    transports: [
      { name: 'datastore', refusal: () => null, open: never },
      { name: 'nbdssl', refusal: () => null, open: never },
    ],
    moverVm: null,
    nfcPort: null,
    admission: defaultAdmissionLimits,
    looks: [],
    jobStore: null,
    guestAccount: () => Promise.reject(new BackupError('Cannot read the secret', { code: 'secret-missing' })),
    enterGuest: null,
    say: () => undefined,
    limits: { lookMs: 10_000, callMs: 10_000, runningMax: 4 },
    ...change,
  }
  return { center, network, deps }
}

function byId(checks: readonly Check[]) {
  return Object.fromEntries(checks.map((check) => [check.id, check]))
}

async function examined(
  { deps }: { readonly center: MemoryVcenter; readonly network: MemoryNetwork; readonly deps: DoctorDeps },
  { transport = ['datastore'], vms = ['db-1'] }: { transport?: Transports; vms?: readonly string[] | null } = {},
) {
  const report = await examine({ policy: policyOf({ transport }), vms }, deps, cancel)
  return { ...report, byId: byId(report.checks) }
}

describe('the doctor', () => {
  it('finds nothing wrong where nothing is, asks only, and closes what it opened', async () => {
    const world = worldOf()
    const { checks, vms } = await examined(world)
    expect(checks.filter(({ state }) => state !== 'ok')).toEqual([])
    expect(vms).toMatchObject([{ name: 'db-1', grade: { grade: 'filesystem' }, disks: [{ transport: 'datastore' }] }])
    const asking =
      /^(open|readLatency|listVms|readVm|readHost|readDatastores|runningTasks|currentTime|missingPrivileges)$/
    expect(world.center.calls.filter((call) => !asking.test(call))).toEqual([])
  })

  it('sends nothing to a server with another certificate', async () => {
    const world = worldOf()
    world.network.open.set('vc:443', { ...certificate, sha256: 'EE:EE' })
    const { byId: found } = await examined(world)
    expect(found['vcenter.certificate']).toMatchObject({ state: 'failed', code: 'vcenter-thumbprint' })
    for (const id of ['vcenter.login', 'vcenter.clock']) expect(found[id]?.state).toBe('not-checked')
    expect(world.center.calls).toEqual([])
  })

  it('does not look further where vCenter cannot be reached, and says which step it was', async () => {
    const world = worldOf()
    world.network.names.delete('vc')
    const { byId: found } = await examined(world)
    expect(found).toMatchObject({
      'vcenter.name': { state: 'failed', code: 'name-unknown' },
      'vcenter.port': { state: 'not-checked' },
      'vcenter.login': { state: 'not-checked' },
    })
  })

  it('names the missing privileges of each VM and of each datastore', async () => {
    const world = worldOf()
    world.center.deniedPrivileges.push('VirtualMachine.State.CreateSnapshot', 'Datastore.Browse')
    const { checks, vms } = await examined(world)
    const lacking = checks.filter(({ code }) => code === 'privilege-missing')
    expect(lacking.map(({ id, about, state }) => ({ id, about, state }))).toEqual([
      { id: 'datastore.privileges', about: 'datastore "ds1"', state: 'failed' },
      { id: 'vm.privileges', about: 'VM "db-1"', state: 'failed' },
    ])
    // The datastore's lack is the transport's: none is left.
    expect(vms[0]?.disks[0]).toMatchObject({ transport: null, reasons: [expect.stringContaining('Datastore.Browse')] })
  })

  it('passes over a transport whose port is closed, and fails when there is no other', async () => {
    const world = worldOf()
    world.network.open.set('esx-1:443', null)
    const both = await examined(world, { transport: ['nbdssl', 'datastore'] })
    const ports = both.checks.filter(({ id }) => id === 'host.port')
    expect(ports.map(({ tried, state }) => `${tried}: ${state}`)).toEqual([
      'connect to TCP port 443: ok',
      'connect to TCP port 902: warning',
    ])
    expect(both.vms[0]?.disks).toMatchObject([
      { transport: 'datastore', reasons: [expect.stringContaining('esx-1:902')] },
    ])
    const one = await examined(world, { transport: ['nbdssl'] })
    expect(one.byId['vm.transport']?.state).toBe('failed')
    world.network.names.delete('esx-1')
    expect((await examined(world, { transport: ['nbdssl'] })).byId['host.name']).toMatchObject({ state: 'failed' })
  })

  it('tells a host that is away, and asks about each host and datastore once', async () => {
    const world = worldOf()
    world.center.host.maintenance = true
    const network = await examined(world, { transport: ['nbdssl', 'datastore'] })
    expect(network.vms[0]?.disks[0]).toMatchObject({ transport: 'datastore' })
    world.center.calls.length = 0
    world.center.host.connectionState = 'notResponding'
    const { byId: found } = await examined(world, { vms: ['db-1', 'db-2'] })
    expect(found['host.state']).toMatchObject({ state: 'failed', about: 'ESXi host "esx-1"' })
    expect(world.center.calls.filter((call) => call === 'readHost')).toHaveLength(1)
  })

  it("asks for the privileges on the mover's VM where disks are attached to it", async () => {
    const world = worldOf()
    const moverVm = 'vm-102'
    world.center.deniedPrivileges.push('VirtualMachine.Config.RemoveDisk')
    const transports = [{ ...world.deps.transports[0], name: 'hotadd' as const, refusal: () => null, open: never }]
    const ask = (moverOf: string | null, transport: Transports = ['hotadd']) =>
      examined({ ...world, deps: { ...world.deps, transports, moverVm: moverOf } }, { transport })
    const own = await ask('vm-101')
    expect(own.vms[0]?.disks[0]?.reasons[0]).toContain("it is the mover's own VM")
    const lacking = await ask(moverVm)
    expect(lacking.byId['mover.privileges']).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('Config.RemoveDisk'),
      about: 'the mover\'s VM "db-2"',
    })
    expect(lacking.vms[0]?.disks[0]?.transport).toBeNull()
    expect((await ask('vm-999')).byId['mover.privileges']).toMatchObject({ state: 'failed' })
    expect((await ask('vm-999', ['hotadd', 'datastore'])).byId['mover.privileges']).toMatchObject({ state: 'warning' })
    expect((await ask(null)).byId['mover.privileges']).toMatchObject({ state: 'not-checked' })
  })

  it('asks for the privileges at the root that a transport needs there', async () => {
    const world = worldOf()
    world.center.deniedPrivileges.push('Global.DisableMethods')
    const { byId: found, vms } = await examined(world, { transport: ['nbdssl', 'datastore'] })
    expect(found['vcenter.privileges']).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('Global.DisableMethods'),
    })
    expect(vms[0]?.disks[0]).toMatchObject({
      transport: 'datastore',
      reasons: [expect.stringContaining('the root of vCenter')],
    })
    expect((await examined(world)).byId['vcenter.privileges']).toBeUndefined()
  })

  it('tries the port that hosts were told to listen on', async () => {
    const world = worldOf()
    const { checks } = await examined({ ...world, deps: { ...world.deps, nfcPort: 9902 } }, { transport: ['nbdssl'] })
    expect(checks.map(({ tried }) => tried)).toContain('connect to TCP port 9902')
  })

  it('says that a VM is not known, and what was meant', async () => {
    const { byId: found, vms } = await examined(worldOf(), { vms: ['db-3'] })
    expect(found['vm.choice']).toMatchObject({
      state: 'failed',
      code: 'vm-not-found',
      next: expect.stringContaining('"db-1"'),
    })
    expect(vms).toEqual([])
    const none = await examined(worldOf(), { vms: [] })
    expect(none.byId['vm.choice']?.state).toBe('not-checked')
  })

  it('goes on with the other VMs when one cannot be read', async () => {
    const world = worldOf({
      before: (call, number) => {
        if (call === 'readVm' && number === reads(world.center.calls))
          throw new BackupError('Cannot read', { code: 'x' })
      },
    })
    const { checks, vms } = await examined(world, { vms: ['db-1', 'db-2'] })
    expect(vms.map(({ name }) => name)).toEqual(['db-2'])
    expect(checks.filter(({ id, state }) => id === 'vm.state' && state === 'failed')).toHaveLength(1)
  })

  it('is not held up by what never answers', async () => {
    const world = worldOf({}, { limits: { lookMs: 50, callMs: 50, runningMax: 4 } })
    world.network.silent.add('esx-1:902')
    world.network.open.set('esx-1:443', null)
    const stuck = {
      topic: { id: 'x', about: 'x', tried: 'x' },
      carries: ['nbdssl'] as const,
      act: () => new Promise<never>(() => undefined),
    }
    const fine = { ...stuck, act: async () => [checkOf(stuck.topic, ok('fine'))] }
    const deps = { ...world.deps, looks: [stuck, fine] }
    const { checks } = await examined({ ...world, deps }, { transport: ['nbdssl'] })
    expect(checks.filter(({ id }) => id === 'x').map(({ found }) => found)).toEqual(['no answer in 50 ms', 'fine'])
    expect(checks.find(({ tried }) => tried.includes('902'))).toMatchObject({
      state: 'failed',
      found: 'no answer in 50 ms',
    })
  })

  it('stops when it is told to', async () => {
    const stop = new AbortController()
    const { deps } = worldOf({ before: (call) => void (call === 'listVms' && stop.abort(new Error('stop'))) })
    await expect(examine({ policy: policyOf(), vms: null }, deps, { signal: stop.signal })).rejects.toThrow('stop')
  })

  it('logs in to a guest only when it may, and tells what came of it', async () => {
    const asked: string[] = []
    const enterGuest: DoctorDeps['enterGuest'] = async ({ vm }) => {
      asked.push(vm.name)
      return [{ channel: 'vix', address: null, outcome: 'refused', reason: 'the password is wrong' }]
    }
    const account = {
      ...{ user: 'u', password: 'p', privateKey: null, passphrase: null, domain: null, vix: null },
      ...{ hostKeys: [], certificates: [], sshPort: 22, winrmPort: 5986 },
    }
    const world = worldOf({}, { enterGuest, guestAccount: async () => account })
    for (const vm of world.center.vms) vm.ipAddresses = ['192.0.2.9']
    const script = { bundle: 'scripts/a', sha256: '', entry: 'a.sh', timeoutMs: 1, successCodes: [0], elevated: false }
    const { guest } = policyOf()
    const policy = policyOf({
      guest: { ...guest, mode: 'require', credentials: 'db' },
      scripts: { linux: { preFreeze: script }, windows: {}, freezeLimitMs: 1 },
    })
    const { checks } = await examine({ policy, vms: ['db-1'] }, world.deps, cancel)
    expect(asked).toEqual(['db-1'])
    expect(byId(checks)['vm.guest-login']).toMatchObject({
      state: 'failed',
      found: 'vix: refused, the password is wrong',
    })
  })
})

describe('learn()', () => {
  it('leaves nothing waiting behind, whatever comes first', async () => {
    const clock = manualClock()
    const within = { clock, limitMs: 1000, ...cancel }
    expect(await learn(async () => 1, within)).toEqual({ kind: 'known', value: 1 })
    expect(clock.sleepers()).toBe(0)
    const late = learn(() => new Promise<never>(() => undefined), within)
    clock.advance(1000)
    expect(await late).toMatchObject({ kind: 'unknown', verdict: { state: 'failed', code: 'check-late' } })
  })

  it('does not take a cancel for an answer', async () => {
    const stop = new AbortController()
    const asking = learn(
      ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      { clock: manualClock(), limitMs: 1000, signal: stop.signal },
    )
    stop.abort(new Error('stop'))
    await expect(asking).rejects.toThrow('stop')
  })
})

/** The number of the first call of readVm. */
function reads(calls: readonly string[]): number {
  return calls.indexOf('readVm') + 1
}
