// Transport `lease`: the frozen bytes of whole chains as streams, and a server that loses, cuts and spoils them.

import { describe, expect, it, onTestFinished } from 'vitest'
import { leaseTransport } from '../../../lib/adapters/vsphere/lease.ts'
import { leaseSource } from '../../../lib/adapters/vsphere/lease-source.ts'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { bytesEqual, MiB } from '../../../lib/base/bytes.ts'
import type { VmDisk } from '../../../lib/model/vm.ts'
import type { DiskSource } from '../../../lib/ports/disk.ts'
import type { DiskRequest } from '../../../lib/ports/transport.ts'
import { describeDiskStream } from '../../contract/disk-stream.ts'
import { encodeVmdkStream } from '../../kit/vmdk-stream.ts'
import { openSimVcenter, type SimVcenter, type SimVcenterOptions } from './sim-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }

describeDiskStream('a VMDK stream', async (image) => {
  const stream = encodeVmdkStream(image)
  return leaseSource({
    disk: { ...plainDisk, capacityBytes: image.byteLength },
    begin: async function* () {
      for (let at = 0; at < stream.byteLength; at += 10_000) yield stream.subarray(at, at + 10_000)
    },
    onPosition: () => undefined,
    close: async () => undefined,
  })
})

const plainDisk: VmDisk = {
  key: 2000,
  label: 'Hard disk 1',
  capacityBytes: MiB,
  controllerKey: 1000,
  unitNumber: 0,
  mode: 'persistent',
  backing: 'flat',
  fileName: '[ds] a/a.vmdk',
  parents: [],
  uuid: null,
  changeId: null,
  thin: true,
  encrypted: false,
  sharing: false,
}

type Exported = { readonly sim: SimVcenter; readonly requests: readonly DiskRequest[]; readonly images: Uint8Array[] }

/** A snapshot of app-01, below which another's snapshot stands and in whose disks is data of before and after that. */
async function exportedVm(options: SimVcenterOptions = {}): Promise<Exported> {
  const sim = await openSimVcenter(options)
  onTestFinished(() => sim[Symbol.asyncDispose]())
  await using session = await openVsphere(sim.settings).open(cancel)
  const vm = (await session.listVms(cancel)).find(({ name }) => name === 'app-01')
  if (vm === undefined) throw new Error('no VM "app-01"')
  const machine = sim.estate.machines().find((one) => one.machine.config.name === 'app-01')?.machine
  if (machine === undefined) throw new Error('no machine "app-01"')
  const wish = { vm: vm.moref, name: 'of another', description: '', quiesce: { kind: 'none' } } as const
  await session.createSnapshot(wish, cancel)
  machine.guest.step(20)
  const snapshot = await session.createSnapshot(wish, cancel)
  const { disks } = await session.readSnapshot(snapshot, cancel)
  const requests = disks.map((disk) => ({ vm: vm.moref, snapshot, datacenter: vm.datacenter, disk }))
  const images = disks.map(({ key, capacityBytes }) => {
    const kept = machine.currentSnapshot?.disks.find(({ deviceKey }) => deviceKey === key)
    const image = new Uint8Array(capacityBytes)
    kept?.content.read({ offsetBytes: 0, target: image })
    return image
  })
  machine.guest.step(20)
  return { sim, requests, images }
}

async function readThrough(source: DiskSource): Promise<Uint8Array> {
  const disk = new Uint8Array(source.capacityBytes)
  for (let at = 0; at < disk.byteLength; at += MiB) {
    await source.read({ offsetBytes: at, target: disk.subarray(at, Math.min(at + MiB, disk.byteLength)) }, cancel)
  }
  return disk
}

async function readFirst({ sim, requests }: Exported): Promise<Uint8Array> {
  const [request] = requests
  if (request === undefined) throw new Error('no disk')
  await using source = await leaseTransport(sim.settings).open(request, cancel)
  return await readThrough(source)
}

const callsOf = ({ sim }: Exported, name: string): number => sim.scenario.calls()[name] ?? 0

