// What an operator gets wrong, or finds broken: each has its sentence and exit code, and loses nothing.

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { smallDescription } from '../../sim/estate/demo.ts'
import {
  type BackupData,
  backUp,
  estateJson,
  type Home,
  jobsOf,
  openHome,
  openSim,
  pointsOf,
  type Sim,
  snapshotsIn,
} from '../flow/kit.ts'
import { temporaryFolder } from '../kit/local-state.ts'
import { coldframe } from './coldframe.ts'

const patience = { timeout: 120_000 }
const disposables = new AsyncDisposableStack()
let sim: Sim
let home: Home

beforeAll(async () => {
  const folder = disposables.use(await temporaryFolder())
  const file = join(folder.path, 'estate.json')
  const odd = { independentDisk: true, physicalRdm: true, foreignSnapshot: true, twoOfOneName: true }
  await writeFile(file, estateJson(smallDescription({ seed: 1, changeTracking: true, ...odd })))
  sim = disposables.use(await openSim('--estate', file))
  home = disposables.use(await openHome(sim))
}, 60_000)

afterAll(() => disposables.disposeAsync())

describe('a VM', patience, () => {
  it('that is unknown is refused with near names, and no job is made', async () => {
    const { exitCode, document } = await home.run(['backup', '--vm', 'db-1'])
    expect(exitCode).toBe(3)
    expect(document).toMatchObject({ v: 1, ok: false, error: { code: 'vm-not-found', hint: 'Did you mean "db-01"?' } })
    expect(await jobsOf(home)).toEqual([])
  })

  it('whose name another one has is refused with both, and backed up by its reference', async () => {
    const { exitCode, document } = await home.run(['backup', '--vm', 'app-01'])
    expect(exitCode).toBe(3)
    expect(document?.error?.code).toBe('vm-ambiguous')
    const references = [...(document?.error?.message ?? '').matchAll(/"(vm-[^"]+)" in "([^"]+)"/g)]
    expect(references.map(([, , folder]) => folder)).toEqual(expect.arrayContaining([expect.stringMatching(/lab$/)]))
    const { jobs } = await backUp(home, [references[0]?.[1] ?? ''])
    expect(jobs).toMatchObject([{ vm: { name: 'app-01' }, outcome: { kind: 'success' } }])
  })

  it('that no policy selects is refused by the policy', async () => {
    await writeFile(join(home.folder, 'none.yaml'), 'name: none\nselect: {any: [{name: "nothing-*"}]}\n')
    const { exitCode, document } = await home.run(['backup', '--policy', 'none.yaml'])
    expect({ exitCode, code: document?.error?.code }).toEqual({ exitCode: 3, code: 'nothing-selected' })
  })

  it.each(['scratch-01', 'cluster-01'])(
    'with a disk that a snapshot leaves out (%s) needs the policy to say so',
    async (name) => {
      const refused = await home.run<BackupData>(['backup', '--vm', name])
      expect(refused.exitCode).toBe(1)
      expect(refused.document?.data?.jobs).toMatchObject([{ outcome: { kind: 'failed', code: 'disk-unsupported' } }])
      expect(refused.document?.error?.code).toBe('disk-unsupported')
      await writeFile(join(home.folder, 'without.yaml'), 'name: without\ndisks: {exclude: ["Hard disk 2"]}\n')
      const { jobs } = await backUp(home, [name], '--policy', 'without.yaml')
      expect(jobs).toMatchObject([{ outcome: { kind: 'warning' } }])
      const point = (await pointsOf(home)).find(({ vm }) => vm === name)
      expect(point).toMatchObject({ disks: [{ label: 'Hard disk 1' }], excludedDisks: [{ label: 'Hard disk 2' }] })
    },
  )

  it("with somebody else's snapshot fails by name, and that snapshot stays", async () => {
    const { exitCode, document } = await home.run<BackupData>(['backup', '--vm', 'snap-01'])
    expect(exitCode).toBe(1)
    expect(document?.data?.jobs).toMatchObject([{ outcome: { kind: 'failed', code: 'foreign-snapshot' } }])
    expect(await snapshotsIn(sim)).toEqual(['snap-01: before upgrade'])
  })
})

