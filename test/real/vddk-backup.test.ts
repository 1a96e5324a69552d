// The whole product over transport "nbdssl": our simulator as the vCenter, the real nbdkit, and our own plugin in the place of
// VMware's, which serves what a snapshot's chain of files holds together.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readServerCertificate } from '../../lib/adapters/vsphere/certificate.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { Machine } from '../../sim/machine/machine.ts'
import { openSimVcenter, type SimVcenter } from '../adapters/vsphere/sim-vcenter.ts'
import { backUp, dataOf, digestOf, openHome, type PointDocument, pointsOf, restorePoint } from '../flow/kit.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { until } from '../kit/programs.ts'
import { openVddkSite, type VddkSite } from './vddk/site.ts'

const cancel = { signal: new AbortController().signal }
const random = seededRandom(31)
const MiB = 1024 * 1024

describe.skipIf(peerSkip('nbdkit', 'vddk-plugin'))('backup and restore over nbdssl', () => {
  it('bring every byte back, of a full point and of one by changed areas', async () => {
    await using place = await openPlace({ changeTracking: true })
    const { sim, home } = place
    const machine = place.serve('app-01')
    // Large enough that its regions are read in threads, each with an nbdkit of its own.
    machine.addDisk({ capacityBytes: 80 * MiB, thin: true, datastore: 'ds1' })
    // Tracking of a new disk becomes real with the next stun.
    const stun = machine.createSnapshot({ name: 'stun', description: '', quiesce: { kind: 'none' } })
    machine.removeSnapshot(stun, { removeChildren: false, consolidate: true })
    write(machine, [1_000, 2_500_000, 47_000_123, 80 * MiB - 20_000])
    const first = await backUp(home, ['app-01'], '--policy', place.policy)
    expect(first.jobs).toMatchObject([{ outcome: { kind: 'success' } }])
    write(machine, [70_000, 3_000_001, 33 * MiB])
    await backUp(home, ['app-01'], '--policy', place.policy)
    const points = (await pointsOf(home)).toSorted((a, b) => a.sequence - b.sequence)
    const reads = points.flatMap(({ disks }) => disks.map((disk) => [disk.readMode, Reflect.get(disk, 'transport')]))
    expect(reads).toEqual([
      ...Array.from({ length: 3 }, () => ['full', 'nbdssl']),
      ...Array.from({ length: 3 }, () => ['incremental', 'nbdssl']),
    ])
    for (const point of points) await expectRestored(place, point)
    expect(machine.snapshots).toEqual([])
    expect(await readdir(place.site.folderBase)).toEqual([])
    const asked = (await place.site.calls())[0] ?? ''
    const { sha1 } = await readServerCertificate(sim.settings, cancel)
    expect(asked).toContain(`thumbprint=${sha1} vm=moref=`)
    expect(asked).toMatch(/snapshot=snapshot-\d+ transports=nbdssl/)
  }, 180_000)

  it('read a chain of files below a foreign snapshot, which "datastore" cannot, and leave that snapshot alone', async () => {
    await using place = await openPlace({ foreignSnapshot: true, transport: 'datastore, nbdssl' })
    const machine = place.serve('snap-01')
    write(machine, [4_096, 1_500_000])
    await backUp(place.home, ['snap-01'], '--policy', place.policy)
    const [point] = await pointsOf(place.home)
    if (point === undefined) throw new Error('There is no point')
    expect(point.disks).toMatchObject([{ transport: 'nbdssl', readMode: 'full' }])
    await expectRestored(place, point)
    expect(machine.snapshots.map(({ name }) => name)).toEqual(['before upgrade'])
  }, 180_000)

  it('survive the death of the mover: nbdkit ends with it, the next mover reads again and clears up', async () => {
    await using place = await openPlace({})
    const machine = place.serve('app-01')
    write(machine, [1_000, 2_500_000])
    await place.site.put('slow-read', '1500')
    const running = place.home.start(['backup', '--vm', 'app-01', '--policy', place.policy])
    // The choice of the transport opens each disk; the third opening is a reader's.
    await until(async () => (await opensOf(place)) === 3, 30_000)
    const [nbdkit = 0] = pidsOf(`libdir=${place.site.libdir}`)
    process.kill(parentOf(nbdkit), 'SIGKILL')
    await until(() => pidsOf(`libdir=${place.site.libdir}`).every((pid) => pid !== nbdkit))
    await place.site.remove('slow-read')
    expect(await running.ended).toMatchObject({ exitCode: 0 })
    const [point] = await pointsOf(place.home)
    if (point === undefined) throw new Error('There is no point')
    await expectRestored(place, point)
    expect(machine.snapshots).toEqual([])
    expect(await readdir(place.site.folderBase)).toEqual([])
  }, 180_000)

  it('go on with the next transport of the policy where there is no VDDK, and say what is missing where there is none', async () => {
    await using place = await openPlace({ transport: 'san, hotadd, nbdssl, datastore' })
    const without = { COLDFRAME_VDDK: undefined }
    const ended = await place.home.run(['backup', '--vm', 'app-01', '--policy', place.policy], { environment: without })
    dataOf(ended)
    const [point] = await pointsOf(place.home)
    expect(point?.disks).toMatchObject([{ transport: 'datastore' }, { transport: 'datastore' }])
    await place.choose('nbdssl')
    const failed = await place.home.run(['backup', '--vm', 'app-01', '--policy', place.policy], {
      environment: without,
    })
    expect(failed.stdout).toContain('nbdssl: no VDDK directory is set (COLDFRAME_VDDK)')
    expect(failed.exitCode).toBe(1)
  }, 180_000)

  it('fail by name when VDDK refuses, with the snapshot removed', async () => {
    await using place = await openPlace({})
    const machine = place.serve('app-01')
    await place.site.put('fail-open', 'VixDiskLib_Open: The host is not licensed for this feature\n')
    const failed = await place.home.run(['backup', '--vm', 'app-01', '--policy', place.policy])
    expect(failed.exitCode).toBe(1)
    expect(failed.stdout).toContain('Global.DisableMethods')
    expect(machine.snapshots).toEqual([])
    expect(failed.stdout + failed.stderr).not.toContain('p<&>')
  }, 180_000)
})

