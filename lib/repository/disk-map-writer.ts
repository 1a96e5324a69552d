// Writes a disk's block map by copy on write: replaced leaves where the work is done, inner pages up to the root at the end.

import { bytesEqual } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { VmId } from '../model/ids.ts'
import { encodeInner, encodeLeaf, type InnerPage, type Leaf, refsPerInner } from '../wire/repository/page.ts'
import type { DiskMap } from '../wire/repository/point.ts'
import { type RecordRef, recordTypes } from '../wire/repository/record-ref.ts'
import { countBelow } from './count-map.ts'
import { type DiskMapReader, diskMapReader, type StoredLeaf } from './disk-map-reader.ts'
import { chunkHasher } from './keys.ts'
import { leafCountOf, leavesBelow, rootLevelOf } from './map-shape.ts'
import type { PackTally } from './pack-use.ts'
import type { PackWriter } from './pack-writer.ts'
import type { Repository } from './repository.ts'

/** A leaf that takes the place of the parent's; structured clone carries it. Null: nothing but holes. */
export type WrittenLeaf = { readonly leafIndex: number; readonly ref: RecordRef | null }

export type LeafWriterOptions = {
  readonly repository: Repository
  readonly domain: VmId
  /** A writer of kind 'meta'. */
  readonly packs: PackWriter
  /** Gains the new leaf and its chunks, loses the parent's. */
  readonly tally: PackTally
}

export type ReplacedLeaf = {
  readonly leafIndex: number
  readonly leaf: Leaf
  /** The parent's leaf at this place; null when it has none. */
  readonly parent: StoredLeaf | null
}

export interface LeafWriter {
  /** Writes one leaf page; waits only for room in the packs. A leaf that equals the parent's is not written again. */
  write(replaced: ReplacedLeaf): Promise<WrittenLeaf>
}

/** For the thread that owns the region; its pack writer must be flushed before the root is written. */
export function leafWriter({ repository, domain, packs, tally }: LeafWriterOptions): LeafWriter {
  const hasher = chunkHasher(repository.keys, domain)
  return {
    write: async ({ leafIndex, leaf, parent }) => {
      const empty = leaf.entries.every((entry) => entry === null)
      const plain = empty ? null : encodeLeaf(leaf)
      if (plain !== null && parent !== null && bytesEqual(hasher(plain), parent.ref.id)) {
        return { leafIndex, ref: withOwnId(parent.ref) }
      }
      if (parent !== null) {
        tally.remove(parent.ref)
        tally.removeLeaf(parent.leaf)
      }
      if (plain === null) return { leafIndex, ref: null }
      await packs.room()
      const ref = packs.add({ plain, id: hasher(plain), type: recordTypes.leaf })
      tally.add(ref)
      tally.addLeaf(leaf)
      return { leafIndex, ref: withOwnId(ref) }
    },
  }
}

export type WriteMapOptions = {
  readonly repository: Repository
  readonly domain: VmId
  readonly packs: PackWriter
  readonly tally: PackTally
  /** The disk as it now is. */
  readonly disk: { readonly key: number; readonly capacityBytes: number; readonly chunkLog2: number }
  /** The map that is inherited where no leaf replaces it: same chunk size. Null: holes. */
  readonly parent: DiskMap | null
  /** Ascending by leafIndex, each below the disk's count of leaves. */
  readonly leaves: Iterable<WrittenLeaf> | AsyncIterable<WrittenLeaf>
}

/**
 * Writes the inner pages above the given leaves; what they do not touch keeps its reference. Memory: one page a level.
 * A disk that grew keeps its map as the first part of the new one; of one that shrank, what lies beyond the new end is
 * dropped, and the caller has replaced the leaf that the new end cuts.
 * @returns the disk's map; its pages are durable once `packs` was flushed
 */
export async function writeDiskMap(options: WriteMapOptions, cancel: Cancel): Promise<DiskMap> {
  const { disk, parent } = options
  assert(parent === null || parent.chunkLog2 === disk.chunkLog2, 'a chain keeps its chunk size')
  const iterator = peekable(options.leaves)
  const level = rootLevelOf(disk)
  const reader = parent === null ? null : diskMapReader({ ...options, disk: parent })
  const leafCount = leafCountOf(disk)
  const shrank = parent !== null && leafCountOf(parent) > leafCount
  const build: Build = { options, reader, leaves: iterator, leafCount, level, shrank, cancel }
  const inherited = await inheritedRoot(build)
  const top: Node = { level, index: 0, parent: inherited }
  if (leafCount === 0 && inherited !== null) await dropBelow(build, top)
  const root = leafCount === 0 ? null : await buildNode(build, top)
  const rest = await iterator.peek()
  assert(rest === null, `leaf ${rest?.leafIndex} lies inside the disk and leaves come in order`)
  return { ...disk, root }
}

type Build = {
  readonly options: WriteMapOptions
  readonly reader: DiskMapReader | null
  readonly leaves: Peekable
  readonly leafCount: number
  readonly level: number
  readonly shrank: boolean
  readonly cancel: Cancel
}

