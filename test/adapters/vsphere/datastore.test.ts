// Transport `datastore`: the frozen bytes, and a server that lies, locks, forgets or breaks off.

import { describe, expect, it } from 'vitest'
import { datastoreTransport } from '../../../lib/adapters/vsphere/datastore.ts'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { hasCode } from '../../../lib/base/errors.ts'
import { parseMoref } from '../../../lib/model/ids.ts'
import type { VmDisk } from '../../../lib/model/vm.ts'
import type { DiskRequest } from '../../../lib/ports/transport.ts'
import { type Answer, openScripted, returned } from './scripted-vcenter.ts'
import { openSimVcenter, type SimVcenter } from './sim-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }
const KiB = 1024
const MiB = 1024 * KiB

const plainDisk: VmDisk = {
  key: 2000,
  label: 'Hard disk 1',
  capacityBytes: 4 * KiB,
  controllerKey: 1000,
  unitNumber: 0,
  mode: 'persistent',
  backing: 'flat',
  fileName: '[ds 1] a b/c#d.vmdk',
  parents: [],
  uuid: null,
  changeId: null,
  thin: true,
  encrypted: false,
  sharing: false,
}

function requestFor(disk: Partial<VmDisk> = {}): DiskRequest {
  return {
    vm: parseMoref('vm-1'),
    snapshot: parseMoref('snapshot-1'),
    datacenter: 'DC/1 x',
    disk: { ...plainDisk, ...disk },
  }
}

/** A snapshot of a VM of the simulator, with a request for its first disk. */
async function snapshotOf(sim: SimVcenter, vmName: string): Promise<DiskRequest> {
  await using session = await openVsphere(sim.settings).open(cancel)
  const vm = (await session.listVms(cancel)).find(({ name }) => name === vmName)
  if (vm === undefined) throw new Error(`No VM "${vmName}"`)
  const request = { vm: vm.moref, name: 's', description: '', quiesce: { kind: 'none' } } as const
  const snapshot = await session.createSnapshot(request, cancel)
  const [disk] = (await session.readSnapshot(snapshot, cancel)).disks
  if (disk === undefined) throw new Error('no disk')
  return { vm: vm.moref, snapshot, datacenter: vm.datacenter, disk }
}

function bytesInSim({ estate }: SimVcenter, path: string): Uint8Array {
  const file = estate.datastores[0]?.file(path)
  if (file === null || file === undefined) throw new Error(`No file "${path}"`)
  const bytes = new Uint8Array(file.sizeBytes)
  file.read({ offsetBytes: 0, target: bytes })
  return bytes
}

async function readAll(sim: SimVcenter, request: DiskRequest, stepBytes = MiB): Promise<Uint8Array> {
  await using source = await datastoreTransport(sim.settings).open(request, cancel)
  const whole = new Uint8Array(source.capacityBytes)
  const reads: Promise<void>[] = []
  for (let offsetBytes = 0; offsetBytes < whole.byteLength; offsetBytes += stepBytes) {
    reads.push(source.read({ offsetBytes, target: whole.subarray(offsetBytes, offsetBytes + stepBytes) }, cancel))
  }
  await Promise.all(reads)
  return whole
}