describe('vCenter', patience, () => {
  it('that refuses the password is told as that; the password is printed nowhere', async () => {
    const environment = { COLDFRAME_VCENTER_PASSWORD: 'not-the-password' }
    const { exitCode, document, stdout, stderr } = await home.run(['backup', '--vm', 'db-01'], { environment })
    expect({ exitCode, code: document?.error?.code }).toEqual({ exitCode: 4, code: 'vcenter-login' })
    expect(`${stdout}${stderr}`).not.toContain('not-the-password')
  })

  it('of another certificate is told with both fingerprints', async () => {
    const environment = { COLDFRAME_VCENTER_THUMBPRINT: 'ab'.repeat(32) }
    const { exitCode, document } = await home.run(['backup', '--vm', 'db-01'], { environment })
    expect({ exitCode, code: document?.error?.code }).toEqual({ exitCode: 4, code: 'vcenter-thumbprint' })
    const message = document?.error?.message.replaceAll(':', '').toLowerCase()
    expect(message).toContain('ab'.repeat(32))
    expect(message).toContain(sim.thumbprintSha256.replaceAll(':', '').toLowerCase())
  })

  it('that is not there is told as that', async () => {
    const environment = { COLDFRAME_VCENTER: 'https://127.0.0.1:1' }
    const { exitCode, document } = await home.run(['backup', '--vm', 'db-01'], { environment })
    expect({ exitCode, code: document?.error?.code }).toEqual({ exitCode: 1, code: 'vcenter-unreachable' })
  })

  it('is not asked at all when the passphrase file cannot be read', async () => {
    const environment = { COLDFRAME_PASSPHRASE: undefined, COLDFRAME_PASSPHRASE_FILE: 'no-such-file' }
    const { exitCode, document } = await home.run(['backup', '--vm', 'db-01'], { environment })
    expect({ exitCode, code: document?.error?.code }).toEqual({ exitCode: 2, code: 'secret-missing' })
  })
})

describe('a repository', patience, () => {
  it('of another passphrase is refused by every command, before anything is asked for', async () => {
    await backUp(home, ['db-01'])
    const before = (await jobsOf(home)).length
    const environment = { COLDFRAME_PASSPHRASE: 'another one' }
    for (const args of [
      ['backup', '--vm', 'db-01'],
      ['points'],
      ['verify', '--all'],
      ['restore', 'db-01@1', '--to', 'x'],
    ]) {
      const { exitCode, document } = await home.run(args, { environment })
      expect({ exitCode, code: document?.error?.code }).toEqual({ exitCode: 4, code: 'repository-key' })
    }
    expect((await jobsOf(home)).length).toBe(before)
  })

  it('with a flipped bit in a pack: verify finds it, restore leaves no file, the other VMs are whole', async () => {
    await using own = await openHome(sim)
    await backUp(own, ['db-01', 'cold-01'])
    const pack = await lastIn(join(own.repository, 'p'))
    await flipByteOf(pack, Math.floor((await readFile(pack)).byteLength / 2))
    const verified = await own.run<{ points: readonly { vm: string; faultCount: number }[] }>(['verify', '--all'])
    expect(verified.exitCode).toBe(5)
    expect(verified.document?.error?.code).toBe('integrity')
    const damaged = verified.document?.data?.points.filter(({ faultCount }) => faultCount > 0).map(({ vm }) => vm)
    expect(damaged).toHaveLength(1)
    const whole = damaged?.includes('db-01') ? 'cold-01' : 'db-01'
    for (const vm of ['db-01', 'cold-01']) {
      const { exitCode } = await own.run(['restore', `${vm}@latest`, '--to', `${vm}.raw`])
      expect(exitCode).toBe(vm === whole ? 0 : 5)
    }
    expect((await readdir(own.folder)).filter((name) => name.includes('.raw'))).toEqual([`${whole}.raw`])
  })

  it('with a damaged restore point lists it as such, and never takes an older one for the latest', async () => {
    await using own = await openHome(sim)
    await backUp(own, ['db-01'])
    await backUp(own, ['db-01'])
    await flipByteOf(await lastIn(join(own.repository, 'r')), 60)
    const listed = await own.run<{ points: readonly { sequence: number }[]; unreadable: readonly unknown[] }>([
      'points',
    ])
    expect(listed.exitCode).toBe(5)
    expect(listed.document?.data).toMatchObject({ points: [{ sequence: 1 }], unreadable: [{ sequence: 2 }] })
    const latest = await own.run(['restore', 'db-01@latest', '--to', 'latest.raw'])
    expect({ exitCode: latest.exitCode, code: latest.document?.error?.code }).toEqual({
      exitCode: 5,
      code: 'integrity',
    })
    expect((await own.run(['restore', 'db-01@1', '--to', 'first.raw'])).exitCode).toBe(0)
    expect((await own.run(['verify', '--all'])).exitCode).toBe(5)
  })
})

