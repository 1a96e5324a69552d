// The vSphere adapter against vcsim, a vCenter simulator that is not ours.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { datastoreTransport } from '../../lib/adapters/vsphere/datastore.ts'
import { listVms } from '../../lib/adapters/vsphere/inventory.ts'
import { openSession } from '../../lib/adapters/vsphere/session.ts'
import { createSnapshot, removeSnapshot } from '../../lib/adapters/vsphere/snapshots.ts'
import { ref } from '../../lib/adapters/vsphere/values.ts'
import { readVm } from '../../lib/adapters/vsphere/vm-state.ts'
import { openVsphere, type VsphereSettings } from '../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { vsphereContract } from '../contract/vsphere.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { openVcsim, type Vcsim } from '../kit/vcsim.ts'

const cancel = { signal: AbortSignal.timeout(120_000) }
const MiB = 1024 * 1024

function settingsOf({ url, user, password, thumbprintSha256 }: Vcsim): VsphereSettings {
  return {
    url,
    account: async () => ({ user, password }),
    trust: { kind: 'thumbprint', sha256: thumbprintSha256 },
    clock: systemClock,
    random: systemRandom,
  }
}

describe.skipIf(peerSkip('vcsim'))('vSphere adapter on vcsim', () => {
  vsphereContract('vcsim', { changedAreas: false, createVm: false }, async () => {
    const vcsim = await openVcsim()
    return {
      vsphere: openVsphere(settingsOf(vcsim)),
      vmName: 'DC0_H0_VM0',
      [Symbol.asyncDispose]: () => vcsim[Symbol.asyncDispose](),
    }
  })

  it('refuses a wrong password by name, without showing it', async () => {
    await using vcsim = await openVcsim()
    const vsphere = openVsphere(settingsOf({ ...vcsim, password: 'wrong-secret' }))
    const error = await vsphere.open(cancel).catch((failure: unknown) => failure)
    expect(error).toMatchObject({ code: 'vcenter-login', kind: 'refused', facts: { fault: 'InvalidLogin' } })
    expect(String(error)).not.toContain('wrong-secret')
  })

  it('logs in again when the session is gone, and goes on', async () => {
    await using vcsim = await openVcsim()
    await using session = await openSession(settingsOf(vcsim), cancel)
    const [vm] = await listVms(session, cancel)
    if (vm === undefined) throw new Error('no VM')
    const endSession = () => {
      const target = ref('SessionManager', 'SessionManager')
      return session.call({ method: 'Logout', target, what: 'Cannot end the session' }, cancel)
    }

    await endSession()
    expect((await readVm(session, vm.moref, cancel)).name).toBe(vm.name)
    await endSession()
    const request = { vm: vm.moref, name: 'after', description: '', quiesce: { kind: 'none' } } as const
    const snapshot = await createSnapshot(session, request, cancel)
    await endSession()
    expect((await listVms(session, cancel)).length).toBeGreaterThan(0)
    await endSession()
    await removeSnapshot(session, snapshot, cancel)
    expect((await readVm(session, vm.moref, cancel)).snapshots).toEqual([])
  })

  it('makes a VM with blank disks on a standalone host', async () => {
    await using vcsim = await openVcsim()
    await using session = await openVsphere(settingsOf(vcsim)).open(cancel)
    const vm = (await session.listVms(cancel)).find(({ name }) => name === 'DC0_H0_VM0')
    if (vm === undefined) throw new Error('no VM')
    const request = { vm: vm.moref, name: 'config', description: '', quiesce: { kind: 'none' } } as const
    const snapshot = await session.createSnapshot(request, cancel)
    const config = await session.captureConfig({ vm: vm.moref, snapshot }, cancel)
    const place = { datacenter: 'DC0', cluster: 'DC0_H0', datastore: 'LocalDS_0' }
    const { vm: created, missing } = await session.createVm({ config, name: 'copy', ...place }, cancel)
    const copy = await session.readVm(created, cancel)
    expect(copy).toMatchObject({ name: 'copy', powerState: 'poweredOff', datacenter: 'DC0' })
    expect(copy.disks.map(({ capacityBytes }) => capacityBytes)).toEqual(
      config.disks.map(({ capacityBytes }) => capacityBytes),
    )
    expect(missing.join()).toContain('VirtualCdrom')
  })
})

