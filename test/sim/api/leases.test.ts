// Leases on the disks of a snapshot: states, time-outs, who may read, and what a scenario makes go wrong.

import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../lib/base/clock.ts'
import { all, call, openSim, retrieve, type Sim, type SimOptions, textOf, typeOf } from './raw-client.ts'

type Leased = Sim & {
  readonly cookie: string
  readonly lease: string
  readonly refused: string | null
  readonly snapshot: string
  state(): Promise<{ readonly state: string; readonly fault: string | null; readonly path: string }>
  ask(method: string, args?: string): Promise<string | null>
}

async function openLease(options: SimOptions = {}, arm?: (sim: Sim) => void): Promise<Leased> {
  const sim = await openSim(options)
  const cookie = await sim.login()
  const args = '<name>a</name><memory>false</memory><quiesce>false</quiesce>'
  const made = await sim.soap(call('CreateSnapshot_Task', { type: 'VirtualMachine', id: 'vm-101', args }), { cookie })
  const snapshot = (await sim.task(made, cookie)).result ?? ''
  arm?.(sim)
  const opened = await sim.soap(call('ExportSnapshot', { type: 'VirtualMachineSnapshot', id: snapshot }), { cookie })
  const lease = textOf(opened.element, 'returnval')
  return {
    ...sim,
    cookie,
    lease,
    refused: opened.fault,
    snapshot,
    ask: async (method, more = '') =>
      (await sim.soap(call(method, { type: 'HttpNfcLease', id: lease, args: more }), { cookie })).fault,
    state: async () => {
      const paths = ['state', 'error', 'info']
      const { element } = await sim.soap(retrieve({ type: 'HttpNfcLease', id: lease, paths }), { cookie })
      const val = (name: string) => all(element, 'propSet').find((each) => textOf(each, 'name') === name)
      const [error, told] = [val('error'), val('info')]
      return {
        state: textOf(val('state') ?? element, 'val'),
        fault: error === undefined ? null : typeOf(all(error, 'fault')[0]),
        path: told === undefined ? '' : textOf(told, 'url').replace('https://*', ''),
      }
    },
  }
}

const fast = { server: { taskMs: 0 } }

describe('a lease on the disks of a snapshot', () => {
  it('gives each disk once it is ready, to whoever has its URL, and nothing once it is over', async () => {
    await using leased = await openLease(fast)
    const { path, state } = await leased.state()

    expect(state).toBe('ready')
    const whole = await leased.http(path)
    expect(whole.status).toBe(200)
    expect(whole.body.subarray(0, 4).toString()).toBe('KDMV')
    expect((await leased.http(path, { method: 'HEAD' })).status).toBe(405)
    expect((await leased.http(path.replace('disk-0', 'disk-9'))).status).toBe(404)
    expect(await leased.ask('HttpNfcLeaseProgress', '<percent>101</percent>')).toBe('InvalidArgument')
    expect(await leased.ask('HttpNfcLeaseComplete')).toBe(null)
    expect(await leased.state()).toMatchObject({ state: 'done' })
    expect((await leased.http(path)).status).toBe(404)
    expect(await leased.ask('HttpNfcLeaseComplete')).toBe('InvalidState')
  })

  it('ends by itself when nobody reports progress in time', async () => {
    // Runs as the real one does, and can be moved on.
    let aheadMs = 0
    const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs }
    await using leased = await openLease({
      server: { clock, taskMs: 0, snapshotMs: 0, leaseTimeoutMs: 300_000, sessionIdleMs: 1e9 },
    })
    aheadMs += 290_000
    expect(await leased.ask('HttpNfcLeaseProgress', '<percent>1</percent>')).toBe(null)
    aheadMs += 290_000
    expect(await leased.state()).toMatchObject({ state: 'ready' })
    aheadMs += 20_000
    const { state, fault, path } = await leased.state()
    expect({ state, fault }).toEqual({ state: 'error', fault: 'Timedout' })
    expect(await leased.ask('HttpNfcLeaseProgress', '<percent>2</percent>')).toBe('Timedout')
    expect((await leased.http(path)).status).toBe(404)
  })

  it('ends when its snapshot is removed', async () => {
    await using leased = await openLease(fast)
    const args = '<removeChildren>false</removeChildren>'
    const body = call('RemoveSnapshot_Task', { type: 'VirtualMachineSnapshot', id: leased.snapshot, args })
    await leased.task(await leased.soap(body, { cookie: leased.cookie }), leased.cookie)
    expect(await leased.state()).toMatchObject({ state: 'error', fault: 'InvalidState' })
  })

  it('needs a privilege and a session, and may fail before it is ready', async () => {
    await using denied = await openLease({ server: { deniedPrivileges: ['VApp.Export'] } })
    expect(denied.refused).toBe('NoPermission')
    await using failing = await openLease(fast, (sim) =>
      sim.arm('ExportSnapshot', { kind: 'task-fault', fault: 'FileFault', message: 'The file is locked' }),
    )
    expect(await failing.state()).toMatchObject({ state: 'error', fault: 'FileFault' })
  })

  it('takes a connection and a buffer of the machine’s host as long as a stream lasts, and waits for none', async () => {
    await using leased = await openLease(fast)
    const { path } = await leased.state()
    const host = leased.estate.machines()[0]?.place.host ?? ''
    const { peaks } = leased.estate
    const pieces = { call: '/nfc piece', when: { kind: 'nth', nth: 2 } as const, times: 1 }
    leased.scenario.arm({ ...pieces, mishap: { kind: 'drop-connection' } })
    await expect(leased.http(path)).rejects.toThrow()
    await leased.http(path)
    expect(peaks.report()).toMatchObject({ readsAtOnce: 1, readBytesAtOnceOfHost: { [host]: 1024 * 1024 } })
    leased.arm('/nfc piece', { kind: 'delay', delayMs: 300 })
    await Promise.all([leased.http(path), leased.http(path)])
    expect(peaks.report()).toMatchObject({ readsAtOnce: 2, readsAtOnceOfHost: { [host]: 2 } })
    peaks.othersUse(host, { connections: 52, bufferBytes: 0 })
    expect((await leased.http(path)).status).toBe(500)
    peaks.othersUse(host, { connections: 0, bufferBytes: 48 * 1024 * 1024 })
    expect((await leased.http(path)).body.toString()).toContain('NFC error 5')
    peaks.othersUse(host, { connections: 0, bufferBytes: 0 })
    expect((await leased.http(path)).status).toBe(200)
  })

  it('lies as it is told: a stream that ends early, a grain at the wrong place', async () => {
    await using leased = await openLease(fast)
    const { path } = await leased.state()
    const whole = (await leased.http(path)).body
    leased.arm('/nfc', { kind: 'short-body' })
    const short = (await leased.http(path)).body
    expect(short.byteLength).toBeLessThan(whole.byteLength)
    expect(whole.subarray(0, short.byteLength).equals(short)).toBe(true)
    leased.arm('/nfc', { kind: 'other-bytes' })
    const wrong = (await leased.http(path)).body
    expect(wrong.byteLength).toBe(whole.byteLength)
    expect(wrong.equals(whole)).toBe(false)
    expect((await leased.http(path)).body.equals(whole)).toBe(true)
  })
})