type Place = AsyncDisposable & {
  readonly sim: SimVcenter
  readonly site: VddkSite
  readonly home: Awaited<ReturnType<typeof openHome>>
  /** The policy's file. */
  readonly policy: string
  choose(transports: string): Promise<void>
  /** From now on the plugin serves what each snapshot of the machine freezes, chain and all, under the name of its file. */
  serve(name: string): Machine
  /** SHA-256 by snapshot and device key, "coldframe-… 2000", of what was frozen. */
  readonly frozen: ReadonlyMap<string, string>
}

async function openPlace(options: {
  readonly changeTracking?: boolean
  readonly foreignSnapshot?: boolean
  readonly transport?: string
}): Promise<Place> {
  const sim = await openSimVcenter(options)
  const site = await openVddkSite()
  const { url, trust, account } = sim.settings
  if (trust.kind !== 'thumbprint') throw new Error('The simulator is known by its thumbprint')
  const { user, password } = await account(cancel)
  const home = await openHome({ sdkUrl: url, user, password, thumbprintSha256: trust.sha256 })
  const variables = {
    COLDFRAME_VDDK: site.libdir,
    COLDFRAME_NBDKIT_PLUGIN: requirePeer('vddk-plugin'),
    TMPDIR: site.folderBase,
  }
  const { sha1 } = await readServerCertificate(sim.settings, cancel)
  await site.put('site', `user ${user}\npassword ${password}\nthumbprint ${sha1}\ntransports nbdssl,nbd\n`)
  const policy = join(home.folder, 'policy.yaml')
  const choose = (transports: string) =>
    writeFile(policy, `name: vddk\nselect: {any: [{name: "*"}]}\ntransport: [${transports}]\n`)
  await choose(options.transport ?? 'nbdssl')
  const frozen = new Map<string, string>()
  const run: typeof home.run = (args, more = {}) =>
    home.run(args, { ...more, environment: { ...variables, ...more.environment } })
  const start: typeof home.start = (args, more = {}) =>
    home.start(args, { ...more, environment: { ...variables, ...more.environment } })
  return {
    sim,
    site,
    policy,
    choose,
    home: { ...home, run, start },
    frozen,
    serve: (name) => {
      const [machine] = sim.estate.named(name)
      if (machine === undefined) throw new Error(`There is no "${name}"`)
      const take = machine.takeSnapshot.bind(machine)
      machine.takeSnapshot = async (...args) => {
        const snapshot = await take(...args)
        for (const { disk, layer } of snapshot.kept) {
          const bytes = new Uint8Array(disk.capacityBytes)
          disk.readAt(layer, { offsetBytes: 0, target: bytes })
          frozen.set(`${snapshot.name} ${disk.deviceKey}`, createHash('sha256').update(bytes).digest('hex'))
          await site.addDisk(disk.pathsOf(layer).descriptorPath, bytes)
        }
        return snapshot
      }
      return machine
    },
    [Symbol.asyncDispose]: async () => {
      await home[Symbol.asyncDispose]()
      await sim[Symbol.asyncDispose]()
      await site[Symbol.asyncDispose]()
    },
  }
}

async function expectRestored({ home, frozen }: Place, point: PointDocument): Promise<void> {
  const files = await restorePoint(home, point)
  expect(files.size).toBe(point.disks.length)
  for (const [key, path] of files) expect(await digestOf(path)).toBe(frozen.get(`${point.snapshotName} ${key}`))
}

async function opensOf({ site }: Place): Promise<number> {
  return (await site.calls()).filter((call) => call.startsWith('open')).length
}

function pidsOf(words: string): readonly number[] {
  const { stdout } = spawnSync('pgrep', ['-f', words], { encoding: 'utf8' })
  return stdout.trim().split('\n').filter(Boolean).map(Number)
}

function parentOf(pid: number): number {
  const { stdout } = spawnSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' })
  const parent = Number(stdout.trim())
  if (!(parent > 1) || parent === process.pid) throw new Error(`Process ${pid} has the parent "${stdout}"`)
  return parent
}

/** The guest writes 20,000 bytes at each place, where the disk has it. */
function write(machine: Machine, places: readonly number[]): void {
  for (const disk of machine.disks)
    for (const offsetBytes of places)
      if (offsetBytes + 20_000 <= disk.capacityBytes) disk.write({ offsetBytes, bytes: random.bytes(20_000) })
}