describe('transport datastore on the simulator', () => {
  it('reads exactly the frozen bytes, several ranges at once', async () => {
    await using sim = await openSimVcenter()
    const request = await snapshotOf(sim, 'app-01')
    expect(Buffer.compare(await readAll(sim, request, 300 * KiB), bytesInSim(sim, 'app-01/app-01-flat.vmdk'))).toBe(0)
  })

  it.each([
    ['a short body', { kind: 'short-body' }],
    ['a wrong range', { kind: 'wrong-range' }],
    ['a broken connection', { kind: 'drop-connection' }],
    ['a busy server', { kind: 'http-status', status: 503 }],
    ['an ended session', { kind: 'expire-session' }],
    ['a server error', { kind: 'http-status', status: 500 }],
  ] as const)('gets over %s and still reads the right bytes', async (_name, mishap) => {
    await using sim = await openSimVcenter()
    const request = await snapshotOf(sim, 'db-01')
    sim.arm('/folder', mishap, { skip: 3, times: 2 })
    expect(Buffer.compare(await readAll(sim, request), bytesInSim(sim, 'db-01/db-01-flat.vmdk'))).toBe(0)
  })

  it('gives up by name when bodies stay short', async () => {
    await using sim = await openSimVcenter()
    const request = await snapshotOf(sim, 'db-01')
    sim.arm('/folder', { kind: 'short-body' }, { skip: 3, times: 100 })
    await expect(readAll(sim, request)).rejects.toMatchObject({ code: 'disk-read-failed' })
  })

  it('refuses the delta of a VM that has an older snapshot, before and at opening', async () => {
    await using sim = await openSimVcenter({ foreignSnapshot: true })
    const request = await snapshotOf(sim, 'snap-01')
    const transport = datastoreTransport(sim.settings)
    expect(transport.refusal(request)).toContain('older snapshots')
    await expect(transport.open(request, cancel)).rejects.toMatchObject({ code: 'transport-refused' })
  })

  it('says that the file is gone when the snapshot was removed and its file with it', async () => {
    await using sim = await openSimVcenter()
    const request = await snapshotOf(sim, 'db-01')
    const gone = { ...request, disk: { ...request.disk, fileName: '[ds1] db-01/other.vmdk' } }
    await expect(readAll(sim, gone)).rejects.toMatchObject({
      code: 'transport-refused',
      message: expect.stringContaining('other-flat.vmdk'),
    })
  })

  it('is refused by name when the user may not read the datastore', async () => {
    await using sim = await openSimVcenter({ deniedPrivileges: ['Datastore.FileManagement'] })
    const request = await snapshotOf(sim, 'db-01')
    await expect(readAll(sim, request)).rejects.toMatchObject({ code: 'datastore-refused', kind: 'refused' })
  })

  it('shares one login between the disks of a VM, and logs in anew after the last was disposed', async () => {
    await using sim = await openSimVcenter()
    const request = await snapshotOf(sim, 'app-01')
    const before = sim.scenario.calls()
    const transport = datastoreTransport(sim.settings)
    {
      await using first = await transport.open(request, cancel)
      await using second = await transport.open(request, cancel)
      expect(first.capacityBytes).toBe(second.capacityBytes)
    }
    await using third = await transport.open(request, cancel)
    expect(third.capacityBytes).toBeGreaterThan(0)
    const after = sim.scenario.calls()
    const count = (name: string) => (after[name] ?? 0) - (before[name] ?? 0)
    expect([count('Login'), count('Logout')]).toEqual([2, 1])
  })

  it('answers one run of data for its allocation, as it knows of none', async () => {
    await using sim = await openSimVcenter()
    await using source = await datastoreTransport(sim.settings).open(await snapshotOf(sim, 'db-01'), cancel)
    const range = { offsetBytes: 512, lengthBytes: 1024 }
    expect(await source.allocation(range, cancel)).toEqual([{ ...range, kind: 'data' }])
  })
})

describe('refusal()', () => {
  const { refusal } = datastoreTransport({
    url: 'https://localhost',
    account: async () => ({ user: '', password: '' }),
    trust: { kind: 'system' },
    clock: { nowMs: () => 0, monotonicMs: () => 0, sleep: async () => undefined },
    random: { bytes: (count) => new Uint8Array(count), fraction: () => 0 },
  })

  it('is null for a flat disk without parents', () => {
    expect(refusal(requestFor())).toBeNull()
  })

  it.each<[string, Partial<VmDisk>]>([
    ['encrypted', { encrypted: true }],
    ['rdm-physical', { backing: 'rdm-physical' }],
    ['sesparse', { backing: 'sesparse' }],
    ['independent', { mode: 'independent_persistent' }],
    ['delta', { parents: ['[ds] a/b.vmdk'] }],
  ])('names a disk that is %s', (word, disk) => {
    expect(refusal(requestFor(disk))).toContain(word)
  })
})

const content = Uint8Array.from({ length: 4 * KiB }, (_, index) => index % 251)

function folderOf(answers: Readonly<Record<string, Answer>>): Readonly<Record<string, Answer>> {
  const object = (properties: string) =>
    returned(
      'RetrievePropertiesEx',
      `<returnval><objects><obj type="VirtualMachine">vm-1</obj>${properties}</objects></returnval>`,
    )
  return { RetrievePropertiesEx: () => object(''), ...answers }
}

function ranged(change: (range: { first: number; last: number }) => ReturnType<Answer>): Answer {
  return ({ headers }) => {
    const [, first = '', last = ''] = /^bytes=(\d+)-(\d+)$/.exec(String(headers['range'])) ?? []
    if (first === '') return { headers: { 'Content-Length': String(content.byteLength) }, body: '' }
    return change({ first: Number(first), last: Number(last) })
  }
}

