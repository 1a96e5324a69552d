// What the simulated vCenter says that is not so, and what it does that was not asked: over the wire.

import { describe, expect, it } from 'vitest'
import { actOn } from '../../../sim/estate/act.ts'
import type { MachineAction } from '../../../sim/estate/actions.ts'
import { AREAS_LIES } from '../../../sim/machine/types.ts'
import { all, call, openSim, retrieve, type Sim, type SoapReply, textOf } from './raw-client.ts'

const machine = { type: 'VirtualMachine', id: 'vm-101' }
const flat = '/folder/app-01/app-01-flat.vmdk?dcPath=DC1'

describe('tasks that lie', () => {
  it('vanish while they run, and their work is done', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    sim.arm('CreateSnapshot_Task', { kind: 'task-vanish', workMs: 20 })
    const task = textOf((await createSnapshot(sim, cookie)).element, 'returnval')
    const state = async () => (await sim.soap(retrieve({ type: 'Task', id: task, paths: ['info'] }), { cookie })).fault
    await expect.poll(state).toBe('ManagedObjectNotFound')
    await expect.poll(() => snapshotsOf(sim)).toHaveLength(1)
  })

  it('time out, and go on all the same', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const { result } = await sim.task(await createSnapshot(sim, cookie), cookie)
    sim.arm('RemoveSnapshot_Task', { kind: 'task-timeout', workMs: 50 })
    const args = '<removeChildren>false</removeChildren><consolidate>true</consolidate>'
    const remove = call('RemoveSnapshot_Task', { type: 'VirtualMachineSnapshot', id: result ?? '', args })
    expect(await sim.task(await sim.soap(remove, { cookie }), cookie)).toMatchObject({ fault: 'Timedout' })
    expect(snapshotsOf(sim)).toHaveLength(1)
    await expect.poll(() => snapshotsOf(sim)).toHaveLength(0)
  })

  it('never end, with their work done or not, until they are cancelled', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    for (const work of [false, true]) {
      sim.arm('CreateSnapshot_Task', { kind: 'task-hang', work, ms: null })
      const reply = await createSnapshot(sim, cookie)
      const asked = retrieve({ type: 'Task', id: textOf(reply.element, 'returnval'), paths: ['info'] })
      const progress = async () => textOf((await sim.soap(asked, { cookie })).element, 'progress')
      await expect.poll(progress).toBe(work ? '60' : '10')
      expect(snapshotsOf(sim)).toHaveLength(work ? 1 : 0)
      expect((await createSnapshot(sim, cookie)).fault).toBe('TaskInProgress')
      if (work) break
      const cancel = call('CancelTask', { type: 'Task', id: textOf(reply.element, 'returnval') })
      expect((await sim.soap(cancel, { cookie })).fault).toBeNull()
      expect(await sim.task(reply, cookie)).toMatchObject({ state: 'error', fault: 'RequestCanceled' })
    }
  })

  it('end after the time they hang, with what they did', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    for (const work of [false, true]) {
      sim.arm('CreateSnapshot_Task', { kind: 'task-hang', work, ms: 30 })
      const ended = await sim.task(await createSnapshot(sim, cookie), cookie)
      expect(ended).toMatchObject(work ? { state: 'success' } : { fault: 'Timedout' })
    }
    expect(snapshotsOf(sim)).toHaveLength(1)
  })

  it('succeed without doing anything', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    sim.arm('CreateSnapshot_Task', { kind: 'task-idle' })
    const ended = await sim.task(await createSnapshot(sim, cookie), cookie)
    expect(ended).toMatchObject({ state: 'success', result: null })
    expect(snapshotsOf(sim)).toHaveLength(0)
  })

  it('take as long as they are told', async () => {
    await using sim = await openSim({ server: { snapshotMs: 100_000 } })

    const cookie = await sim.login()
    sim.arm('CreateSnapshot_Task', { kind: 'task-slow', durationMs: 10 })
    expect(await sim.task(await createSnapshot(sim, cookie), cookie)).toMatchObject({ state: 'success' })
  })

  it('of another product are listed as running, and keep the machine busy', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    act(sim, 'task', { name: 'RelocateVM_Task', ms: 60_000 })
    const { element } = await sim.soap(retrieve({ ...machine, paths: ['recentTask'] }), { cookie })
    const id = all(element, 'ManagedObjectReference')[0]?.text ?? ''
    const { text } = await sim.soap(retrieve({ type: 'Task', id, paths: ['info'] }), { cookie })
    expect(text).toMatch(/<name>RelocateVM_Task<\/name>.*another-product@vsphere.local/)
    expect((await createSnapshot(sim, cookie)).fault).toBe('TaskInProgress')
    act(sim, 'end-tasks', {})
    await expect.poll(async () => (await createSnapshot(sim, cookie)).fault).toBeNull()
  })
})

