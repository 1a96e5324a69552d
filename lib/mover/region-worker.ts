// Audits and stores regions of disks: reads ahead, hands each chunk to the repository, writes the leaf pages. Owns everything it
// uses (disk sources, pack writers, uploads); only the table of chunks is shared. Runs in a thread, or in this one.

import { MiB } from '../base/bytes.ts'
import { forEachBounded } from '../base/concurrency.ts'
import { assert } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type Extent, totalBytes } from '../model/extent.ts'
import type { VmId } from '../model/ids.ts'
import type { Usage } from '../model/usage.ts'
import type { DiskAccess, DiskSource } from '../ports/disk.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import type { DiskRequest, Transport } from '../ports/transport.ts'
import { type ChunkCompare, chunkCompare } from '../repository/chunk-compare.ts'
import {
  type ChunkCounts,
  type ChunkEntry,
  type ChunkWriter,
  chunkWriter,
  leafEntries,
} from '../repository/chunk-writer.ts'
import { type DiskMapReader, diskMapReader, keptPages, type MapOptions } from '../repository/disk-map-reader.ts'
import { type LeafWriter, leafWriter, type WrittenLeaf } from '../repository/disk-map-writer.ts'
import { leafSpanBytesOf } from '../repository/map-shape.ts'
import { type PackDelta, type PackTally, packTally } from '../repository/pack-use.ts'
import { type PackWriter, packWriter } from '../repository/pack-writer.ts'
import type { Repository, RepositoryData } from '../repository/repository.ts'
import { sessionTable } from '../repository/session-table.ts'
import { type AuditDone, auditRegion } from './audit-region.ts'
import { type OneDisk, oneDisk } from './one-disk.ts'
import { forEachPiece } from './read-ahead.ts'
import { dataExtents, type Region } from './regions.ts'
import { wholeChunk } from './whole-chunk.ts'

/** A disk as a worker needs it: plain data. */
export type DiskPlan = {
  readonly request: DiskRequest
  readonly transport: Transport['name']
  readonly access: DiskAccess
  readonly chunkLog2: number
  /** The map that is compared with, and kept where a region has no extents. */
  readonly parent: MapOptions['disk'] | null
}

/** What a worker is made from: plain data, so that a thread can be given it. */
export type WorkerPlan = {
  readonly repository: RepositoryData
  readonly domain: VmId
  readonly disks: readonly DiskPlan[]
  /** What all workers together will read. */
  readonly totalBytes: number
  readonly table: SharedArrayBuffer
  /** How fast all workers read: see pace.ts. */
  readonly pace: SharedArrayBuffer
  readonly compressionLevel: number
  readonly limits: WorkerLimits
}

export type WorkerLimits = {
  /** Bytes read ahead, and one read's size. */
  readonly readAheadBytes: number
  readonly pieceBytes: number
  /** Reads in flight at once. */
  readonly readsMax: number
  /** Packs being uploaded beside the one being filled. */
  readonly uploadsMax: number
  readonly packBytesTarget: number
}

/** About 100 MiB a worker, whatever the disk's size. */
export const WORKER_LIMITS: WorkerLimits = {
  readAheadBytes: 16 * MiB,
  pieceBytes: 2 * MiB,
  readsMax: 8,
  uploadsMax: 4,
  packBytesTarget: 16 * MiB,
}

export type RegionDone = {
  readonly diskKey: number
  readonly leaves: readonly WrittenLeaf[]
  readonly readBytes: number
  readonly counts: ChunkCounts
}

/** What a worker did in all. */
export type WorkerDone = {
  readonly tally: readonly PackDelta[]
  readonly storedBytes: number
  /** What nobody else counts: requests of a store of its own. */
  readonly usage: Usage
}

/** Stores one region at a time. Disposing gives up what was not finished. */
export interface RegionWorker extends AsyncDisposable {
  /** Compares a region of a disk that has a parent; stores nothing. */
  audit(region: Region, cancel: Cancel): Promise<AuditDone>
  store(region: Region, cancel: Cancel): Promise<RegionDone>
  /** Everything stored so far is durable when this resolves. */
  finish(cancel: Cancel): Promise<WorkerDone>
}

export type WorkerDeps = {
  readonly transports: readonly Transport[]
  readonly store: ObjectStore
  readonly random: Random
  /** What the store has cost, where it is this worker's own; NO_USAGE where its owner counts. */
  readonly usage: () => Usage
  /** Called as bytes have been read and stored. */
  readonly report: (diskKey: number, doneBytes: number) => void
}