const honest = ({ first, last }: { first: number; last: number }) => ({
  status: 206,
  headers: { 'Content-Range': `bytes ${first}-${last}/${content.byteLength}` },
  body: content.subarray(first, last + 1),
})

describe('transport datastore on a server that does as it is told', () => {
  const flat = 'GET /folder/a%20b/c%23d-flat.vmdk'
  const head = 'HEAD /folder/a%20b/c%23d-flat.vmdk'
  const size = { [head]: () => ({ body: content }) }

  async function read(answers: Readonly<Record<string, Answer>>, disk: Partial<VmDisk> = {}) {
    await using vcenter = await openScripted(folderOf(answers))
    const quick = { ...vcenter.settings, clock: { ...vcenter.settings.clock, sleep: async () => undefined } }
    await using source = await datastoreTransport(quick).open(requestFor(disk), cancel)
    const target = new Uint8Array(1000)
    await source.read({ offsetBytes: 700, target }, cancel)
    return { target, asked: vcenter.asked }
  }

  it('asks for odd names in encoded form and reads what it asked for', async () => {
    const { target, asked } = await read({ ...size, [flat]: ranged(honest) })
    expect(target).toEqual(content.slice(700, 1700))
    expect(asked.some(({ call }) => call === flat)).toBe(true)
  })

  it('reads the extents that a descriptor names, across their borders', async () => {
    const descriptor =
      '# Disk DescriptorFile\nversion=1\nCID=11111111\nparentCID=ffffffff\ncreateType="twoGbMaxExtentFlat"\n' +
      'RW 2 FLAT "x-f001.vmdk" 0\nRW 6 FLAT "x-f002.vmdk" 2\n'
    const part =
      (bytes: Uint8Array): Answer =>
      ({ headers }) => {
        const [, first = '', last = ''] = /^bytes=(\d+)-(\d+)$/.exec(String(headers['range'])) ?? []
        return {
          status: 206,
          headers: { 'Content-Range': `bytes ${first}-${last}/${bytes.byteLength}` },
          body: bytes.subarray(Number(first), Number(last) + 1),
        }
      }
    const second = new Uint8Array(2 * 512 + content.byteLength - 1024)
    second.set(content.subarray(1024), 2 * 512)
    const { target } = await read({
      'GET /folder/a%20b/c%23d.vmdk': () => ({ body: descriptor }),
      'HEAD /folder/a%20b/x-f001.vmdk': () => ({ body: content.subarray(0, 1024) }),
      'HEAD /folder/a%20b/x-f002.vmdk': () => ({ body: second }),
      'GET /folder/a%20b/x-f001.vmdk': part(content.subarray(0, 1024)),
      'GET /folder/a%20b/x-f002.vmdk': part(second),
    })
    expect(target).toEqual(content.slice(700, 1700))
  })

  it.each([
    ['a delta', 'parentCID=22222222\ncreateType="vmfsSparse"\nRW 8 VMFSSPARSE "c-delta.vmdk"', 'delta'],
    ['a raw device', 'parentCID=ffffffff\ncreateType="vmfsRawDeviceMap"\nRW 8 VMFSRDM "c-rdm.vmdk"', 'VMFSRDM'],
    ['another size', 'parentCID=ffffffff\ncreateType="vmfs"\nRW 9 VMFS "c-flat.vmdk"', '4608 bytes'],
  ])('refuses a descriptor of %s', async (_name, text, word) => {
    const answers = { 'GET /folder/a%20b/c%23d.vmdk': () => ({ body: `# Disk DescriptorFile\n${text}\n` }) }
    await expect(read(answers)).rejects.toMatchObject({
      code: 'transport-refused',
      message: expect.stringContaining(word),
    })
  })

  it("falls back from the name of an earlier snapshot's file to the base, at exactly its size", async () => {
    const disk = { fileName: '[ds 1] a b/c#d-000002.vmdk' }
    expect((await read({ ...size, [flat]: ranged(honest) }, disk)).target).toEqual(content.slice(700, 1700))
    const short = { [head]: () => ({ body: content.subarray(1) }), [flat]: ranged(honest) }
    await expect(read(short, disk)).rejects.toMatchObject({ code: 'transport-refused', facts: { sizeBytes: 4095 } })
  })

  const lies: readonly [string, Answer, string][] = [
    ['the whole file with status 200', () => ({ body: content }), '200'],
    ['416', () => ({ status: 416, body: '' }), '416'],
    ['404', () => ({ status: 404, body: '' }), 'gone'],
    [
      'no Content-Range',
      ranged(({ first, last }) => ({ status: 206, body: content.subarray(first, last + 1) })),
      'range "none"',
    ],
    [
      'another range',
      ranged(({ first, last }) => honest({ first: first - 1, last: last - 1 })),
      'range "bytes 699-1698/4096"',
    ],
    [
      'a body longer than its range',
      ranged((range) => ({ ...honest(range), body: content.subarray(range.first, range.last + 2) })),
      'longer',
    ],
    [
      'a body shorter than its range',
      ranged((range) => ({ ...honest(range), body: content.subarray(range.first, range.last) })),
      'ended after 999 of 1000',
    ],
    [
      'a file that shrank',
      ranged((range) => ({
        ...honest(range),
        headers: { 'Content-Range': `bytes ${range.first}-${range.last}/2048` },
      })),
      'shrunk to 2048',
    ],
    ['a connection that breaks off', ranged((range) => ({ ...honest(range), cutAt: 500 })), 'connection was lost'],
    ['a locked file', () => ({ status: 423, body: '' }), '423'],
    ['a refusal', () => ({ status: 403, body: '' }), '403'],
    ['a session that never holds', () => ({ status: 401, body: '' }), 'session'],
  ]
  it.each(lies)('refuses %s', async (_name, answer, word) => {
    const error = await read({ ...size, [flat]: answer }).catch((failure: unknown) => failure)
    expect(hasCode(error, 'disk-read-failed')).toBe(true)
    expect(String(error)).toContain(word)
  })

  it('says what may help when a file is locked, or vCenter has no HTTP session left', async () => {
    const refusals = [
      [423, /by a running VM or another task/],
      [503, /maxSessionCount/],
    ] as const
    for (const [status, hint] of refusals) {
      const failing = read({ ...size, [flat]: () => ({ status, body: '' }) })
      await expect(failing).rejects.toMatchObject({
        code: 'disk-read-failed',
        retry: 'later',
        hint: expect.stringMatching(hint),
      })
    }
  })

  it('refuses a disk on vSAN by the type of its datastore', async () => {
    const summary =
      '<val xsi:type="DatastoreSummary"><name>ds 1</name><url/><capacity>1</capacity><freeSpace>1</freeSpace><accessible>true</accessible><type>vsan</type></val>'
    const datastores =
      '<val xsi:type="ArrayOfManagedObjectReference"><ManagedObjectReference type="Datastore">ds-1</ManagedObjectReference></val>'
    const retrieve: Answer = ({ body }) =>
      body.includes('ds-1')
        ? returned(
            'RetrievePropertiesEx',
            `<returnval><objects><obj type="Datastore">ds-1</obj><propSet><name>summary</name>${summary}</propSet></objects></returnval>`,
          )
        : returned(
            'RetrievePropertiesEx',
            `<returnval><objects><obj type="VirtualMachine">vm-1</obj><propSet><name>datastore</name>${datastores}</propSet></objects></returnval>`,
          )
    await expect(read({ RetrievePropertiesEx: retrieve })).rejects.toMatchObject({
      code: 'transport-refused',
      message: expect.stringContaining('vsan'),
    })
  })
})

it('a read is made again when its host had no memory for it, and what was in use is given back', async () => {
  await using sim = await openSimVcenter()
  const request = await snapshotOf(sim, 'app-01')
  await using source = await datastoreTransport(sim.settings).open(request, cancel)
  const host = sim.estate.machines().find(({ machine }) => machine.config.name === 'app-01')?.place.host ?? ''
  const { peaks } = sim.estate
  const taken = peaks.read({ host, lengthBytes: 48 * MiB })
  expect(() => peaks.read({ host, lengthBytes: 1 })).toThrow('NFC_NO_MEMORY: Failed to allocate the requested 1 bytes')
  const target = new Uint8Array(64 * KiB)
  const reading = source.read({ offsetBytes: 0, target }, cancel)
  const most = () => peaks.report().readBytesAtOnceOfHost[host]
  await expect.poll(most, { interval: 5 }).toBe(48 * MiB + 64 * KiB)
  taken[Symbol.dispose]()
  await reading
  const all = Array.from({ length: 52 }, () => peaks.read({ host, lengthBytes: 1 }))
  expect(() => peaks.read({ host, lengthBytes: 1 })).toThrow('more than 52 connections')
  for (const each of all) each[Symbol.dispose]()
})