/** The parent's page that stands at the new root's place: none when the tree grew in height. */
type Node = { readonly level: number; readonly index: number; readonly parent: RecordRef | null }

async function inheritedRoot(build: Build): Promise<RecordRef | null> {
  const { parent } = build.options
  if (parent === null || parent.root === null) return null
  const parentLevel = rootLevelOf(parent)
  if (parentLevel <= build.level) return parentLevel === build.level ? parent.root : null
  // The tree lost height: of every page above the new root only the way down to it was kept.
  const { reader, options, cancel } = build
  assert(reader !== null, 'a parent has a reader')
  for (let level = parentLevel; level > build.level; level--) {
    const stored = await reader.inner({ level, index: 0 }, cancel)
    if (stored === null) return null
    options.tally.remove(stored.ref)
    for (let child = 1; child < refsPerInner; child++) {
      const ref = stored.page.refs[child] ?? null
      if (ref !== null) await dropBelow(build, { level: level - 1, index: child, parent: ref })
    }
    if (level - 1 === build.level) return stored.page.refs[0] ?? null
  }
  return null
}

async function buildNode(build: Build, node: Node): Promise<RecordRef | null> {
  const { options, leaves } = build
  const next = await leaves.peek()
  const span = leavesBelow(node.level)
  const start = node.index * span
  if (node.level === 0) {
    if (next?.leafIndex !== node.index) return node.parent
    await leaves.take()
    return next.ref
  }
  const touched = next !== null && next.leafIndex < start + span
  const cut = build.shrank && start + span > build.leafCount && node.parent !== null
  const spine = aboveInheritedRoot(build, node)
  if (!touched && !cut && !spine) return node.parent
  const stored = node.parent === null ? null : await parentPage(build, node)
  const refs = [...(stored?.refs ?? new Array<null>(refsPerInner).fill(null))]
  const childSpan = leavesBelow(node.level - 1)
  let changed = spine
  for (let child = 0; child < refsPerInner; child++) {
    const index = node.index * refsPerInner + child
    const before = spine && child === 0 ? inheritedChild(build, node) : (refs[child] ?? null)
    if (index * childSpan >= build.leafCount) {
      if (before !== null) await dropBelow(build, { level: node.level - 1, index, parent: before })
      refs[child] = null
    } else {
      refs[child] = await buildNode(build, { level: node.level - 1, index, parent: before })
    }
    changed ||= !sameRef(refs[child] ?? null, before)
  }
  if (!changed) return node.parent
  if (node.parent !== null) options.tally.remove(node.parent)
  if (refs.every((ref) => ref === null)) return null
  return writeInner(build, { level: node.level, refs })
}

/** When the new tree is higher than the parent's, the way from its root down to the old root has to be built. */
function aboveInheritedRoot(build: Build, node: Node): boolean {
  const { parent } = build.options
  return parent !== null && parent.root !== null && node.index === 0 && node.level > rootLevelOf(parent)
}

function inheritedChild(build: Build, node: Node): RecordRef | null {
  const { parent } = build.options
  return parent !== null && node.level - 1 === rootLevelOf(parent) ? parent.root : null
}

async function parentPage(build: Build, node: Node): Promise<InnerPage> {
  assert(build.reader !== null, 'an inherited page has a reader')
  const stored = await build.reader.inner({ level: node.level, index: node.index }, build.cancel)
  assert(stored !== null, 'an inherited page is stored')
  return stored.page
}

async function writeInner(build: Build, page: InnerPage): Promise<RecordRef> {
  const { repository, domain, packs, tally } = build.options
  const plain = encodeInner(page)
  await packs.room()
  const ref = packs.add({ plain, id: chunkHasher(repository.keys, domain)(plain), type: recordTypes.inner })
  tally.add(ref)
  return ref
}

async function dropBelow(build: Build, node: Node): Promise<void> {
  assert(build.reader !== null && node.parent !== null, 'what is dropped was inherited')
  await countBelow(
    { reader: build.reader, level: node.level, index: node.index },
    {
      page: (ref) => build.options.tally.remove(ref),
      leaf: (leaf) => build.options.tally.removeLeaf(leaf),
      cancel: build.cancel,
    },
  )
}

type Peekable = { peek(): Promise<WrittenLeaf | null>; take(): Promise<void> }

function peekable(leaves: Iterable<WrittenLeaf> | AsyncIterable<WrittenLeaf>): Peekable {
  const iterator = Symbol.asyncIterator in leaves ? leaves[Symbol.asyncIterator]() : leaves[Symbol.iterator]()
  let head: WrittenLeaf | null | undefined
  return {
    peek: async () => {
      if (head === undefined) {
        const step = await iterator.next()
        head = step.done === true ? null : step.value
      }
      return head
    },
    take: async () => {
      head = undefined
    },
  }
}

function sameRef(left: RecordRef | null, right: RecordRef | null): boolean {
  if (left === null || right === null) return left === right
  return left.pack.packId === right.pack.packId && left.slot === right.slot
}

/** The id as its own 32 bytes: a view of a page would be sent between threads with the whole page. */
function withOwnId(ref: RecordRef): RecordRef {
  return { ...ref, id: Uint8Array.from(ref.id) }
}