describe('replies about changed areas', () => {
  it.each(AREAS_LIES)('are told to be wrong: %s', async (lie) => {
    await using sim = await openSim({ estate: { changeTracking: true } })

    const cookie = await sim.login()
    const first = await sim.task(await createSnapshot(sim, cookie), cookie)
    sim.estate.named('app-01')[0]?.guest.step(40)
    const { result } = await sim.task(await createSnapshot(sim, cookie), cookie)
    const { element: config } = await sim.soap(
      retrieve({ type: 'VirtualMachineSnapshot', id: first.result ?? '', paths: ['config.hardware.device'] }),
      { cookie },
    )
    const ask = async () => {
      const args = `<snapshot type="VirtualMachineSnapshot">${result}</snapshot><deviceKey>2000</deviceKey><startOffset>0</startOffset><changeId>${textOf(config, 'changeId')}</changeId>`
      const { element } = await sim.soap(call('QueryChangedDiskAreas', { ...machine, args }), { cookie })
      return { window: [textOf(element, 'startOffset'), textOf(element, 'length')], areas: areasOf(element) }
    }
    const truth = await ask()
    sim.arm('QueryChangedDiskAreas', { kind: 'areas', lie })
    const told = await ask()
    expect(told).not.toEqual(truth)
    const isWellFormed = lie === 'leave-out' || lie === 'everything'
    expect(faultsOf(told).length > 0).toBe(!isWellFormed)
    expect(faultsOf(truth)).toEqual([])
    expect(await ask()).toEqual(truth)
  })

  it('fail with the data of their fault', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const properties = { invalidProperty: 'startOffset' }
    sim.arm('CurrentTime', { kind: 'fault', fault: 'InvalidArgument', message: 'told to', properties })
    const reply = await sim.soap(call('CurrentTime', { type: 'ServiceInstance', id: 'ServiceInstance' }), { cookie })
    expect(textOf(reply.element, 'invalidProperty')).toBe('startOffset')
  })
})

