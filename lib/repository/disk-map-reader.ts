// Reads a disk's block map: leaves by their number, through small caches. Nothing is believed that is not authentic.

import { KiB, MiB } from '../base/bytes.ts'
import { assert, BackupError, hasCode } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { VmId } from '../model/ids.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { decodeInner, decodeLeaf, type InnerPage, type Leaf, refsPerInner } from '../wire/repository/page.ts'
import type { DiskMap } from '../wire/repository/point.ts'
import { type RecordRef, recordTypes } from '../wire/repository/record-ref.ts'
import { chunkHasher } from './keys.ts'
import { type Lru, lru, remember } from './lru.ts'
import { leafCountOf, leavesBelow, rootLevelOf } from './map-shape.ts'
import { fetchPart, planReads, readPage, recordOpener } from './record-reader.ts'
import type { Repository } from './repository.ts'

export type MapOptions = {
  readonly repository: Repository
  readonly domain: VmId
  readonly disk: DiskMap
  /** Shared by readers of several disks, so that all together keep no more; left out: the reader's own. */
  readonly kept?: KeptPages
}

/** Pages that readers keep, decoded. */
export type KeptPages = {
  readonly inners: Lru<string, Promise<StoredInner | null>>
  readonly leaves: Lru<string, Promise<StoredLeaf | null>>
  /** A name of its own for each reader. */
  readonly nameReader: () => string
}

/** An inner page takes about 128 KiB when decoded, a leaf 32 KiB. */
export function keptPages(limits: { readonly innersMax: number; readonly leavesMax: number }): KeptPages {
  let readers = 0
  return { inners: lru(limits.innersMax), leaves: lru(limits.leavesMax), nameReader: () => String(++readers) }
}

export type StoredLeaf = { readonly ref: RecordRef; readonly leaf: Leaf }

export interface DiskMapReader {
  readonly disk: DiskMap
  readonly leafCount: number
  /** Null: all 128 chunks are holes. Leaves of one region of 8 come together. `leafIndex` below leafCount. */
  leaf(leafIndex: number, cancel: Cancel): Promise<StoredLeaf | null>
  /** Where a leaf lies, without reading it; null for a hole. */
  leafRef(leafIndex: number, cancel: Cancel): Promise<RecordRef | null>
  /** The first leaf from `leafIndex` on that is not a hole; null when there is none. */
  nextLeaf(leafIndex: number, cancel: Cancel): Promise<number | null>
  /** Inner page `index` of `level` (1 or more, at most the root's), with its reference; null for a hole. */
  inner(place: { readonly level: number; readonly index: number }, cancel: Cancel): Promise<StoredInner | null>
}

export type StoredInner = { readonly ref: RecordRef; readonly page: InnerPage }

const leavesPerRegion = 8
const ownLimits = { innersMax: 256, leavesMax: 128 }

