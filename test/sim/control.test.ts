// The control port: what demos and tests ask of the simulator behind the engine's back.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../lib/base/clock.ts'
import { type Control, openControl } from '../../sim/control.ts'
import { smallEstate } from '../../sim/estate/demo.ts'
import type { Estate } from '../../sim/estate/estate.ts'
import { calm, Scenario } from '../../sim/scenario.ts'

let control: Control
let estate: Estate
let scenario: Scenario

beforeEach(async () => {
  estate = smallEstate({ seed: 1, directory: null, clock: systemClock, twoOfOneName: true, changeTracking: true })
  scenario = new Scenario(calm)
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

  it('arms faults', async () => {
    await post('/fault', { call: 'A', nth: 1, mishap: { kind: 'expire-session' } })
    expect(scenario.faultBefore('A')).toEqual({ kind: 'expire-session' })
    expect((await get('/calls')).body).toEqual({ A: 1 })
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