/** A disk is opened when its first region comes, and closed when a region of another one does. */
export async function openRegionWorker(plan: WorkerPlan, deps: WorkerDeps): Promise<RegionWorker> {
  const repository: Repository = { ...plan.repository, store: deps.store }
  await using opened = new AsyncDisposableStack()
  const kept = keptPages(PAGES_KEPT)
  const disks = new Map<number, PlannedDisk>()
  for (const disk of plan.disks) {
    const { parent } = disk
    const reader = parent === null ? null : diskMapReader({ repository, domain: plan.domain, disk: parent, kept })
    disks.set(disk.request.disk.key, { plan: disk, reader })
  }
  const sources = opened.use(oneDisk(deps.transports, plan.pace))
  const stop = new AbortController()
  opened.defer(() => stop.abort(new DOMException('The region worker was closed', 'AbortError')))
  const packsOf = (kind: 'data' | 'meta') =>
    opened.use(packWriter({ ...packOptions(plan, kind), repository, random: deps.random, signal: stop.signal }))
  const data = packsOf('data')
  const meta = packsOf('meta')
  const tally = packTally()
  const table = sessionTable(plan.table, repository.keys.kid)
  const chunks = chunkWriter({ repository, domain: plan.domain, packs: data, table })
  const leaves = leafWriter({ repository, domain: plan.domain, packs: meta, tally })
  const arena = Buffer.allocUnsafeSlow(Math.max(plan.limits.readAheadBytes, pieceBytesOf(plan)))
  const compare = chunkCompare(repository, plan.domain)
  const parts: Parts = { plan, deps, disks, sources, chunks, compare, leaves, tally, packs: [data, meta], arena }
  return regionWorkerOf(parts, opened.move())
}

type PlannedDisk = { readonly plan: DiskPlan; readonly reader: DiskMapReader | null }
type OpenDisk = PlannedDisk & { readonly source: DiskSource }

type Parts = {
  readonly plan: WorkerPlan
  readonly deps: WorkerDeps
  readonly disks: ReadonlyMap<number, PlannedDisk>
  readonly sources: OneDisk
  readonly chunks: ChunkWriter
  readonly compare: ChunkCompare
  readonly leaves: LeafWriter
  readonly tally: PackTally
  readonly packs: readonly PackWriter[]
  readonly arena: Uint8Array
}

/** Of all disks' parents together, at most 16 MiB: a region's leaves lie below one or two inner pages of each level. */
const PAGES_KEPT = { innersMax: 64, leavesMax: 256 }
/** Leaf pages of the parent that are fetched side by side. */
const LEAF_READS_MAX = 4
/** More than the largest leaf page. */
const PAGE_BYTES_MAX = 64 * 1024

function packOptions({ disks, limits, compressionLevel }: WorkerPlan, kind: 'data' | 'meta') {
  const chunkBytesMax = Math.max(...disks.map((disk) => 2 ** disk.chunkLog2))
  return {
    kind,
    compressionLevel,
    packBytesTarget: limits.packBytesTarget,
    plainBytesMax: kind === 'data' ? chunkBytesMax : PAGE_BYTES_MAX,
    uploadsMax: kind === 'data' ? limits.uploadsMax : 1,
  }
}

function pieceBytesOf({ disks, limits }: WorkerPlan): number {
  return Math.max(limits.pieceBytes, ...disks.map((disk) => 2 ** disk.chunkLog2))
}

function regionWorkerOf(parts: Parts, resources: AsyncDisposable): RegionWorker {
  return {
    audit: (region, cancel) => compareRegion(parts, region, cancel),
    store: (region, cancel) => storeRegion(parts, region, cancel),
    finish: async () => {
      for (const packs of parts.packs) await packs.flush()
      const storedBytes = parts.packs.flatMap((packs) => packs.packs()).reduce((sum, pack) => sum + pack.sizeBytes, 0)
      return { tally: parts.tally.deltas(), storedBytes, usage: parts.deps.usage() }
    },
    [Symbol.asyncDispose]: () => resources[Symbol.asyncDispose](),
  }
}

async function takeDisk({ disks, sources }: Parts, { diskKey }: Region, cancel: Cancel): Promise<OpenDisk> {
  const planned = disks.get(diskKey)
  assert(planned !== undefined, `the worker has disk ${diskKey}`)
  return { ...planned, source: await sources.take(planned.plan, cancel) }
}

async function compareRegion(parts: Parts, region: Region, cancel: Cancel): Promise<AuditDone> {
  const disk = await takeDisk(parts, region, cancel)
  const { arena, compare } = parts
  const { report } = parts.deps
  const drafts = await draftLeaves(disk, region, cancel)
  const kept = new Map([...drafts].map(([leaf, { entries }]) => [leaf, entries] as const))
  const { chunkLog2 } = disk.plan
  const pieceBytesMax = wholePieceBytes(parts, disk)
  const reading = { arena, pieceBytesMax, readsMax: readsMaxOf(parts, disk) }
  return auditRegion({ region, source: disk.source, chunkLog2, kept, compare, report, ...reading }, cancel)
}