describe('transport lease', () => {
  it.each(['*', 'own', 'localhost'] as const)(
    'gives what the snapshot froze, chain and all, from the host "%s"',
    async (host) => {
      const vm = await exportedVm({ guestFileHost: host })
      expect(vm.requests.length).toBeGreaterThan(1)
      expect(vm.requests[0]?.disk.parents.length).toBeGreaterThan(0)
      const transport = leaseTransport(vm.sim.settings)
      for (const [index, request] of vm.requests.entries()) {
        await using source = await transport.open(request, cancel)
        expect(bytesEqual(await readThrough(source), vm.images[index] ?? new Uint8Array())).toBe(true)
      }
      expect(callsOf(vm, 'HttpNfcLeaseComplete')).toBe(vm.requests.length)
      expect(callsOf(vm, 'HttpNfcLeaseAbort')).toBe(0)
    },
  )

  it('sends nothing to a host whose certificate is not the one that vCenter vouches for', async () => {
    const vm = await exportedVm({ guestFileHost: 'localhost' })
    vm.sim.arm('ExportSnapshot', { kind: 'other-bytes' })
    await expect(readFirst(vm)).rejects.toMatchObject({ code: 'disk-read-failed', cause: { code: 'host-certificate' } })
    expect(callsOf(vm, '/nfc')).toBe(0)
  })

  it('exports once for the disks that are open together, and gives a lease up that nobody read', async () => {
    const vm = await exportedVm()
    const transport = leaseTransport(vm.sim.settings)
    const sources = await Promise.all(vm.requests.map((request) => transport.open(request, cancel)))
    for (const source of sources) await source[Symbol.asyncDispose]()
    expect([callsOf(vm, 'ExportSnapshot'), callsOf(vm, 'HttpNfcLeaseAbort')]).toEqual([1, 1])
    expect(callsOf(vm, 'Logout')).toBeGreaterThan(0)
    expect(bytesEqual(await readFirst(vm), vm.images[0] ?? new Uint8Array())).toBe(true)
  })

  it('keeps the lease alive while its reader is slow', async () => {
    const vm = await exportedVm({ leaseMs: 1_000 })
    const [request] = vm.requests
    if (request === undefined) throw new Error('no disk')
    await using source = await leaseTransport(vm.sim.settings).open(request, cancel)
    await source.read({ offsetBytes: 0, target: new Uint8Array(512) }, cancel)
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    const rest = new Uint8Array(MiB)
    await source.read({ offsetBytes: 512, target: rest }, cancel)
    expect(bytesEqual(rest, (vm.images[0] ?? new Uint8Array()).subarray(512, 512 + MiB))).toBe(true)
    expect(callsOf(vm, 'HttpNfcLeaseProgress')).toBeGreaterThan(3)
  })

  it.each([
    ['cut short', 'short-body', 'it ends here'],
    ['with a grain in the place of another', 'other-bytes', 'grain'],
  ] as const)('takes no stream for the disk that comes %s', async (_, kind, words) => {
    const vm = await exportedVm()
    vm.sim.arm('/nfc', { kind })
    const failure = await readFirst(vm).then(
      () => null,
      (error: unknown) => error,
    )
    expect(failure).toMatchObject({ code: 'disk-read-failed', retry: 'later' })
    expect(String(failure)).toContain(words)
    expect([callsOf(vm, 'HttpNfcLeaseAbort'), callsOf(vm, 'HttpNfcLeaseComplete')]).toEqual([1, 0])
    expect(bytesEqual(await readFirst(vm), vm.images[0] ?? new Uint8Array())).toBe(true)
  })

  it.each([
    ['connection', '/nfc', { kind: 'drop-connection' }],
    ['ticket', '/nfc', { kind: 'http-status', status: 404 }],
    ['free session', '/nfc', { kind: 'http-status', status: 503 }],
    ['lease', 'HttpNfcLeaseProgress', { kind: 'fault', fault: 'Timedout', message: 'The lease has timed out.' }],
    ['session', 'HttpNfcLeaseProgress', { kind: 'expire-session' }],
  ] as const)('fails the read, to be tried later, without a %s', async (_, call, mishap) => {
    const vm = await exportedVm({ leaseMs: 600 })
    vm.sim.arm(call, mishap, { times: 50 })
    const [request] = vm.requests
    if (request === undefined) throw new Error('no disk')
    await using source = await leaseTransport(vm.sim.settings).open(request, cancel)
    if (call !== '/nfc') await new Promise((resolve) => setTimeout(resolve, 1_500))
    await expect(readThrough(source)).rejects.toMatchObject({ code: 'disk-read-failed', retry: 'later' })
    await expect(source.read({ offsetBytes: MiB * 3, target: new Uint8Array(4) }, cancel)).rejects.toMatchObject({
      code: 'disk-read-failed',
    })
  })

  it('tells why an export was refused, and leaves no session behind', async () => {
    const vm = await exportedVm()
    vm.sim.arm('ExportSnapshot', { kind: 'task-fault', fault: 'FileFault', message: 'Unable to access the file' })
    await expect(readFirst(vm)).rejects.toMatchObject({ code: 'vcenter-fault', facts: { fault: 'FileFault' } })
    vm.sim.arm('ExportSnapshot', { kind: 'fault', fault: 'TaskInProgress', message: 'Another task' })
    await expect(readFirst(vm)).rejects.toMatchObject({ retry: 'later' })
    const denied = await exportedVm({ deniedPrivileges: ['VApp.Export'] })
    await expect(readFirst(denied)).rejects.toMatchObject({
      code: 'vcenter-permission',
      facts: { privilegeId: 'VApp.Export' },
    })
  })

  it.each<readonly [string, Partial<VmDisk>]>([
    ['it is encrypted', { encrypted: true }],
    ['it is independent', { mode: 'independent_persistent' }],
    ['it is a physical raw device mapping', { backing: 'rdm-physical' }],
  ])('refuses a disk by its description: %s', async (words, change) => {
    const vm = await exportedVm()
    const [first] = vm.requests
    if (first === undefined) throw new Error('no disk')
    const request = { ...first, disk: { ...first.disk, ...change } }
    const transport = leaseTransport(vm.sim.settings)
    expect(transport.refusal(request)).toContain(words)
    await expect(transport.open(request, cancel)).rejects.toMatchObject({ code: 'transport-refused' })
    expect(transport.refusal(first)).toBeNull()
  })
})
