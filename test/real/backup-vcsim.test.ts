// The whole product against a vCenter that is not ours: a VM in vcsim whose disk is a real ext4 filesystem.
// vcsim has no changed block tracking, so both backups read the whole disk and say so.

import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, open, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { Moref } from '../../lib/model/ids.ts'
import { backUp, dataOf, digestOf, openHome, type PointDocument, pointsOf, type RestoreData } from '../flow/kit.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { openVcsim, type Vcsim } from '../kit/vcsim.ts'

const MiB = 1024 * 1024
const DISK_BYTES = 64 * MiB
const VM = 'real ext4'
const cancel = { signal: AbortSignal.timeout(120_000) }
const random = seededRandom(7)

describe.skipIf(peerSkip('vcsim', 'mke2fs', 'e2fsck'))('backup and restore against vcsim', () => {
  it('bring a real filesystem back clean and equal, twice', async () => {
    await using vcsim = await openVcsim()
    const { url: sdkUrl, user, password, thumbprintSha256 } = vcsim
    await using home = await openHome({ sdkUrl, user, password, thumbprintSha256 })
    const image = await makeImage(home.folder)
    const { vm, flat } = await makeVm(vcsim)
    await copyFile(image, flat)

    const first = await backUp(home, [VM])
    expect(first.jobs.map((job) => job.outcome)).toMatchObject([{ kind: 'warning', code: 'cbt-unavailable' }])
    await expectRestored(home, { sequence: 1, image })

    // 300 KB in the middle of the disk: a few chunks change, and only they are stored again.
    await using file = await open(flat, 'r+')
    await file.write(random.bytes(300_000), 0, 300_000, 40 * MiB + 12_345)
    const second = await backUp(home, [VM])
    // What lasts was said by the first.
    expect(second.jobs.map((job) => job.outcome)).toMatchObject([{ kind: 'success' }])
    const point = await expectRestored(home, { sequence: 2, image: flat })
    const [disk] = point.disks
    expect(disk).toMatchObject({ readMode: 'differential', readBytes: DISK_BYTES })
    expect(disk?.newStoredBytes).toBeGreaterThan(300_000)
    expect(disk?.newStoredBytes).toBeLessThan(4 * MiB)
    // The first point is still what it was.
    await expectRestored(home, { sequence: 1, image })
    expect((await home.run(['verify', `${VM}@2`])).exitCode).toBe(0)

    await using session = await openVsphere(settingsOf(vcsim)).open(cancel)
    expect((await session.readVm(vm, cancel)).snapshots).toEqual([])
  }, 120_000)
})

type Home = Awaited<ReturnType<typeof openHome>>

/** Restores one point: its bytes are the image's, and the first one's filesystem is clean. */
async function expectRestored(
  home: Home,
  { sequence, image }: { readonly sequence: number; readonly image: string },
): Promise<PointDocument> {
  const point = (await pointsOf(home)).find((each) => each.vm === VM && each.sequence === sequence)
  if (point === undefined) throw new Error(`There is no point ${sequence}`)
  const target = join(home.folder, `restored-${sequence}.raw`)
  const args = ['restore', `${VM}@${sequence}`, '--to', target, '--overwrite']
  const { files } = dataOf(await home.run<RestoreData>(args))
  expect(files).toMatchObject([{ path: target }])
  expect(await digestOf(target)).toBe(await digestOf(image))
  const check = spawnSync(requirePeer('e2fsck'), ['-fn', target], { encoding: 'utf8' })
  if (sequence === 1) expect(check.status, check.stdout).toBe(0)
  return point
}

async function makeImage(folder: string): Promise<string> {
  const root = join(folder, 'root')
  await mkdir(root)
  for (let file = 0; file < 30; file++) {
    await writeFile(join(root, `random-${file}`), random.bytes(200_000))
    await writeFile(join(root, `text-${file}`), `line of file ${file}\n`.repeat(5_000))
  }
  const image = join(folder, 'disk.img')
  const made = spawnSync(
    requirePeer('mke2fs'),
    ['-q', '-F', '-t', 'ext4', '-d', root, image, `${DISK_BYTES / 1024}k`],
    { encoding: 'utf8' },
  )
  if (made.status !== 0) throw new Error(made.stderr)
  return image
}

/** vcsim's own disks are of 1 MiB, so a VM of the wanted size is made first; its disk's file is empty. */
async function makeVm(vcsim: Vcsim): Promise<{ readonly vm: Moref; readonly flat: string }> {
  await using session = await openVsphere(settingsOf(vcsim)).open(cancel)
  const listed = (await session.listVms(cancel)).find(({ name }) => name === 'DC0_H0_VM0')
  if (listed === undefined) throw new Error('There is no VM in vcsim')
  const snapshot = await session.createSnapshot(
    { vm: listed.moref, name: 'config', description: '', quiesce: { kind: 'none' } },
    cancel,
  )
  const config = await session.captureConfig({ vm: listed.moref, snapshot }, cancel)
  await session.removeSnapshot(snapshot, cancel)
  const disks = config.disks.map((disk) => ({ ...disk, capacityBytes: DISK_BYTES }))
  const place = { datacenter: 'DC0', cluster: 'DC0_H0', datastore: 'LocalDS_0' }
  const { vm } = await session.createVm({ config: { ...config, disks }, name: VM, ...place }, cancel)
  const [disk] = (await session.readVm(vm, cancel)).disks
  if (disk === undefined) throw new Error('The new VM has no disk')
  const datastore = (await readdir(vcsim.temporaryDirectory)).find((name) => name.startsWith('govcsim-DC0-LocalDS_0'))
  if (datastore === undefined) throw new Error('vcsim has no datastore folder')
  const path = disk.fileName.replace(/^\[.*\] /, '').replace(/\.vmdk$/, '-flat.vmdk')
  return { vm, flat: join(vcsim.temporaryDirectory, datastore, path) }
}

function settingsOf({ url, user, password, thumbprintSha256 }: Vcsim) {
  return {
    url,
    account: async () => ({ user, password }),
    trust: { kind: 'thumbprint', sha256: thumbprintSha256 },
    clock: systemClock,
    random: seededRandom(8),
  } as const
}