describe.skipIf(peerSkip('vcsim', 'mke2fs'))('transport datastore on vcsim', () => {
  it('reads a disk with a real filesystem, byte for byte', async () => {
    await using vcsim = await openVcsim()
    const settings = settingsOf(vcsim)
    await using session = await openVsphere(settings).open(cancel)
    const listed = (await session.listVms(cancel)).find(({ name }) => name === 'DC0_H0_VM0')
    if (listed === undefined) throw new Error('no VM')
    const { image, folder } = await makeImage(vcsim, 64)
    // vcsim's disks are of 1 MiB, so a VM of the wanted size is made first.
    const request = { vm: listed.moref, name: 'config', description: '', quiesce: { kind: 'none' } } as const
    const config = await session.captureConfig(
      { vm: listed.moref, snapshot: await session.createSnapshot(request, cancel) },
      cancel,
    )
    const disks = config.disks.map((disk) => ({ ...disk, capacityBytes: 64 * MiB }))
    const place = { datacenter: 'DC0', cluster: 'DC0_H0', datastore: 'LocalDS_0' }
    const { vm } = await session.createVm({ config: { ...config, disks }, name: 'real disk', ...place }, cancel)
    const snapshot = await session.createSnapshot({ ...request, vm }, cancel)
    const [disk] = (await session.readSnapshot(snapshot, cancel)).disks
    if (disk === undefined) throw new Error('no disk')
    await copyFile(
      image,
      join(await datastoreFolder(vcsim), disk.fileName.replace(/^\[.*\] /, '').replace('.vmdk', '-flat.vmdk')),
    )

    const transport = datastoreTransport(settings)
    await using source = await transport.open({ vm, snapshot, datacenter: 'DC0', disk }, cancel)
    expect(source.capacityBytes).toBe(64 * MiB)
    const whole = new Uint8Array(source.capacityBytes)
    const reads = Array.from({ length: 32 }, (_, index) => index * 2 * MiB)
    await Promise.all(
      reads.map((offsetBytes) =>
        source.read({ offsetBytes, target: whole.subarray(offsetBytes, offsetBytes + 2 * MiB) }, cancel),
      ),
    )
    expect(sha256(whole)).toBe(sha256(await readFile(image)))
    await rm(folder, { recursive: true })
  })

  it('refuses a disk whose file is not of its capacity', async () => {
    await using vcsim = await openVcsim()
    const settings = settingsOf(vcsim)
    await using session = await openVsphere(settings).open(cancel)
    const [vm] = await session.listVms(cancel)
    if (vm === undefined) throw new Error('no VM')
    const request = { vm: vm.moref, name: 'empty', description: '', quiesce: { kind: 'none' } } as const
    const snapshot = await session.createSnapshot(request, cancel)
    const [disk] = (await session.readSnapshot(snapshot, cancel)).disks
    if (disk === undefined) throw new Error('no disk')
    const opened = datastoreTransport(settings).open({ vm: vm.moref, snapshot, datacenter: 'DC0', disk }, cancel)
    await expect(opened).rejects.toMatchObject({
      code: 'transport-refused',
      facts: { sizeBytes: 0, neededBytes: disk.capacityBytes },
    })
  })
})

/** An ext4 filesystem with some files in it. */
async function makeImage(vcsim: Vcsim, sizeMiB: number): Promise<{ readonly image: string; readonly folder: string }> {
  const folder = join(vcsim.temporaryDirectory, 'image')
  await mkdir(join(folder, 'root'), { recursive: true })
  for (let file = 0; file < 20; file++)
    await writeFile(join(folder, 'root', `file-${file}`), systemRandom.bytes(200_000))
  const image = join(folder, 'disk.img')
  await writeFile(image, '')
  const made = spawnSync(requirePeer('mke2fs'), [
    '-q',
    '-F',
    '-t',
    'ext4',
    '-d',
    join(folder, 'root'),
    image,
    `${sizeMiB}M`,
  ])
  if (made.status !== 0) throw new Error(made.stderr.toString())
  return { image, folder }
}

async function datastoreFolder({ temporaryDirectory }: Vcsim): Promise<string> {
  const found = (await readdir(temporaryDirectory)).find((name) => name.startsWith('govcsim-DC0-LocalDS_0'))
  if (found === undefined) throw new Error('no datastore')
  return join(temporaryDirectory, found)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