describe('what happens in the middle', () => {
  it('happens at the nth call, before it is carried out', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    await sim.task(await createSnapshot(sim, cookie), cookie)
    sim.armAction('/folder', { nth: 2, vm: 'app-01', action: 'relocate', body: { datastore: 'ds2' } })
    const head = (datastore: string) =>
      sim.http(`${flat}&dsName=${datastore}`, { method: 'HEAD', headers: { Cookie: cookie } })
    expect([(await head('ds1')).status, (await head('ds1')).status, (await head('ds2')).status]).toEqual([
      200, 404, 200,
    ])
    expect(sim.scenario.failures()).toEqual([])
  })

  it('happens at the nth read of a part', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    sim.arm('/folder range', { kind: 'http-status', status: 503 })
    const cold = '/folder/cold-01/cold-01-flat.vmdk?dcPath=DC1&dsName=ds1'
    const read = async (range: Record<string, string>) =>
      (await sim.http(cold, { headers: { Cookie: cookie, ...range } })).status
    expect([await read({}), await read({ Range: 'bytes=0-511' }), await read({ Range: 'bytes=0-511' })]).toEqual([
      200, 503, 206,
    ])
  })

  it('carries out a call whose answer is lost', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    sim.arm('CreateSnapshot_Task', { kind: 'drop-reply' })
    await expect(createSnapshot(sim, cookie)).rejects.toThrow(/hang up|ECONNRESET/)
    await expect.poll(() => snapshotsOf(sim)).toHaveLength(1)
  })

  it('fills a datastore up to what is told', async () => {
    await using sim = await openSim()

    const free = () => sim.estate.datastores.map((one) => one.freeBytes())
    const before = free()
    act(sim, 'fill-datastore', { freeBytes: 1_000_000 })
    expect(free()).toEqual([1_000_000, before[1]])
    sim.estate.named('db-01')[0]?.disks[0]?.write({ offsetBytes: 0, bytes: new Uint8Array(3 * 1024 * 1024) })
    expect(free()[0]).toBeLessThan(1_000_000)
    expect(() => act(sim, 'fill-datastore', { datastore: 'ds9', freeBytes: 1 })).toThrow(/no datastore "ds9"/)
    act(sim, 'fill-datastore', { freeBytes: 2 ** 50 })
    expect(free()[0]).toBeGreaterThan(before[1] ?? 0)
  })

  it('tells a read latency of the machine’s datastore, or of one that is named, until it is taken back', async () => {
    await using sim = await openSim()

    const told = () => sim.estate.datastores.map((one) => one.readLatency)
    expect(told()).toEqual([null, null])
    act(sim, 'read-latency', { readMs: 45 })
    act(sim, 'read-latency', { datastore: 'ds2', readMs: 3, missed: 2 })
    expect(told()).toEqual([
      { readMs: 45, missed: 0 },
      { readMs: 3, missed: 2 },
    ])
    expect(() => act(sim, 'read-latency', { readMs: -1 })).toThrow(/readMs/)
    expect(() => act(sim, 'read-latency', { datastore: 'ds9', readMs: 1 })).toThrow(/no datastore "ds9"/)
    act(sim, 'read-latency', { readMs: null })
    act(sim, 'read-latency', { datastore: 'ds2' })
    expect(told()).toEqual([null, null])
  })

  it('moves a machine to another host', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const host = async () =>
      textOf((await sim.soap(retrieve({ ...machine, paths: ['runtime.host'] }), { cookie })).element, 'val')
    const before = await host()
    act(sim, 'relocate', { host: 'esx-02.example' })
    expect(await host()).not.toBe(before)
  })

  it('lists a snapshot late, though it can be read', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    act(sim, 'list-late', { ms: 300 })
    const { result } = await sim.task(await createSnapshot(sim, cookie), cookie)
    const names = async () => {
      const { element } = await sim.soap(retrieve({ ...machine, paths: ['snapshot', 'rootSnapshot'] }), { cookie })
      return all(element, 'name').flatMap(({ text }) => (text === 'one' ? [text] : []))
    }
    expect(await names()).toEqual([])
    const own = retrieve({ type: 'VirtualMachineSnapshot', id: result ?? '', paths: ['config.name'] })
    expect(textOf((await sim.soap(own, { cookie })).element, 'val')).toBe('app-01')
    await expect.poll(names).toEqual(['one'])
    act(sim, 'list-late', { ms: 3_600_000 })
    await sim.task(await createSnapshot(sim, cookie), cookie)
    expect(await names()).toEqual(['one'])
    act(sim, 'list-late', { ms: 0 })
    expect(await names()).toEqual(['one', 'one'])
  })

  it('gives bytes of another place under the right heads', async () => {
    await using sim = await openSim()

    const headers = { Cookie: await sim.login(), Range: 'bytes=65536-131071' }
    const cold = '/folder/cold-01/cold-01-flat.vmdk?dcPath=DC1&dsName=ds1'
    const right = await sim.http(cold, { headers })
    sim.arm('/folder', { kind: 'other-bytes' })
    const wrong = await sim.http(cold, { headers })
    expect(wrong.headers['content-range']).toBe(right.headers['content-range'])
    expect(wrong.body.byteLength).toBe(right.body.byteLength)
    expect(wrong.body.equals(right.body)).toBe(false)
  })
})

function createSnapshot(sim: Sim, cookie: string): Promise<SoapReply> {
  const args = '<name>one</name><memory>false</memory><quiesce>false</quiesce>'
  return sim.soap(call('CreateSnapshot_Task', { ...machine, args }), { cookie })
}

function act(sim: Sim, action: MachineAction, body: object): void {
  actOn(sim.estate, { vm: 'app-01', action, body })
}

function snapshotsOf(sim: Sim) {
  return sim.estate.named('app-01')[0]?.snapshots ?? []
}

type Told = { readonly window: readonly string[]; readonly areas: readonly (readonly [number, number])[] }

function areasOf(element: SoapReply['element']): Told['areas'] {
  return all(element, 'changedArea').map((area) => [Number(textOf(area, 'start')), Number(textOf(area, 'length'))])
}

/** What a reply to a question from offset 0 must not say. */
function faultsOf({ window, areas }: Told): readonly string[] {
  const [start, length] = window.map(Number)
  const faults: string[] = []
  if (start !== 0) faults.push('starts elsewhere')
  if (length === 0) faults.push('covers nothing')
  if ((length ?? 0) > 4 * 1024 * 1024) faults.push('reaches beyond the disk')
  let at = 0
  for (const [offset, bytes] of areas) {
    if (offset < at || offset + bytes > (length ?? 0)) faults.push('areas out of order or outside')
    at = offset + bytes
  }
  return faults
}