export function diskMapReader({ repository, domain, disk, kept = keptPages(ownLimits) }: MapOptions): DiskMapReader {
  const opener = recordOpener(repository.keys, chunkHasher(repository.keys, domain))
  const rootLevel = rootLevelOf(disk)
  const leafCount = leafCountOf(disk)
  const { inners, leaves } = kept
  const name = kept.nameReader()
  const leafName = (index: number) => `${name}/${index}`

  const refAt = async (level: number, index: number, cancel: Cancel): Promise<RecordRef | null> => {
    if (level === rootLevel) return index === 0 ? disk.root : null
    const above = await inner({ level: level + 1, index: Math.floor(index / refsPerInner) }, cancel)
    return above?.page.refs[index % refsPerInner] ?? null
  }
  const loadInner = async (level: number, index: number, cancel: Cancel): Promise<StoredInner | null> => {
    const ref = await refAt(level, index, cancel)
    if (ref === null) return null
    const page = decodeInner(await readPage({ repository, opener, ref, type: recordTypes.inner }, cancel))
    if (page.level !== level) throw corrupt(`Cannot read an inner page: its level is "${page.level}", not "${level}"`)
    return { ref, page }
  }
  const inner: DiskMapReader['inner'] = ({ level, index }, cancel) => {
    assert(level >= 1 && level <= rootLevel, 'an inner page has a level of its tree')
    return remember(inners, `${name}/${level}/${index}`, { cancel, load: () => loadInner(level, index, cancel) })
  }
  const openLeaf = (ref: RecordRef, stored: Uint8Array): StoredLeaf => {
    const leaf = decodeLeaf(opener.openPage(ref, stored, recordTypes.leaf))
    if (leaf.chunkLog2 !== disk.chunkLog2) throw corrupt(`Cannot read a leaf: its chunks are of another size`)
    return { ref, leaf }
  }
  const region: Region = {
    repository,
    leafCount,
    refOf: (index, cancel) => refAt(0, index, cancel),
    isKept: (index) => leaves.get(leafName(index)) !== undefined,
    keep: (index, ref, stored) => {
      leaves.set(leafName(index), Promise.resolve(openLeaf(ref, stored)), 1)
    },
    open: openLeaf,
  }
  return {
    disk,
    leafCount,
    inner,
    leafRef: (leafIndex, cancel) => refAt(0, leafIndex, cancel),
    leaf: (leafIndex, cancel) => {
      assert(leafIndex >= 0 && leafIndex < leafCount, 'a leaf lies inside its disk')
      return remember(leaves, leafName(leafIndex), { cancel, load: () => loadLeaf(region, leafIndex, cancel) })
    },
    nextLeaf: async (leafIndex, cancel) => {
      let index = leafIndex
      while (index < leafCount) {
        const level = await holeLevel(index, { rootLevel, refAt: (up, at) => refAt(up, at, cancel) })
        if (level === null) return index
        const span = leavesBelow(level)
        index = (Math.floor(index / span) + 1) * span
      }
      return null
    },
  }
}

/** The highest level at which the way to this leaf ends in a hole; null when the leaf is stored. */
async function holeLevel(
  leafIndex: number,
  tree: { readonly rootLevel: number; readonly refAt: (level: number, index: number) => Promise<RecordRef | null> },
): Promise<number | null> {
  for (let level = tree.rootLevel; level >= 0; level--) {
    const ref = await tree.refAt(level, Math.floor(leafIndex / leavesBelow(level)))
    if (ref === null) return level
  }
  return null
}

type Region = {
  readonly repository: Repository
  readonly leafCount: number
  readonly refOf: (leafIndex: number, cancel: Cancel) => Promise<RecordRef | null>
  readonly isKept: (leafIndex: number) => boolean
  readonly keep: (leafIndex: number, ref: RecordRef, stored: Uint8Array) => void
  readonly open: (ref: RecordRef, stored: Uint8Array) => StoredLeaf
}

/** Reads a leaf, and with it those of its region that lie beside it: they were written together. */
async function loadLeaf(region: Region, leafIndex: number, cancel: Cancel): Promise<StoredLeaf | null> {
  const wanted = await region.refOf(leafIndex, cancel)
  if (wanted === null) return null
  const first = leafIndex - (leafIndex % leavesPerRegion)
  const indexOf = new Map<RecordRef, number>([[wanted, leafIndex]])
  for (let index = first; index < Math.min(first + leavesPerRegion, region.leafCount); index++) {
    const ref = index === leafIndex || region.isKept(index) ? null : await region.refOf(index, cancel)
    if (ref !== null && ref.pack.packId === wanted.pack.packId) indexOf.set(ref, index)
  }
  const parts = planReads([...indexOf.keys()], { gapBytesMax: 16 * KiB, readBytesMax: MiB })
  const part = parts.find((candidate) => candidate.refs.includes(wanted))
  assert(part !== undefined, 'a planned read holds what was wanted')
  const fetched = await fetchPart(region.repository, part, cancel)
  for (const [ref, stored] of fetched) {
    const index = indexOf.get(ref)
    if (ref === wanted || index === undefined || stored instanceof BackupError) continue
    try {
      region.keep(index, ref, stored)
    } catch (error) {
      // A damaged neighbour is reported when it is asked for itself.
      if (!hasCode(error, 'integrity')) throw error
    }
  }
  const stored = fetched.get(wanted)
  if (stored === undefined || stored instanceof BackupError) throw stored ?? corrupt('Cannot read a leaf: nothing came')
  return region.open(wanted, stored)
}
