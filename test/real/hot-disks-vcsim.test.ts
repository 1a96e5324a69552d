// A disk attached to another VM in a vCenter that is not ours, and detached by our call: the device goes, the file stays.

import { access, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSession } from '../../lib/adapters/vsphere/session.ts'
import { runTask } from '../../lib/adapters/vsphere/tasks.ts'
import { record, ref, typed } from '../../lib/adapters/vsphere/values.ts'
import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { peerSkip } from '../kit/peers.ts'
import { openVcsim } from '../kit/vcsim.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }

describe.skipIf(peerSkip('vcsim'))('hot-added disks in vcsim', () => {
  it('are detached without a trace, and nothing else of the VM is', async () => {
    await using vcsim = await openVcsim()
    const { url, user, password, thumbprintSha256: sha256 } = vcsim
    const trust = { kind: 'thumbprint', sha256 } as const
    const around = { clock: systemClock, random: seededRandom(1) }
    const settings = { url, account: async () => ({ user, password }), trust, ...around }
    await using session = await openVsphere(settings).open(cancel)
    const [read, mover] = (await session.listVms(cancel)).filter(({ host }) => host !== null)
    if (read === undefined || mover === undefined) throw new Error('vcsim has no two VMs')
    const [disk] = (await session.readVm(read.moref, cancel)).disks
    const before = (await session.readVm(mover.moref, cancel)).disks
    const [own] = before
    if (disk === undefined || own === undefined) throw new Error('the VMs have no disks')

    await using raw = await openSession(settings, cancel)
    const mode = { fileName: disk.fileName, diskMode: 'independent_nonpersistent' }
    const backing = typed('VirtualDiskFlatVer2BackingInfo', mode)
    const place = { controllerKey: own.controllerKey, unitNumber: 5, capacityInKB: disk.capacityBytes / 1024 }
    const device = typed('VirtualDisk', { key: -1, backing, ...place })
    const spec = record({ deviceChange: [record({ operation: 'add', device })] })
    const target = ref('VirtualMachine', mover.moref)
    const call = { method: 'ReconfigVM_Task', target, args: { spec }, what: 'Cannot attach a disk' }
    await runTask(raw, call, cancel)
    expect((await session.readVm(mover.moref, cancel)).disks).toHaveLength(before.length + 1)

    const files = [disk.fileName, own.fileName]
    expect(await session.detachDisks({ vm: mover.moref, files }, cancel)).toEqual([disk.fileName])
    expect((await session.readVm(mover.moref, cancel)).disks).toEqual(before)
    expect((await session.readVm(read.moref, cancel)).disks).toContainEqual(disk)
    const store = (await readdir(vcsim.temporaryDirectory)).find((name) => name.includes('LocalDS_0'))
    await access(join(vcsim.temporaryDirectory, store ?? '', disk.fileName.replace(/^\[.*\] /, '')))
    expect(await session.detachDisks({ vm: mover.moref, files }, cancel)).toEqual([])
  }, 60_000)
})