async function storeRegion(parts: Parts, region: Region, cancel: Cancel): Promise<RegionDone> {
  const { diskKey } = region
  const disk = await takeDisk(parts, region, cancel)
  const before = parts.chunks.counts()
  const drafts = await draftLeaves(disk, region, cancel)
  const extents = region.whole ? await knownData({ parts, disk, region, drafts }, cancel) : region.extents
  const readBytes = await storeChunks({ parts, disk, drafts, extents }, cancel)
  const leaves: WrittenLeaf[] = []
  for (const [leafIndex, { parent, entries }] of drafts) {
    const leaf = { chunkLog2: disk.plan.chunkLog2, entries }
    leaves.push(await parts.leaves.write({ leafIndex, leaf, parent }))
  }
  const after = parts.chunks.counts()
  return {
    diskKey,
    leaves,
    readBytes,
    counts: {
      newChunks: after.newChunks - before.newChunks,
      newPlainBytes: after.newPlainBytes - before.newPlainBytes,
      newStoredBytes: after.newStoredBytes - before.newStoredBytes,
    },
  }
}

type LeafDraft = { readonly parent: Awaited<ReturnType<DiskMapReader['leaf']>>; readonly entries: ChunkEntry[] }

/** The region's leaves as the parent has them, in ascending order. */
async function draftLeaves(
  { reader }: PlannedDisk,
  region: Region,
  cancel: Cancel,
): Promise<ReadonlyMap<number, LeafDraft>> {
  const drafts = new Map<number, LeafDraft>(
    region.leaves.map((leaf) => [leaf, { parent: null, entries: leafEntries(null) }]),
  )
  if (reader === null) return drafts
  const kept = region.leaves.filter((leaf) => leaf < reader.leafCount)
  const load = async (leaf: number, { signal }: Cancel) => {
    const parent = await reader.leaf(leaf, { signal })
    drafts.set(leaf, { parent, entries: leafEntries(parent) })
  }
  await forEachBounded(kept, load, { runningMax: LEAF_READS_MAX, signal: cancel.signal })
  return drafts
}

/** What the source may have data in; the rest of the region becomes holes, unread. */
async function knownData(
  work: {
    readonly parts: Parts
    readonly disk: OpenDisk
    readonly region: Region
    readonly drafts: ReadonlyMap<number, LeafDraft>
  },
  cancel: Cancel,
): Promise<readonly Extent[]> {
  const { disk, region, drafts } = work
  const chunkBytes = 2 ** disk.plan.chunkLog2
  const data: Extent[] = []
  for (const extent of region.extents) {
    for (const run of await disk.source.allocation(extent, cancel)) if (run.kind === 'data') data.push(run)
  }
  for (const draft of drafts.values()) draft.entries.fill(null)
  const kept = dataExtents(region.extents, data, { chunkBytes, capacityBytes: disk.source.capacityBytes })
  const skippedBytes = totalBytes(region.extents) - totalBytes(kept)
  if (skippedBytes > 0) work.parts.deps.report(region.diskKey, skippedBytes)
  return kept
}

async function storeChunks(
  work: {
    readonly parts: Parts
    readonly disk: OpenDisk
    readonly drafts: ReadonlyMap<number, LeafDraft>
    readonly extents: readonly Extent[]
  },
  cancel: Cancel,
): Promise<number> {
  const { parts, disk, drafts, extents } = work
  const { chunkLog2, request } = disk.plan
  const chunkBytes = 2 ** chunkLog2
  const leafBytes = leafSpanBytesOf(disk.plan)
  await forEachPiece(
    { source: disk.source, extents },
    {
      pieceBytesMax: wholePieceBytes(parts, disk),
      arena: parts.arena,
      readsMax: readsMaxOf(parts, disk),
      signal: cancel.signal,
      use: async ({ offsetBytes, bytes }) => {
        for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
          const room = parts.chunks.room()
          if (room !== null) await room
          const draft = drafts.get(Math.floor((offsetBytes + at) / leafBytes))
          assert(draft !== undefined, 'a piece lies in a leaf of its region')
          const index = Math.floor(((offsetBytes + at) % leafBytes) / chunkBytes)
          const before = draft.parent?.leaf.entries[index] ?? null
          draft.entries[index] = parts.chunks.put(wholeChunk(bytes.subarray(at, at + chunkBytes), chunkBytes), before)
        }
        parts.deps.report(request.disk.key, bytes.byteLength)
      },
    },
  )
  return totalBytes(extents)
}

/** What the source answers side by side, at most what the job was granted. */
function readsMaxOf({ plan }: Parts, { source }: OpenDisk): number {
  return Math.min(source.readsMax, plan.limits.readsMax)
}

/** Whole chunks that one read of the source gives, one at least. */
function wholePieceBytes({ plan }: Parts, { source, plan: { chunkLog2 } }: OpenDisk): number {
  const chunkBytes = 2 ** chunkLog2
  const wholeChunks = Math.floor(Math.min(plan.limits.pieceBytes, source.readBytesMax) / chunkBytes)
  return Math.max(1, wholeChunks) * chunkBytes
}