describe('a restore', patience, () => {
  it('never touches what is there unless it is told to', async () => {
    await backUp(home, ['cold-01'])
    const target = join(home.folder, 'mine.raw')
    await writeFile(target, 'mine')
    const refused = await home.run(['restore', 'cold-01@latest', '--to', target])
    expect({ exitCode: refused.exitCode, code: refused.document?.error?.code }).toEqual({
      exitCode: 4,
      code: 'target-exists',
    })
    expect(await readFile(target, 'utf8')).toBe('mine')
    expect((await home.run(['restore', 'cold-01@latest', '--to', target, '--overwrite'])).exitCode).toBe(0)
    expect((await readFile(target)).byteLength).toBe(2 * 1024 * 1024)
  })

  it('of a point, disk or place that is not there says so', async () => {
    await backUp(home, ['cold-01'])
    const ends: (readonly [readonly string[], number, string])[] = [
      [['cold-01@99', '--to', 'x'], 3, 'point-not-found'],
      [['cold-1@latest', '--to', 'x'], 3, 'point-not-found'],
      [['cold-01', '--to', 'x'], 2, 'point-malformed'],
      [['cold-01@latest', '--disk', '7', '--to', 'x'], 3, 'disk-not-found'],
      [['cold-01@latest', '--to', 'no/such/folder/x'], 2, 'target-missing-folder'],
    ]
    for (const [args, exitCode, code] of ends) {
      const ended = await home.run(['restore', ...args])
      expect({ args, exitCode: ended.exitCode, code: ended.document?.error?.code }).toEqual({ args, exitCode, code })
    }
  })
})

it('Ctrl-C ends with 130 and says what is not done; resume ends it and leaves no snapshot', patience, async () => {
  await using own = await openHome(sim)
  await sim.arm({ call: 'CreateSnapshot_Task', nth: 1, mishap: { kind: 'delay', delayMs: 3_000 } })
  const running = own.start(['backup', '--vm', 'db-01'])
  while ((await jobsOf(own)).length === 0) await new Promise((resolve) => setTimeout(resolve, 50))
  running.child.kill('SIGINT')
  const { exitCode, document } = await running.ended
  await sim.calm()
  expect({ exitCode, code: document?.error?.code }).toEqual({ exitCode: 130, code: 'interrupted' })
  const resumed = await own.run<BackupData>(['resume'])
  expect(resumed).toMatchObject({ exitCode: 0, document: { data: { jobs: [{ outcome: { kind: 'success' } }] } } })
  expect((await snapshotsIn(sim)).filter((name) => name.startsWith('db-01'))).toEqual([])
  const again = await coldframe(['resume'], own)
  expect(again).toMatchObject({ exitCode: 0, stdout: 'Nothing is left to do\n' })
})

async function flipByteOf(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  await writeFile(path, bytes, { flag: 'r+' })
}

async function lastIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return paths.toSorted().at(-1) ?? ''
}
