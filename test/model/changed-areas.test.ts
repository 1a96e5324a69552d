// The changed-areas loop against servers that cut their answers anywhere, and against servers that lie.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasCode } from '../../lib/base/errors.ts'
import { type ChangedWindow, collectChangedAreas } from '../../lib/model/changed-areas.ts'
import { type Extent, endOf, mergeExtents } from '../../lib/model/extent.ts'

const GRAIN = 512

/** A disk's changed grains, and where a server ends its windows, in grains. */
const disks = fc.record({
  changed: fc.array(fc.boolean(), { minLength: 1, maxLength: 200 }),
  windows: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 }),
  areasMax: fc.integer({ min: 1, max: 20 }),
})

type Server = { readonly asked: number[]; query(startOffset: number): Promise<ChangedWindow> }

/** Answers truthfully, in windows of varying size, with at most areasMax areas in each, one area a grain. */
function server(disk: { changed: boolean[]; windows: number[]; areasMax: number }): Server {
  const asked: number[] = []
  return {
    asked,
    query: async (startOffset) => {
      const window = disk.windows[asked.length % disk.windows.length] ?? 1
      asked.push(startOffset)
      const first = startOffset / GRAIN
      const areas: Extent[] = []
      let grain = first
      for (; grain < disk.changed.length && grain < first + window && areas.length < disk.areasMax; grain++) {
        if (disk.changed[grain]) areas.push({ offsetBytes: grain * GRAIN, lengthBytes: GRAIN })
      }
      return { startOffset, length: (grain - first) * GRAIN, areas }
    },
  }
}

const whole = (changed: readonly boolean[]) => ({ capacityBytes: changed.length * GRAIN, roundsMax: 10_000 })

async function codeOf(window: Partial<ChangedWindow>, { capacityBytes = 4096, roundsMax = 10 } = {}): Promise<boolean> {
  const query = async (startOffset: number) => ({ startOffset, length: 1024, areas: [], ...window })
  const error = await collectChangedAreas(query, { capacityBytes, roundsMax }).catch((failure: unknown) => failure)
  return hasCode(error, 'cbt-unusable')
}

describe('collectChangedAreas()', () => {
  it('gives exactly the changed bytes however the server cuts its windows', () =>
    fc.assert(
      fc.asyncProperty(disks, async (disk) => {
        const expected = disk.changed.flatMap((changed, grain) =>
          changed ? [{ offsetBytes: grain * GRAIN, lengthBytes: GRAIN }] : [],
        )
        expect(await collectChangedAreas(server(disk).query, whole(disk.changed))).toEqual(mergeExtents(expected))
      }),
    ))

  it('never asks at or beyond the capacity, and always where the last window ended', () =>
    fc.assert(
      fc.asyncProperty(disks, async (disk) => {
        const peer = server(disk)
        await collectChangedAreas(peer.query, whole(disk.changed))
        expect(Math.max(...peer.asked)).toBeLessThan(disk.changed.length * GRAIN)
        expect(new Set(peer.asked).size).toBe(peer.asked.length)
      }),
    ))

  it('reads on through 10,000 areas in replies of 2,000', async () => {
    const changed = Array.from({ length: 20_000 }, (_, grain) => grain % 2 === 1)
    const peer = server({ changed, windows: [1_000_000], areasMax: 2000 })
    const areas = await collectChangedAreas(peer.query, whole(changed))
    expect(areas.length).toBe(10_000)
    expect(peer.asked.length).toBe(5)
    const last = areas.at(-1)
    expect(last && endOf(last)).toBe(20_000 * GRAIN)
  })

  it('goes on after empty windows, and finds a change in the last bytes', async () => {
    const changed = Array.from({ length: 64 }, (_, grain) => grain === 63)
    expect(await collectChangedAreas(server({ changed, windows: [8], areasMax: 5 }).query, whole(changed))).toEqual([
      { offsetBytes: 63 * GRAIN, lengthBytes: GRAIN },
    ])
  })

  it('asks nothing of an empty disk', async () => {
    const query = () => Promise.reject(new Error('asked'))
    expect(await collectChangedAreas(query, { capacityBytes: 0, roundsMax: 1 })).toEqual([])
  })

  it.each<[string, Partial<ChangedWindow>]>([
    ['covers nothing', { length: 0 }],
    ['has a negative length', { length: -512 }],
    ['starts somewhere else', { startOffset: 512 }],
    ['reaches beyond the disk', { length: 8192 }],
    ['has an area before its window', { areas: [{ offsetBytes: -512, lengthBytes: 512 }] }],
    ['has an area past its window', { areas: [{ offsetBytes: 512, lengthBytes: 1024 }] }],
    ['has an empty area', { areas: [{ offsetBytes: 0, lengthBytes: 0 }] }],
    ['has areas out of order', { areas: [512, 0].map((offsetBytes) => ({ offsetBytes, lengthBytes: 512 })) }],
    ['has areas that overlap', { areas: [0, 256].map((offsetBytes) => ({ offsetBytes, lengthBytes: 512 })) }],
    ['is not in whole numbers', { length: Number.NaN }],
  ])('refuses a reply that %s', async (_name, window) => {
    expect(await codeOf(window)).toBe(true)
  })

  it('stops after the written number of replies', async () => {
    expect(await codeOf({}, { capacityBytes: 1024 * 100, roundsMax: 99 })).toBe(true)
  })

  it('passes on what the query throws', async () => {
    const failure = new Error('gone')
    await expect(collectChangedAreas(() => Promise.reject(failure), { capacityBytes: 1, roundsMax: 1 })).rejects.toBe(
      failure,
    )
  })
})
