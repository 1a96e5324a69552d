// Writers and readers of one bucket at once, over a server that fails by seed in every way that it knows. A failure names its seed.

import { expect, it } from 'vitest'
import { bytesEqual } from '../../../lib/base/bytes.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { type Random, seededRandom, wholeNumber } from '../../../lib/base/random.ts'
import type { ObjectStore } from '../../../lib/ports/object-store.ts'
import { type S3Server, startS3Server } from '../../kit/s3-server.ts'
import { type S3Fault, slowDown } from '../../kit/s3-server-calls.ts'
import { storeOn } from '../../kit/s3-stores.ts'

const cancel = { signal: new AbortController().signal }
const keys = ['a', 'b', 'c']
const writers = [0, 1, 2, 3]
const faults: readonly (S3Fault | null)[] = [
  ...[null, null, null],
  slowDown,
  { kind: 'error-after', status: 500, code: 'InternalError' },
  { kind: 'error', status: 409, code: 'ConditionalRequestConflict' },
  { kind: 'cut-request', afterBytes: 5_000 },
  { kind: 'cut-answer' },
  { kind: 'cut-body', afterBytes: 3_000 },
  { kind: 'damage' },
  { kind: 'slow', ms: 3 },
  { kind: 'silent' },
]

/** In every third run all writers bring the same bytes: who stored them must be told all the same. */
function bytesOf(seed: number, { key, writer }: { readonly key: string; readonly writer: number }): Uint8Array {
  return seededRandom(seed * 100 + key.charCodeAt(0) + (seed % 3 === 0 ? 0 : writer)).bytes(20_000)
}

async function play(seed: number, random: Random, server: S3Server): Promise<void> {
  const stores = writers.map(() => storeOn(server, { attemptsMax: 5, idleMs: 25, connectionsMax: 3 }))
  server.faults = ({ operation }) => {
    const fault = faults[wholeNumber(random, { low: 0, high: faults.length - 1 })] ?? null
    // Only objects have checksums: a wrong bit in a listing is TLS's to find.
    return fault?.kind === 'damage' && operation !== 'GetObject' ? null : fault
  }
  const stored = new Map<string, number[]>(keys.map((key) => [key, []]))
  await Promise.all(
    stores.flatMap((store, writer) =>
      keys.map(async (key) => {
        const bytes = bytesOf(seed, { key, writer })
        const outcome = await unlessFailed(store.putIfAbsent({ key, bytes }, cancel))
        // The buffer is the caller's again, whatever became of the put.
        bytes.fill(0)
        if (outcome === 'stored') stored.get(key)?.push(writer)
      }),
    ),
  )
  for (const key of keys) {
    const versions = server.buckets.get('backups')?.objects.get(key) ?? []
    expect(versions.length).toBeLessThanOrEqual(1)
    const told = stored.get(key) ?? []
    expect(told.length, `who stored "${key}"`).toBeLessThanOrEqual(1)
    const [bytes] = versions.map((version) => version.bytes)
    const fitting = writers.filter((writer) => bytes !== undefined && bytesEqual(bytes, bytesOf(seed, { key, writer })))
    if (bytes !== undefined) expect(fitting.length).toBeGreaterThan(0)
    for (const writer of told) expect(fitting).toContain(writer)
  }
  await Promise.all(stores.map((store) => readAll(store, server)))
}

async function readAll(store: ObjectStore, server: S3Server): Promise<void> {
  const there = server.buckets.get('backups')?.objects ?? new Map()
  for (const key of keys) {
    const bytes = await unlessFailed(store.get(key, cancel))
    if (bytes === 'failed') continue
    expect(bytes === null).toBe(!there.has(key))
    if (bytes !== null) expect(bytesEqual(bytes, there.get(key)?.[0]?.bytes ?? new Uint8Array())).toBe(true)
  }
  const listed = await unlessFailed(Array.fromAsync(store.list('', cancel), ({ key }) => key))
  if (listed !== 'failed') expect(listed).toEqual([...there.keys()].toSorted())
}

async function unlessFailed<Value>(call: Promise<Value>): Promise<Value | 'failed'> {
  try {
    return await call
  } catch (error) {
    if (error instanceof BackupError && error.retry === 'later') return 'failed'
    throw error
  }
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  it(`of many writers of a key one is told that it stored, and readers get its bytes or an error: seed ${seed}`, async () => {
    await using server = await startS3Server({ pageKeysMax: 2 })
    server.addBucket('backups', { versioning: seed % 2 === 0 })
    await play(seed, seededRandom(seed), server)
  })
}
