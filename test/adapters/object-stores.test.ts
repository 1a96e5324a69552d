import { describe, expect, it } from 'vitest'
import { memoryMeter } from '../../lib/adapters/memory/meter.ts'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { faultyStore } from '../../lib/adapters/wrap/faulty-store.ts'
import { meteredStore } from '../../lib/adapters/wrap/metered-store.ts'
import { retryingStore } from '../../lib/adapters/wrap/retrying-store.ts'
import { throttledStore } from '../../lib/adapters/wrap/throttled-store.ts'
import { manualClock, systemClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { NO_USAGE } from '../../lib/model/usage.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { objectStoreContract } from '../contract/object-store.ts'

const cancel = { signal: new AbortController().signal }
const memory = () => memoryObjectStore({ clock: manualClock() })
const retrying = (inner: ObjectStore) =>
  retryingStore(inner, { attemptsMax: 3, firstMs: 1, mostMs: 2, clock: systemClock, random: seededRandom(1) })

const stores: Readonly<Record<string, () => ObjectStore>> = {
  memory,
  'metered wrapper': () => meteredStore(memory(), memoryMeter({ functionGb: 0 })),
  'throttling wrapper': () => throttledStore(memory(), { inFlightMax: 2 }),
  'fault wrapper without a fault': () => faultyStore(memory(), () => null),
  'retrying wrapper': () => retrying(memory()),
  // Every third call fails before it takes effect. After it, a put would be answered 'exists' by the retry.
  'retrying wrapper over a store that fails': () =>
    retrying(faultyStore(memory(), (call) => (call.number % 3 === 0 ? 'before' : null))),
}

for (const [name, open] of Object.entries(stores)) {
  objectStoreContract(name, async () => ({ store: open(), [Symbol.asyncDispose]: async () => {} }))
}

describe('store wrappers', () => {
  it('metered wrapper counts calls and bytes', async () => {
    const meter = memoryMeter({ functionGb: 0 })
    const store = meteredStore(memory(), meter)
    await store.putIfAbsent({ key: 'a', bytes: new Uint8Array(10) }, cancel)
    await store.getRange({ key: 'a', offsetBytes: 2, target: new Uint8Array(4) }, cancel)
    await store.get('a', cancel)
    expect(meter.total()).toEqual({ ...NO_USAGE, storePuts: 1, storePutBytes: 10, storeGets: 2, storeGetBytes: 14 })
  })

  it('metered wrapper counts requests as S3 prices them: a list is a put for each page', async () => {
    const meter = memoryMeter({ functionGb: 0 })
    const store = meteredStore(memory(), meter)
    for (let key = 0; key < 1_001; key++) await store.putIfAbsent({ key: `a/${key}`, bytes: new Uint8Array(2) }, cancel)
    const before = meter.total()
    for await (const _ of store.list('a/', cancel));
    for await (const _ of store.list('none/', cancel));
    await store.head('a/1', cancel)
    await store.get('a/1', cancel)
    expect(before).toMatchObject({ storePuts: 1_001, storePutBytes: 2_002 })
    expect(meter.total()).toMatchObject({ storePuts: 1_004, storeGets: 2, storeGetBytes: 2 })
  })

  it('throttling wrapper keeps the limit', async () => {
    let running = 0
    let most = 0
    const inner = memory()
    const slow: ObjectStore = {
      ...inner,
      get: async (key, options) => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, 2))
        running--
        return inner.get(key, options)
      },
    }
    const store = throttledStore(slow, { inFlightMax: 3 })
    await Promise.all(Array.from({ length: 20 }, () => store.get('a', cancel)))
    expect(most).toBe(3)
  })

  it('retrying wrapper gives up after its attempts, and at once when nothing can pass', async () => {
    const failing = (retry: 'later' | 'no') => {
      let calls = 0
      const inner: ObjectStore = {
        ...memory(),
        get: async () => {
          calls++
          throw new BackupError('Cannot read', { code: 'store-failed', retry })
        },
      }
      return { store: retrying(inner), calls: () => calls }
    }
    const later = failing('later')
    await expect(later.store.get('a', cancel)).rejects.toThrow('Cannot read')
    expect(later.calls()).toBe(3)
    const never = failing('no')
    await expect(never.store.get('a', cancel)).rejects.toThrow('Cannot read')
    expect(never.calls()).toBe(1)
  })

  it('fault wrapper loses the answer after the call took effect when told so', async () => {
    const inner = memory()
    const store = faultyStore(inner, (call) => (call.method === 'putIfAbsent' ? 'after' : null))
    await expect(store.putIfAbsent({ key: 'a', bytes: new Uint8Array(1) }, cancel)).rejects.toThrow('told to fail')
    expect(await store.get('a', cancel)).not.toBeNull()
  })
})
