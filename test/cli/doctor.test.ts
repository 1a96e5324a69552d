// coldframe doctor and coldframe privileges as people and programs run them, against the simulator with everything that can be wrong.

import { mkdtempSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Check } from '../../lib/operate/doctor/check.ts'
import type { VmReport } from '../../lib/operate/doctor/vm-report.ts'
import { diskOf, machineOf, plainEstate, plainPlace } from '../../sim/estate/description.ts'
import { type Ended, type Environment, type Home, openHome, openSim } from '../flow/kit.ts'
import { temporaryFolder } from '../kit/local-state.ts'
import { startS3Server } from '../kit/s3-server.ts'
import { coldframe, controlCharactersOf } from './coldframe.ts'

type Report = {
  readonly summary: Readonly<Record<'ok' | 'warnings' | 'failed' | 'notChecked', number>>
  readonly checks: readonly Check[]
  readonly vms: readonly VmReport[]
}

/** By a policy that needs no ports of hosts, unless one is given: the simulated ones have no address. */
async function ask(home: Home, args: readonly string[], environment: Environment = {}) {
  const plain = join(home.folder, 'plain.yaml')
  await writeFile(plain, 'name: plain\ntransport: [datastore]\n')
  const policy = args.includes('--policy') || !args.includes('--vm') ? [] : ['--policy', plain]
  const ended = await home.run<Report>(['doctor', ...args, ...policy], { environment })
  const { data } = ended.document ?? {}
  if (data === undefined) throw new Error(`no data: ${ended.stdout}${ended.stderr}`)
  const bad = data.checks.filter(({ state }) => state === 'failed' || state === 'warning')
  return { ended, data, bad, stateOf: (id: string) => data.checks.filter((check) => check.id === id) }
}

function errorOf({ exitCode, document }: Ended) {
  return { exitCode, code: document?.error?.code }
}

