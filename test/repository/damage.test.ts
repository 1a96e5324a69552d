// No damage passes: bytes of every object are flipped in turn, objects are cut, removed and swapped. A reader either
// gives the right bytes (the damaged place was not needed for them) or fails with `integrity` or a typed refusal, and
// verifying the points finds every one. COLDFRAME_EXHAUSTIVE=1 flips every byte; else one of a few, from a new start each time.

import { beforeAll, describe, expect, it } from 'vitest'
import { manualClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { publishCandidate, readCandidate, readPackList } from '../../lib/repository/candidate.ts'
import { openRepository } from '../../lib/repository/open-repository.ts'
import { listPoints, readPoint } from '../../lib/repository/points.ts'
import { readSessionStart } from '../../lib/repository/session.ts'
import { verifyPoint } from '../../lib/repository/verify.ts'
import { cancel, readsAs, sessionOf, vmId, wrapperFor } from './kit.ts'
import { type Sample, sampleRepository, withObject } from './sample.ts'

const typed = ['integrity', 'repository-version', 'repository-key']
const stride = process.env['COLDFRAME_EXHAUSTIVE'] === '1' ? 1 : 11
const start = stride === 1 ? 0 : Date.now() % stride
let sample: Sample

beforeAll(async () => {
  sample = await sampleRepository()
})

function isTyped(error: unknown): boolean {
  return error instanceof BackupError && typed.includes(error.code)
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ (1 << (at & 7))
  return copy
}

/** Whether anything that looks at the store says that it is damaged; wrong bytes fail the test at once. */
async function isNoticed(store: ObjectStore): Promise<boolean> {
  const repository = { ...sample.repository, store }
  for (const [index, disks] of sample.disks.entries()) {
    const ref = { vmId, sequence: index + 1 }
    for (const disk of disks) {
      const right = async () =>
        expect(await readsAs(repository, await readPoint({ repository, ref }, cancel), disk)).toBe(true)
      await throwsTyped(right)
    }
  }
  for (const sequence of [2, 1]) {
    const report = await verifyPoint({ repository, ref: { vmId, sequence }, level: 'chunks' }, cancel)
    if (report.faultCount > 0) return true
  }
  return false
}

async function unnoticedFlips(
  prefix: RegExp,
  notice: (store: ObjectStore) => Promise<boolean>,
): Promise<readonly string[]> {
  const missed: string[] = []
  for (const [key, { bytes }] of sample.store.objects) {
    if (!prefix.test(key)) continue
    for (let at = start; at < bytes.byteLength; at += stride) {
      if (!(await notice(withObject(sample, key, flipped(bytes, at)))))
        missed.push(`${key} at ${at} of ${bytes.byteLength}`)
    }
  }
  return missed
}

async function throwsTyped(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action()
    return false
  } catch (error) {
    if (!isTyped(error)) throw error
    return true
  }
}

describe('a flipped bit', () => {
  it('in any byte of any pack is noticed', async () => {
    expect(await unnoticedFlips(/^[pm]\//, isNoticed)).toEqual([])
  }, 120_000)

  it('in any byte of a restore point is noticed, and the other point stays listed', async () => {
    const notice = async (store: ObjectStore) => {
      const listing = await listPoints({ repository: { ...sample.repository, store } }, cancel)
      expect(listing.points.length + listing.unreadable.length).toBe(2)
      expect(listing.points.length).toBeGreaterThanOrEqual(1)
      return listing.unreadable.length === 1 || isNoticed(store)
    }
    expect(await unnoticedFlips(/^r\//, notice)).toEqual([])
  }, 60_000)

  it('in any byte of settings or wrapped keys keeps the repository from opening', async () => {
    const wrappers = [wrapperFor('correct horse')]
    const notice = (store: ObjectStore) => throwsTyped(() => openRepository({ store, wrappers }, cancel))
    expect(await unnoticedFlips(/^(repo|keys)\//, notice)).toEqual([])
  }, 60_000)

  it('in any byte of a session’s objects is noticed, and nothing damaged is published', async () => {
    const sessionId = sessionOf('sample 2')
    const notice = async (store: ObjectStore) => {
      const repository = { ...sample.repository, store }
      const results = await Promise.all([
        throwsTyped(() => readSessionStart({ repository, sessionId }, cancel)),
        throwsTyped(() => publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)),
        throwsTyped(async () => {
          const candidate = await readCandidate({ repository, sessionId }, cancel)
          return candidate === null ? null : readPackList({ repository, candidate: candidate.envelope }, cancel)
        }),
      ])
      return results.includes(true)
    }
    expect(await unnoticedFlips(new RegExp(`^s/${sessionId}/`), notice)).toEqual([])
  }, 60_000)
})

describe('an object', () => {
  it('that was cut at any length is noticed', async () => {
    const missed: string[] = []
    for (const [key, { bytes }] of sample.store.objects) {
      if (!/^[pmr]\//.test(key)) continue
      for (let length = 0; length < bytes.byteLength; length += 13) {
        if (!(await isNoticed(withObject(sample, key, bytes.subarray(0, length))))) missed.push(`${key} to ${length}`)
      }
    }
    expect(missed).toEqual([])
  }, 60_000)

  it('that is gone is noticed, and only what needed it is lost', async () => {
    for (const key of sample.store.objects.keys()) {
      if (!/^[pm]\//.test(key)) continue
      expect(await isNoticed(withObject(sample, key, null))).toBe(true)
    }
  })

  it('under another’s name is not believed', async () => {
    const keys = [...sample.store.objects.keys()].filter((key) => /^[pmr]\//.test(key))
    for (const key of keys) {
      for (const other of keys) {
        const bytes = sample.store.objects.get(other)?.bytes
        if (bytes === undefined || other === key) continue
        expect(await isNoticed(withObject(sample, key, bytes))).toBe(true)
      }
    }
  })
})

describe('verifying', () => {
  it('reports every fault with the bytes that are lost, not the first', async () => {
    const [first] = sample.points
    if (first === undefined) throw new Error('no point')
    const packs = [...sample.store.objects.keys()].filter((key) => key.startsWith('p/'))
    let store: ObjectStore = sample.store
    let broken = { ...sample }
    for (const key of packs) {
      const bytes = broken.store.objects.get(key)?.bytes ?? new Uint8Array()
      const copy = Uint8Array.from(bytes)
      copy[70] = (copy[70] ?? 0) ^ 1
      copy[bytes.byteLength - 120] = (copy[bytes.byteLength - 120] ?? 0) ^ 1
      store = withObject(broken, key, copy)
      broken = { ...broken, store: store as Sample['store'] }
    }
    const repository = { ...sample.repository, store }
    const report = await verifyPoint({ repository, ref: { vmId, sequence: 2 }, level: 'chunks' }, cancel)
    const lost = report.faults.filter((fault) => fault.place === 'chunk').map((fault) => fault.lost)
    expect(lost).toContainEqual({ diskKey: 2000, offsetBytes: 0, lengthBytes: 65_536 })
    expect(lost.length).toBeGreaterThanOrEqual(2)
    expect(report.faults.some((fault) => fault.place === 'pack')).toBe(true)
  })

  it('tells how far it is', async () => {
    const seen: number[] = []
    const report = await verifyPoint(
      {
        repository: sample.repository,
        ref: { vmId, sequence: 2 },
        level: 'chunks',
        onProgress: (at) => seen.push(at.doneBytes),
      },
      cancel,
    )
    expect(report).toMatchObject({ faultCount: 0, chunks: 5 })
    expect(seen.at(-1)).toBe(8 * 65_536)
  })
})
