// matchDisks(): a disk is known by what it is, not by where its files lie.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchDisks } from '../../lib/model/match-disks.ts'
import type { PointDisk } from '../../lib/model/point.ts'
import type { VmDisk } from '../../lib/model/vm.ts'
import { sampleDisk } from '../kit/record-samples.ts'
import { pointDisk } from '../mover/point-disk.ts'

const disk = (key: number, uuid: string | null): VmDisk => ({ ...sampleDisk(), key, uuid })
const old = (key: number, backingUuid: string | null): PointDisk => pointDisk({ key, backingUuid })
const pairs = (disks: readonly VmDisk[], before: readonly PointDisk[]) =>
  [...matchDisks(disks, before)].map(([key, found]) => [key, found.key])

describe('matchDisks()', () => {
  it('finds a disk by key and uuid, whatever else changed', () => {
    expect(pairs([disk(2000, 'a'), disk(2001, 'b')], [old(2001, 'b'), old(2000, 'a')])).toEqual([
      [2000, 2000],
      [2001, 2001],
    ])
  })

  it('follows a disk to another place by its uuid, also where two changed places', () => {
    expect(pairs([disk(2005, 'a')], [old(2000, 'a')])).toEqual([[2005, 2000]])
    expect(pairs([disk(2000, 'b'), disk(2001, 'a')], [old(2000, 'a'), old(2001, 'b')])).toEqual([
      [2000, 2001],
      [2001, 2000],
    ])
  })

  it('lets a new disk at an old place continue nothing that another disk continues', () => {
    expect(pairs([disk(2000, 'new'), disk(2001, 'a')], [old(2000, 'a')])).toEqual([[2001, 2000]])
  })

  it('compares a replaced disk, and one without a uuid, with what was at its place', () => {
    expect(pairs([disk(2000, 'new')], [old(2000, 'a')])).toEqual([[2000, 2000]])
    expect(pairs([disk(2000, null)], [old(2000, 'a')])).toEqual([[2000, 2000]])
  })

  it('guesses nothing where a uuid is there twice', () => {
    expect(pairs([disk(2005, 'a')], [old(2000, 'a'), old(2001, 'a')])).toEqual([])
    expect(pairs([disk(2000, 'a'), disk(2001, 'a')], [old(2000, 'a'), old(2001, 'a')])).toEqual([
      [2000, 2000],
      [2001, 2001],
    ])
  })

  it('continues each disk of the parent once at most', () => {
    const uuid = fc.constantFrom('a', 'b', 'c', null)
    const keys = fc.uniqueArray(fc.integer({ min: 2000, max: 2005 }), { maxLength: 6 })
    const list = keys.chain((some) => fc.tuple(...some.map((key) => uuid.map((one) => [key, one] as const))))
    fc.assert(
      fc.property(list, list, (now, then) => {
        const found = matchDisks(
          now.map(([key, one]) => disk(key, one)),
          then.map(([key, one]) => old(key, one)),
        )
        const continued = [...found.values()].map(({ key }) => key)
        expect(new Set(continued).size).toBe(continued.length)
        for (const [key, one] of now) {
          const twin = then.find(([otherKey, other]) => otherKey === key && other === one && one !== null)
          if (twin !== undefined) expect(found.get(key)?.key).toBe(key)
        }
      }),
    )
  })
})
