// The read latency of datastores over SOAP: what hosts count, what they do not, and servers that refuse.

import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import type { Moref } from '../../../lib/model/ids.ts'
import type { DatastoreState } from '../../../lib/model/site.ts'
import type { VsphereSession } from '../../../lib/ports/vsphere.ts'
import { openSimVcenter, type SimVcenter, type SimVcenterOptions } from './sim-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }

type Asking = AsyncDisposable & {
  readonly sim: SimVcenter
  readonly session: VsphereSession
  readonly host: Moref
  readonly stores: readonly DatastoreState[]
  readMs(): Promise<readonly (number | null)[]>
  say(readLatency: { readonly readMs: number; readonly missed: number } | null): void
}

async function ask(options: SimVcenterOptions = {}): Promise<Asking> {
  const sim = await openSimVcenter(options)
  const session = await openVsphere(sim.settings).open(cancel)
  const vm = (await session.listVms(cancel)).find((each) => each.name === 'app-01')
  if (vm === undefined) throw new Error('no VM')
  const { host } = await session.readVm(vm.moref, cancel)
  if (host === null) throw new Error('no host')
  const stores = await session.readDatastores(vm.moref, cancel)
  const readMs = async () =>
    (await session.readLatency({ host, datastores: stores }, cancel)).map((each) => each.readMs)
  const say: Asking['say'] = (readLatency) => {
    for (const store of sim.estate.datastores) if (store.name === stores[0]?.name) store.readLatency = readLatency
  }
  const close = async () => {
    await session[Symbol.asyncDispose]()
    await sim[Symbol.asyncDispose]()
  }
  return { sim, session, host, stores, readMs, say, [Symbol.asyncDispose]: close }
}

describe('the read latency of a datastore', () => {
  it('is what its host measured last, and unknown as long as the host does not count', async () => {
    await using asking = await ask()
    const unknown = asking.stores.map(() => null)
    expect(await asking.readMs()).toEqual(unknown)
    asking.say({ readMs: 45, missed: 0 })
    expect(await asking.readMs()).toEqual([45, ...unknown.slice(1)])
    asking.say({ readMs: 0, missed: 0 })
    expect((await asking.readMs())[0]).toBe(0)
    asking.say(null)
    expect(await asking.readMs()).toEqual(unknown)
  })

  it('is an older one of the last minute where samples are missing, and else unknown', async () => {
    await using asking = await ask()
    asking.say({ readMs: 30, missed: 2 })
    expect((await asking.readMs())[0]).toBe(30)
    asking.say({ readMs: 30, missed: 3 })
    expect((await asking.readMs())[0]).toBeNull()
  })

  it('is measured in maintenance mode, and unknown of a host that does not answer', async () => {
    await using working = await ask({ hostsInMaintenance: ['esx-01.example', 'esx-02.example'] })
    working.say({ readMs: 7, missed: 0 })
    expect((await working.readMs())[0]).toBe(7)
    await using away = await ask({ hostsAway: ['esx-01.example', 'esx-02.example'] })
    away.say({ readMs: 7, missed: 0 })
    expect((await away.readMs())[0]).toBeNull()
  })

  it('is unknown where the server does not count it, and an error where it fails otherwise', async () => {
    await using asking = await ask()
    asking.say({ readMs: 7, missed: 0 })
    asking.sim.arm('QueryPerf', { kind: 'fault', fault: 'InvalidArgument', message: 'querySpec.metricId' })
    expect((await asking.readMs())[0]).toBeNull()
    asking.sim.arm('QueryPerf', { kind: 'expire-session' })
    expect((await asking.readMs())[0]).toBe(7)
    asking.sim.arm('QueryPerf', { kind: 'fault', fault: 'NoPermission', message: 'no' })
    await expect(asking.readMs()).rejects.toMatchObject({ code: 'vcenter-permission' })
  })
})
