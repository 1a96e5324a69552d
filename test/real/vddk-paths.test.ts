// A snapshot's disk whose files moved while it was to be read (Storage vMotion): found again by the snapshot, or not at all.

import { describe, expect, it } from 'vitest'
import { readServerCertificate } from '../../lib/adapters/vsphere/certificate.ts'
import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { bytesEqual } from '../../lib/base/bytes.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { openTransports } from '../../lib/compose/transports.ts'
import type { DiskRequest, Transport } from '../../lib/ports/transport.ts'
import type { VddkSettings } from '../../lib/wire/vddk-settings.ts'
import { openSimVcenter, type SimVcenter } from '../adapters/vsphere/sim-vcenter.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { openVddkSite, type VddkSite } from './vddk/site.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }

describe.skipIf(peerSkip('nbdkit', 'vddk-plugin'))('a disk whose path is no longer one', () => {
  it('is read where the snapshot has it now, when it is the same disk', async () => {
    await using place = await openPlace()
    const { site, request, transport } = place
    const machine = place.move('ds2')
    const [disk] = machine.disks
    if (disk === undefined) throw new Error('The machine has no disk')
    const image = new Uint8Array(disk.capacityBytes)
    disk.readAt(disk.active, { offsetBytes: 0, target: image })
    const now = disk.chain()[0]?.descriptorPath ?? ''
    expect(now).not.toBe(request.disk.fileName)
    await site.addDisk(now, image)
    await using source = await transport.open(request, cancel)
    const target = new Uint8Array(65_536)
    await source.read({ offsetBytes: 65_536, target }, cancel)
    expect(bytesEqual(target, image.subarray(65_536, 131_072))).toBe(true)
    const calls = (await site.calls()).filter((call) => call.startsWith('open'))
    expect(calls.map((call) => call.slice(call.indexOf('file=')))).toEqual([
      `file=${request.disk.fileName}`,
      `file=${now}`,
    ])
  })

  it.each([
    ['another uuid', { uuid: '6000C29f-0000-0000-0000-000000000000' }],
    ['no uuid', { uuid: null }],
    ['another size', { capacityBytes: 1_048_576 }],
    ['another key', { key: 2009 }],
  ])('is not taken for one that has %s', async (_name, change) => {
    await using place = await openPlace()
    place.move('ds2')
    const request = { ...place.request, disk: { ...place.request.disk, ...change } }
    await expect(place.transport.open(request, cancel)).rejects.toMatchObject({
      code: 'disk-read-failed',
      retry: 'later',
    })
  })

  it('is missing when it did not move', async () => {
    await using place = await openPlace()
    await expect(place.transport.open(place.request, cancel)).rejects.toMatchObject({ code: 'vddk-file-not-found' })
  })

  it('is gone when the snapshot is', async () => {
    await using place = await openPlace()
    await using session = await openVsphere(place.sim.settings).open(cancel)
    await session.removeSnapshot(place.request.snapshot, cancel)
    await expect(place.transport.open(place.request, cancel)).rejects.toMatchObject({ code: 'snapshot-not-found' })
  })
})

type Place = AsyncDisposable & {
  readonly sim: SimVcenter
  readonly site: VddkSite
  readonly request: DiskRequest
  readonly transport: Transport
  move(datastore: string): ReturnType<SimVcenter['estate']['named']>[number]
}

/** "db-01" with a snapshot, and a VDDK that has none of its files. */
async function openPlace(): Promise<Place> {
  const sim = await openSimVcenter()
  const site = await openVddkSite()
  const { account, trust } = sim.settings
  if (trust.kind !== 'thumbprint') throw new Error('The simulator is known by its thumbprint')
  const { sha1 } = await readServerCertificate(sim.settings, cancel)
  const { user, password } = await account(cancel)
  await site.put('site', `user ${user}\npassword ${password}\nthumbprint ${sha1}\n`)
  await using session = await openVsphere(sim.settings).open(cancel)
  const vm = (await session.listVms(cancel)).find(({ name }) => name === 'db-01')
  if (vm === undefined) throw new Error('There is no "db-01"')
  const wish = { vm: vm.moref, name: 'held', description: '', quiesce: { kind: 'none' } } as const
  const snapshot = await session.createSnapshot(wish, cancel)
  const [disk] = (await session.readSnapshot(snapshot, cancel)).disks
  if (disk === undefined) throw new Error('The snapshot has no disk')
  const vddk: VddkSettings = {
    directory: site.libdir,
    nbdkit: requirePeer('nbdkit'),
    plugin: requirePeer('vddk-plugin'),
    compression: 'none',
    nfcPort: null,
    moverVm: null,
  }
  const variable = { kind: 'environment', name: 'PASSWORD' } as const
  const sha256 = trust.sha256.replaceAll(':', '').toLowerCase()
  const vcenter = { url: sim.settings.url, user, password: variable, trust: { kind: 'thumbprint', sha256 } } as const
  const around = { environment: { PASSWORD: password }, clock: systemClock, random: systemRandom }
  const transports = await openTransports([{ kind: 'vddk', vcenter, vddk }], around, cancel)
  const transport = transports.find(({ name }) => name === 'nbdssl')
  if (transport === undefined) throw new Error('There is no transport "nbdssl"')
  return {
    ...{ sim, site, transport, request: { vm: vm.moref, snapshot, datacenter: vm.datacenter, disk } },
    move: (datastore) => {
      const [machine] = sim.estate.named('db-01')
      if (machine === undefined) throw new Error('There is no "db-01"')
      sim.estate.relocateMachine(machine, { host: null, datastore, changeTracking: 'kept' })
      return machine
    },
    [Symbol.asyncDispose]: async () => {
      await sim[Symbol.asyncDispose]()
      await site[Symbol.asyncDispose]()
    },
  }
}
