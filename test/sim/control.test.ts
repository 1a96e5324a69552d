// The control port: what demos and tests ask of the simulator behind the engine's back.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../lib/base/clock.ts'
import { type Control, openControl } from '../../sim/control.ts'
import { actOn } from '../../sim/estate/act.ts'
import { smallEstate } from '../../sim/estate/demo.ts'
import type { Estate } from '../../sim/estate/estate.ts'
import { calm, Scenario } from '../../sim/scenario.ts'
import { openGuestKit } from './guest/guest-kit.ts'

let control: Control
let estate: Estate
let scenario: Scenario

beforeEach(async () => {
  estate = smallEstate({ seed: 1, directory: null, clock: systemClock, twoOfOneName: true, changeTracking: true })
  scenario = new Scenario(calm, (wish) => void actOn(estate, wish))
  control = await openControl({ estate, scenario, clock: systemClock, port: 0 })
})

afterEach(() => control[Symbol.asyncDispose]())

describe('the control port', () => {
  it('tells the digests of a snapshot, as of its cut, also when it is long gone', async () => {
    const before = await get('/digest?vm=db-01&disk=2000')
    await post('/machines/db-01/snapshot', { name: 's' })
    await post('/guests/write', { vm: 'db-01', bytes: 200_000 })
    const after = await get('/digest?vm=db-01&disk=2000')
    expect(after.body).not.toEqual(before.body)
    await post('/machines/db-01/remove-snapshot', { name: 's' })
    const frozen = await get('/frozen')
    expect(frozen.body).toMatchObject([
      { vm: 'db-01', snapshot: 's', disks: [{ deviceKey: 2000, sha256: fieldOf(before.body, 'sha256') }] },
    ])
    expect(fieldOf((await get('/digest?vm=db-01&disk=2000')).body, 'sha256')).toBe(fieldOf(after.body, 'sha256'))
  })

  it('tells what was in use at once of what vSphere bounds', async () => {
    expect((await get('/limits')).body).toMatchObject({ readsAtOnce: 0, snapshotsOfDatastore: {} })
  })

  it('lets guests run and stop', async () => {
    const changed = async () => (await get('/digest?vm=db-01&disk=2000')).body
    const start = await changed()
    await post('/guests/run', { everyMs: 1 })
    await expect.poll(changed).not.toEqual(start)
    await post('/guests/stop', {})
    const stopped = await changed()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await changed()).toEqual(stopped)
  })

  it('changes power, disks, tools and tracking', async () => {
    expect((await post('/machines/db-01/power', { on: false })).body).toMatchObject({ powerState: 'poweredOff' })
    const added = await post('/machines/db-01/add-disk', { capacityBytes: 1_048_576 })
    expect(added.body).toMatchObject({ disks: [{ deviceKey: 2000 }, { deviceKey: 2001, capacityBytes: 1_048_576 }] })
    expect((await post('/machines/db-01/remove-disk', { deviceKey: 2001 })).status).toBe(200)
    expect((await post('/machines/db-01/remove-disk', { deviceKey: 2001 })).status).toBe(409)
    expect((await post('/machines/db-01/change-tracking', { enabled: false })).body).toMatchObject({
      disks: [{ changeId: null }],
    })
  })

  it('changes Tools, addresses and Volume Shadow Copies of a guest', async () => {
    const guestOf = async (action: string, body: unknown) =>
      fieldOf((await post(`/machines/db-01/${action}`, body)).body, 'guest')
    expect(await guestOf('tools', { state: 'old' })).toMatchObject({ tools: 'old' })
    const cards = [['192.0.2.9', '2001:db8::9']]
    expect(await guestOf('addresses', { cards, bridges: [{ addresses: ['172.17.0.1'] }] })).toMatchObject({
      nics: [
        { network: 'VM Network', addresses: cards[0] },
        { network: null, deviceKey: -1, addresses: ['172.17.0.1'] },
      ],
    })
    expect(await guestOf('tools', { state: 'notRunning' })).toMatchObject({ tools: 'notRunning', nics: [] })
    expect(await guestOf('vss', { health: 'failing-writer', failingWriter: 'W' })).toMatchObject({
      vss: { health: 'failing-writer', failingWriter: 'W', manifestPath: 'relative' },
    })
    expect(await guestOf('vss', { writers: ['W'] })).toMatchObject({ vss: { failingWriter: 'W', writers: ['W'] } })
    expect(await guestOf('quiesce', { quiesceMs: 70 })).toMatchObject({ quiesceMs: 70, whenHeld: 'works' })
    expect((await post('/machines/db-01/vss', { health: 'fine' })).status).toBe(400)
    expect(await guestOf('vss', {})).toMatchObject({ vss: { health: 'failing-writer' } })
    expect((await post('/machines/db-01/accounts', { accounts: [] })).body).toMatchObject({
      error: { fault: 'NotSupported' },
    })
  })

  it('changes accounts of a guest without ever telling a password, and tells of every hold', async () => {
    using kit = openGuestKit()

    await using own = await openControl({ estate: kit.estate, scenario, clock: systemClock, port: 0 })

    const ask = async (path: string, body?: unknown) => {
      const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
      return await (await fetch(`${own.url}${path}`, init)).text()
    }
    const told = await ask('/machines/guest-01/accounts', { accounts: [{ name: 'next', password: 'rotated' }] })
    expect(told).toContain('"next"')
    expect(told).not.toContain('rotated')
    expect(kit.system.login({ userName: 'next', password: 'rotated' })).not.toBeNull()
    expect(kit.system.login({ userName: 'backup', password: 'right' })).toBeNull()
    expect(JSON.parse(await ask('/machines/guest-01/guest-operations', { disabled: true }))).toMatchObject({
      guest: { operationsReady: false, operationsDisabled: true },
    })

    kit.machine.guest.hold('script')
    expect(JSON.parse(await ask('/guests/step', { records: 3 }))).toEqual([{ vm: 'guest-01', held: true }])
    expect(JSON.parse(await ask('/machines'))).toMatchObject([
      { guest: { held: true, holds: [{ by: 'script', untilMs: null }] } },
    ])
    kit.machine.guest.resume('script')
    expect(JSON.parse(await ask('/machines'))).toMatchObject([
      { guest: { held: false, holds: [{ by: 'script', untilMs: expect.any(Number) }] } },
    ])
  })

  it('arms faults', async () => {
    await post('/fault', { call: 'A', nth: 1, mishap: { kind: 'expire-session' } })
    expect(scenario.faultBefore('A')).toEqual({ kind: 'expire-session' })
    expect((await get('/calls')).body).toEqual({ A: 1 })
  })

  it('arms what happens to a machine at a call, and tells what could not be done', async () => {
    const mishap = { kind: 'action', vm: 'db-01', action: 'revert', body: { name: 'none' } }
    expect((await post('/fault', { call: 'A', nth: 1, times: 2, mishap })).status).toBe(200)
    scenario.faultBefore('A')
    expect((await get('/failures')).body).toEqual(['revert of "db-01": There is no snapshot "none"'])
    await post('/machines/db-01/snapshot', { name: 'none' })
    scenario.faultBefore('A')
    expect((await get('/failures')).body).toHaveLength(1)
    expect((await post('/machines/db-01/grow-disk', { deviceKey: 2000, capacityBytes: 8_388_608 })).status).toBe(409)
    expect((await post('/machines/db-01/remove-all-snapshots', {})).body).toMatchObject({ snapshots: [] })
    const grown = await post('/machines/db-01/grow-disk', { deviceKey: 2000, capacityBytes: 8_388_608 })
    expect(grown.body).toMatchObject({ disks: [{ capacityBytes: 8_388_608 }] })
    expect((await post('/machines/db-01/task', { name: 'x', ms: 1 })).body).toMatchObject({
      error: { fault: 'NotSupported' },
    })
  })

  it('refuses what it does not understand', async () => {
    expect((await get('/nothing')).status).toBe(404)
    expect((await get('/digest?vm=none&disk=2000')).status).toBe(404)
    expect((await post('/machines/app-01/power', { on: false })).status).toBe(409)
    expect((await post('/machines/db-01/power', { on: 'off' })).status).toBe(400)
    expect((await post('/machines/db-01/explode', {})).status).toBe(404)
    expect((await post('/guests/write', { vm: 'cold-01', bytes: 1 })).body).toMatchObject({
      error: { fault: 'InvalidPowerState' },
    })
    expect((await fetch(`${control.url}/fault`, { method: 'POST', body: '{' })).status).toBe(400)
  })
})

async function get(path: string): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`${control.url}${path}`)
  return { status: response.status, body: await response.json() }
}

async function post(path: string, body: unknown): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`${control.url}${path}`, { method: 'POST', body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}

function fieldOf(value: unknown, key: string): unknown {
  return new Map(Object.entries(value ?? {})).get(key)
}