describe('coldframe doctor', () => {
  it('finds a healthy site healthy, for programs and for people, and changes nothing', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    const before = await sim.machines()
    const { ended, data, bad } = await ask(home, ['--vm', 'app-01', '--vm', 'db-01'])
    expect({ exitCode: ended.exitCode, bad }).toEqual({ exitCode: 0, bad: [] })
    expect(data.summary).toEqual({ ok: data.checks.length, warnings: 0, failed: 0, notChecked: 0 })
    for (const check of data.checks) {
      expect(Object.keys(check)).toEqual(['id', 'about', 'tried', 'state', 'found', 'needed', 'next', 'code'])
    }
    expect(data.vms).toMatchObject([
      {
        name: 'app-01',
        grade: { grade: 'filesystem' },
        disks: [{ transport: 'datastore' }, { transport: 'datastore' }],
        time: { basis: expect.stringContaining('assumed') },
      },
      { name: 'db-01' },
    ])
    expect(await sim.machines()).toEqual(before)
    const calls = Object.keys(await sim.calls())
    expect(calls.filter((call) => /_Task$|InGuest|PUT/.test(call))).toEqual([])

    const args = ['doctor', '--vm', 'app-01', '--policy', 'plain.yaml']
    const people = await coldframe(args, { folder: home.folder, environment: home.environment })
    expect(people.exitCode).toBe(0)
    expect(people.stdout).toContain('VM "app-01"\n  ok       ')
    expect(people.stdout).toMatch(/\n\d+ ok, 0 warnings, 0 failed, 0 not checked\n$/)
    expect(people.stderr).toContain('Looking at 1 VM')
    expect(controlCharactersOf(people)).toEqual([])
  })

  it('names the fingerprint that it found, and sends no password there', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    const { ended, stateOf } = await ask(home, ['--vm', 'app-01'], { COLDFRAME_VCENTER_THUMBPRINT: '0'.repeat(64) })
    expect(errorOf(ended)).toEqual({ exitCode: 4, code: 'vcenter-thumbprint' })
    expect(stateOf('vcenter.certificate')[0]).toMatchObject({
      state: 'failed',
      found: expect.stringContaining(sim.thumbprintSha256),
      needed: expect.stringContaining('00:00:00'),
    })
    expect(await sim.calls()).toEqual({})
  })

  it('is refused with a wrong password, and without a trace of it', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    const { ended } = await ask(home, [], { COLDFRAME_VCENTER_PASSWORD: 'not-this-one' })
    expect(errorOf(ended)).toEqual({ exitCode: 4, code: 'vcenter-login' })
    expect(`${ended.stdout}${ended.stderr}`).not.toContain('not-this-one')
  })

  it('says that nothing listens, and looks at the rest of this machine all the same', async () => {
    const port = await closedPort()
    await using home = await openHome({
      sdkUrl: `https://127.0.0.1:${port}/sdk`,
      user: 'u',
      password: 'p',
      thumbprintSha256: '0'.repeat(64),
    })
    const { ended, stateOf } = await ask(home, ['--vm', 'app-01'])
    expect(errorOf(ended)).toEqual({ exitCode: 1, code: 'port-unreachable' })
    expect(stateOf('vcenter.login')[0]?.state).toBe('not-checked')
    expect(stateOf('repository.write')[0]?.state).toBe('ok')
  })

  it('looks at how the bucket of a repository is set up, and writes nothing there', async () => {
    await using server = await startS3Server()
    const bucket = server.addBucket('backups', { versioning: true })
    server.faults = ({ operation }) =>
      operation === 'GetBucketPolicy' ? { kind: 'error', status: 403, code: 'AccessDenied' } : null
    const vcenter = { user: 'u', password: 'p', thumbprintSha256: '0'.repeat(64) }
    await using home = await openHome({ ...vcenter, sdkUrl: `https://127.0.0.1:${await closedPort()}/sdk` })
    const { stateOf } = await ask(home, [], { ...server.environment, COLDFRAME_REPOSITORY: 's3:backups' })
    const states = ['open', 'versioning', 'object-lock', 'public-access', 'tls-only']
    expect(states.map((id) => stateOf(`repository.${id}`)[0]?.state)).toEqual([
      ...['ok', 'ok', 'warning', 'ok', 'not-checked'],
    ])
    expect(bucket.objects.size).toBe(0)
  })

  it('names missing privileges with the object, and the clock that is wrong', async () => {
    const denied = ['VirtualMachine.State.CreateSnapshot@db-01', 'VirtualMachine.Config.ChangeTracking@app-01']
    const deny = denied.flatMap((one) => ['--deny', one])
    await using sim = await openSim('--estate', 'small', ...deny, '--clock-offset-ms=-7200000')
    await using home = await openHome(sim)
    const { ended, stateOf } = await ask(home, ['--vm', 'app-01', '--vm', 'db-01'])
    expect(ended.exitCode).toBe(1)
    expect(stateOf('vm.privileges')).toMatchObject([
      { about: 'VM "app-01"', state: 'warning', found: expect.stringContaining('Config.ChangeTracking') },
      { about: 'VM "db-01"', state: 'failed', found: expect.stringContaining('State.CreateSnapshot') },
    ])
    expect(stateOf('vcenter.clock')[0]).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('2 h 0 min behind'),
    })
  })

  it('does not know a VM that is not there: exit code 3, with what was meant', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    const { ended } = await ask(home, ['--vm', 'app-1'])
    expect(errorOf(ended)).toEqual({ exitCode: 3, code: 'vm-not-found' })
    expect(ended.document?.error?.hint).toContain('"app-01"')
  })

  it('logs in to guests only when it is told to, and leaves nothing there', async () => {
    // Programs of plain accounts must be able to pass it.
    const guests = mkdtempSync(join(tmpdir(), 'coldframe-guests-'))
    await using sim = await openSim('--estate', 'demo', '--guest-programs', guests)
    await using home = await openHome(sim)
    const policy = join(home.folder, 'policy.yaml')
    const script = `{bundle: scripts/a.sh, sha256: "${'0'.repeat(64)}", entry: a.sh}`
    const lines = [
      'name: guests',
      'consistency: {want: application, require: crash}',
      'transport: [datastore]',
      'guest: {mode: try, order: [vix], credentials: guests}',
      `scripts: {linux: {preFreeze: ${script}}}`,
    ]
    await writeFile(policy, `${lines.join('\n')}\n`)
    const secret = (password: string) => ({ COLDFRAME_SECRET_GUESTS: JSON.stringify({ user: 'backup', password }) })
    const args = ['--vm', 'db-01', '--policy', policy]
    const plain = await ask(home, args, secret('only-for-the-demo'))
    expect(plain.stateOf('vm.guest-login')).toEqual([])
    expect(plain.data.vms[0]?.grade).toEqual({ grade: 'application', reasons: [] })
    expect(Object.keys(await sim.calls()).filter((call) => call.includes('InGuest'))).toEqual([])

    const inside = await ask(home, [...args, '--guest'], secret('only-for-the-demo'))
    expect(inside.stateOf('vm.guest-login')[0]).toMatchObject({
      state: 'ok',
      found: expect.stringContaining('vix: opened'),
    })
    const refused = await ask(home, [...args, '--guest'], secret('not-this-one'))
    expect(refused.stateOf('vm.guest-login')[0]).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('refused'),
    })
    expect(refused.ended.stdout).not.toContain('not-this-one')
    const left = (await readdir(guests, { recursive: true })).filter((path) => /\/.*coldframe-/.test(path))
    expect(left).toEqual([])
  })

  it('looks at the ports of the hosts for transports that need them, and at the hosts themselves', async () => {
    await using folder = await temporaryFolder()
    const hosts = ['127.0.0.1', 'nobody.invalid']
    const machines = hosts.map((host, index) =>
      machineOf({
        name: `vm-${index}`,
        place: { ...plainPlace, host },
        disks: [diskOf({ capacityBytes: 1024 * 1024 })],
      }),
    )
    const { datacenters } = plainEstate
    const sites = datacenters.map((site) => ({
      ...site,
      folders: [],
      clusters: site.clusters.map((cluster) => ({ ...cluster, hosts })),
    }))
    const listed = machines.map(({ name, place, disks }) => ({
      ...{ name, host: place.host },
      disks: disks.map(({ capacityBytes }) => ({ capacityBytes })),
    }))
    const estate = join(folder.path, 'estate.json')
    await writeFile(estate, JSON.stringify({ seed: 1, datacenters: sites, machines: listed }))
    const policy = join(folder.path, 'policy.yaml')
    await writeFile(policy, 'name: net\nselect: {any: [{name: "vm-*"}]}\ntransport: [nbdssl, datastore]\n')
    await using sim = await openSim('--estate', estate, '--host-maintenance', '127.0.0.1')
    await using home = await openHome(sim)
    const { stateOf, data } = await ask(home, ['--policy', policy])
    expect(stateOf('host.state').map(({ state }) => state)).toEqual(['warning', 'ok'])
    expect(stateOf('host.name')).toMatchObject([
      { about: 'ESXi host "nobody.invalid"', state: 'warning', code: 'name-unknown' },
    ])
    expect(stateOf('host.port').map(({ tried }) => tried)).toEqual([
      'connect to TCP port 443',
      'connect to TCP port 902',
    ])
    expect(data.vms.map(({ disks }) => disks[0]?.transport)).toEqual(['datastore', 'datastore'])
  })

  it('tells of disks that need consolidation and of snapshots of others', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    await sim.act('app-01', 'snapshot', { name: 'before-upgrade' })
    const { ended, stateOf } = await ask(home, ['--vm', 'app-01'])
    expect(stateOf('vm.snapshots')[0]).toMatchObject({ state: 'warning', found: 'of others: "before-upgrade"' })
    expect(stateOf('vm.transport')[0]?.state).toBe('failed')
    expect(ended.exitCode).toBe(1)

    await sim.act('app-01', 'remove-snapshot', { name: 'before-upgrade', consolidate: false })
    const after = await ask(home, ['--vm', 'app-01'])
    expect(after.stateOf('vm.consolidation')[0]).toMatchObject({
      state: 'warning',
      next: expect.stringContaining('waits'),
    })
  })

  it('judges datastores by the limits that backups keep', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    await sim.act('app-01', 'fill-datastore', { datastore: 'ds1', freeBytes: 1024 ** 3 })
    const stateWith = async (environment: Environment) => {
      const checks = (await ask(home, ['--vm', 'app-01'], environment)).stateOf('datastore.state')
      return checks.find(({ about }) => about === 'datastore "ds1"')?.state
    }
    expect(await stateWith({})).toBe('failed')
    expect(await stateWith({ COLDFRAME_FREE_SPACE_GB: '0', COLDFRAME_FREE_SPACE_PERCENT: '0' })).toBe('ok')
  })

  it('does not wait for a call of vCenter that breaks off', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    await sim.arm({ call: 'HasPrivilegeOnEntities', nth: 1, times: 100, mishap: { kind: 'drop-connection' } })
    const { ended, stateOf } = await ask(home, ['--vm', 'app-01'])
    expect(ended.exitCode).toBe(1)
    expect(stateOf('vm.privileges')[0]).toMatchObject({ state: 'failed', code: 'vcenter-connection-lost' })
    expect(stateOf('vm.grade')[0]?.state).toBe('ok')
  })

  it('lists settings that are missing, as every command does', async () => {
    await using folder = await temporaryFolder()
    const { exitCode, stdout, stderr } = await coldframe(['doctor'], { folder: folder.path })
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toContain('COLDFRAME_VCENTER is not set')
  })
})

describe('coldframe privileges', () => {
  it('prints tables, scripts and a document, with no vCenter at hand, and refuses what it does not know', async () => {
    await using folder = await temporaryFolder()
    const run = (...args: readonly string[]) => coldframe(['privileges', ...args], { folder: folder.path })
    const [govc, document, unknown] = await Promise.all([
      run('--transport', 'nbdssl,datastore', '--guest', 'vix', '--format', 'govc'),
      run('--json', '--transport', 'lease'),
      run('--transport', 'lase'),
    ])
    expect(govc.stdout).toContain('govc role.create coldframe-guest')
    const { data } = JSON.parse(document.stdout) as { data: { roles: { privileges: string[] }[] } }
    expect(data.roles).toMatchObject([
      { name: 'coldframe-backup', privileges: expect.arrayContaining(['VApp.Export']) },
    ])
    expect(unknown).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('Cannot tell which transport "lase" is'),
    })
  })
})

async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
