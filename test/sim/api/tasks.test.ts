import { describe, expect, it } from 'vitest'
import { all, call, openSim, retrieve, type Sim, type SoapReply, textOf } from './raw-client.ts'

const machine = { type: 'VirtualMachine', id: 'vm-101' }

function createSnapshot(sim: Sim, cookie: string, name = 'one'): Promise<SoapReply> {
  const args = `<name>${name}</name><memory>false</memory><quiesce>false</quiesce>`
  return sim.soap(call('CreateSnapshot_Task', { ...machine, args }), { cookie })
}

describe('tasks', () => {
  it('run, end with a result, belong to the machine, and are forgotten after a while', async () => {
    await using sim = await openSim({ server: { taskKeepMs: 300 } })

    const cookie = await sim.login()
    const reply = await createSnapshot(sim, cookie)
    const done = await sim.task(reply, cookie)
    expect(done).toMatchObject({ state: 'success', result: expect.stringMatching(/^snapshot-/), fault: null })
    expect(done.text).toContain('<entity type="VirtualMachine">vm-101</entity>')
    expect(done.text).toContain('<descriptionId>VirtualMachine.createSnapshot</descriptionId>')
    await new Promise((resolve) => setTimeout(resolve, 400))
    const late = retrieve({ type: 'Task', id: textOf(reply.element, 'returnval'), paths: ['info'] })
    expect((await sim.soap(late, { cookie })).fault).toBe('ManagedObjectNotFound')
  })

  it('a second task on a busy machine is TaskInProgress; a running one can be cancelled before its work', async () => {
    await using sim = await openSim({ server: { snapshotMs: 2000 } })

    const cookie = await sim.login()
    const first = await createSnapshot(sim, cookie)
    expect((await createSnapshot(sim, cookie)).fault).toBe('TaskInProgress')
    const cancel = call('CancelTask', { type: 'Task', id: textOf(first.element, 'returnval') })
    expect((await sim.soap(cancel, { cookie })).fault).toBeNull()
    expect(await sim.task(first, cookie)).toMatchObject({ state: 'error', fault: 'RequestCanceled' })
    expect(sim.estate.named('app-01')[0]?.rootSnapshots).toEqual([])
  })

  it('carry typed faults: of the machine, and of a scenario before or after the work', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    const powerOn = await sim.soap(call('PowerOnVM_Task', machine), { cookie })
    expect(await sim.task(powerOn, cookie)).toMatchObject({ state: 'error', fault: 'InvalidPowerState' })

    sim.arm('CreateSnapshot_Task', { kind: 'task-fault', fault: 'ApplicationQuiesceFault', message: 'told to' })
    expect(await sim.task(await createSnapshot(sim, cookie), cookie)).toMatchObject({
      fault: 'ApplicationQuiesceFault',
    })
    expect(sim.estate.named('app-01')[0]?.rootSnapshots).toHaveLength(0)

    sim.arm('CreateSnapshot_Task', { kind: 'task-fault-after', fault: 'Timedout', message: 'told to' })
    expect(await sim.task(await createSnapshot(sim, cookie), cookie)).toMatchObject({ fault: 'Timedout' })
    expect(sim.estate.named('app-01')[0]?.rootSnapshots).toHaveLength(1)

    // Its fault names the other task.
    sim.arm('CreateSnapshot_Task', { kind: 'task-fault', fault: 'TaskInProgress', message: 'told to' })
    expect(await sim.task(await createSnapshot(sim, cookie), cookie)).toMatchObject({ fault: 'TaskInProgress' })

    sim.arm('CreateSnapshot_Task', { kind: 'fault', fault: 'TooManySnapshotLevels', message: 'told to' })
    expect((await createSnapshot(sim, cookie)).fault).toBe('TooManySnapshotLevels')
    sim.arm('CreateSnapshot_Task', { kind: 'fault', fault: 'NoSuchFaultAtAll', message: 'told to' })
    expect((await createSnapshot(sim, cookie)).fault).toBe('SystemError')
  })

  it('calls are delayed, dropped and answered with a status when a scenario says so', async () => {
    await using sim = await openSim()

    const cookie = await sim.login()
    sim.arm('CurrentTime', { kind: 'http-status', status: 503 })
    const ask = call('CurrentTime', { type: 'ServiceInstance', id: 'ServiceInstance' })
    await expect(sim.soap(ask, { cookie })).rejects.toThrow()
    sim.arm('CurrentTime', { kind: 'drop-connection' })
    await expect(sim.soap(ask, { cookie })).rejects.toThrow(/hang up|ECONNRESET/)
    sim.arm('CurrentTime', { kind: 'delay', delayMs: 300 })
    const startMs = performance.now()
    expect((await sim.soap(ask, { cookie })).fault).toBeNull()
    expect(performance.now() - startMs).toBeGreaterThan(250)
  })

  it('change areas are asked of a snapshot of the same machine only', async () => {
    await using sim = await openSim({ estate: { changeTracking: true } })

    const cookie = await sim.login()
    const { result } = await sim.task(await createSnapshot(sim, cookie), cookie)
    const ask = (id: string) =>
      sim.soap(
        call('QueryChangedDiskAreas', {
          type: 'VirtualMachine',
          id,
          args: `<snapshot type="VirtualMachineSnapshot">${result}</snapshot><deviceKey>2000</deviceKey><startOffset>0</startOffset><changeId>*</changeId>`,
        }),
        { cookie },
      )
    const areas = await ask('vm-101')
    expect(textOf(areas.element, 'length')).toBe(String(4 * 1024 * 1024))
    expect(all(areas.element, 'changedArea').length).toBeGreaterThan(0)
    expect((await ask('vm-102')).fault).toBe('InvalidArgument')
  })
})
