// Reads a disk of a restore point as plain bytes: in order for a restore, or anywhere for random access. Every byte verified.

import { MiB } from '../base/bytes.ts'
import { assert, BackupError } from '../base/errors.ts'
import { anySignal, type Cancel } from '../base/time-limit.ts'
import type { Extent } from '../model/extent.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { chunksPerLeaf } from '../wire/repository/page.ts'
import type { DiskMap } from '../wire/repository/point.ts'
import type { RecordRef } from '../wire/repository/record-ref.ts'
import { type DiskMapReader, diskMapReader, type MapOptions } from './disk-map-reader.ts'
import { chunkHasher } from './keys.ts'
import { lru, remember } from './lru.ts'
import { chunkBytesOf } from './map-shape.ts'
import { defaultReadLimits, type FetchedRecords, fetchPart, planReads, recordOpener } from './record-reader.ts'
import type { Repository } from './repository.ts'

/** Ascending, contiguous, covering exactly the asked range. `bytes` are the consumer's to keep. */
export type DiskRun =
  | { readonly kind: 'data'; readonly offsetBytes: number; readonly bytes: Uint8Array }
  | { readonly kind: 'hole'; readonly offsetBytes: number; readonly lengthBytes: number }

export type RunOptions = Extent & {
  /** Plain bytes of one prefetched window, and how many windows are fetched ahead; 16 MiB and 2 by default. */
  readonly windowBytes?: number
  readonly windowsAhead?: number
}

export interface DiskReader {
  readonly disk: DiskMap
  readonly map: DiskMapReader
  /** The range's bytes in order, with bounded prefetch: at most windowBytes x (windowsAhead + 1) of stored bytes are held. */
  runs(range: RunOptions, cancel: Cancel): AsyncIterable<DiskRun>
  /** Fills `target` whole from `offsetBytes`; the range lies inside the capacity. */
  readRange(range: { readonly offsetBytes: number; readonly target: Uint8Array }, cancel: Cancel): Promise<void>
}

/** Consecutive chunks of a window: refs[i] is chunk first + i, null a hole. */
export type Window = { readonly first: number; readonly refs: readonly (RecordRef | null)[] }

export type DiskReaderOptions = MapOptions & {
  /** Plain chunks kept for readRange(); 0 keeps none. */
  readonly cacheBytesMax: number
}

export function diskReader(options: DiskReaderOptions): DiskReader {
  const { repository, disk } = options
  const map = diskMapReader(options)
  const opener = recordOpener(repository.keys, chunkHasher(repository.keys, options.domain))
  const chunkBytes = chunkBytesOf(disk)
  const cache = lru<number, Promise<Uint8Array | null>>(options.cacheBytesMax)

  const openFetched = (ref: RecordRef, fetched: FetchedRecords): Uint8Array => {
    const stored = fetched.get(ref)
    if (stored === undefined || stored instanceof BackupError)
      throw stored ?? corrupt('Cannot read a chunk: nothing came')
    return opener.openChunk(ref, stored, chunkBytes)
  }
  const loadChunk = async (index: number, cancel: Cancel): Promise<Uint8Array | null> => {
    const stored = await map.leaf(Math.floor(index / chunksPerLeaf), cancel)
    const ref = stored?.leaf.entries[index % chunksPerLeaf] ?? null
    return ref === null ? null : openFetched(ref, await fetchRefs(repository, [ref], cancel))
  }
  const chunk = (index: number, cancel: Cancel): Promise<Uint8Array | null> =>
    remember(cache, index, { cancel, weight: chunkBytes, load: () => loadChunk(index, cancel) })
  return {
    disk,
    map,
    runs: (range, cancel) => {
      assertInside(disk, range.offsetBytes, range.lengthBytes)
      return mergeHoles(dataRuns({ range, map, repository, openFetched }, cancel), range)
    },
    readRange: async ({ offsetBytes, target }, cancel) => {
      assertInside(disk, offsetBytes, target.byteLength)
      for (let at = 0; at < target.byteLength; ) {
        const index = Math.floor((offsetBytes + at) / chunkBytes)
        const within = offsetBytes + at - index * chunkBytes
        const length = Math.min(chunkBytes - within, target.byteLength - at)
        const bytes = await chunk(index, cancel)
        if (bytes === null) target.fill(0, at, at + length)
        else target.set(bytes.subarray(within, within + length), at)
        at += length
      }
    },
  }
}

type RunSource = {
  readonly range: RunOptions
  readonly map: DiskMapReader
  readonly repository: Repository
  readonly openFetched: (ref: RecordRef, fetched: FetchedRecords) => Uint8Array
}

type DataRun = { readonly offsetBytes: number; readonly bytes: Uint8Array }

/** The chunks that are stored, cut to the range, in order. */
async function* dataRuns(source: RunSource, cancel: Cancel): AsyncGenerator<DataRun> {
  const { range, map, repository } = source
  if (range.lengthBytes === 0) return
  const chunkBytes = chunkBytesOf(map.disk)
  const end = range.offsetBytes + range.lengthBytes
  const ahead = { repository, windowsAhead: range.windowsAhead ?? 2 }
  for await (const { window, fetched } of fetchedWindows((inner) => diskWindows(map, range, inner), ahead, cancel)) {
    for (const [i, ref] of window.refs.entries()) {
      if (ref === null) continue
      const chunkStart = (window.first + i) * chunkBytes
      const from = Math.max(chunkStart, range.offsetBytes)
      const bytes = source.openFetched(ref, fetched)
      yield {
        offsetBytes: from,
        bytes: bytes.subarray(from - chunkStart, Math.min(chunkStart + chunkBytes, end) - chunkStart),
      }
    }
  }
}

export type FetchedWindow<Of extends Window> = { readonly window: Of; readonly fetched: FetchedRecords }

/** Reads the stored bytes of windows ahead of the consumer, `windowsAhead` at most, and gives them in order. */
export async function* fetchedWindows<Of extends Window>(
  list: (cancel: Cancel) => AsyncGenerator<Of>,
  options: { readonly repository: Repository; readonly windowsAhead: number },
  cancel: Cancel,
): AsyncGenerator<FetchedWindow<Of>> {
  const stop = new AbortController()
  const inner = { signal: anySignal([cancel.signal, stop.signal]) }
  const windows = list(inner)
  const ahead: { readonly window: Of; readonly fetched: Promise<FetchedRecords> }[] = []
  let more = true
  try {
    while (more || ahead.length > 0) {
      while (more && ahead.length <= options.windowsAhead) {
        const step = await windows.next()
        if (step.done === true) more = false
        else {
          const fetched = fetchRefs(options.repository, step.value.refs, inner)
          fetched.catch(() => undefined)
          ahead.push({ window: step.value, fetched })
        }
      }
      const head = ahead.shift()
      if (head === undefined) return
      yield { window: head.window, fetched: await head.fetched }
    }
  } finally {
    stop.abort(new DOMException('The reader was closed', 'AbortError'))
    await Promise.allSettled(ahead.map((entry) => entry.fetched))
  }
}

/** The windows of a range that hold at least one chunk, in order. Leaves without one are skipped unread. */
export async function* diskWindows(map: DiskMapReader, range: RunOptions, cancel: Cancel): AsyncGenerator<Window> {
  const chunkBytes = chunkBytesOf(map.disk)
  const endChunk = Math.ceil((range.offsetBytes + range.lengthBytes) / chunkBytes)
  const perWindow = Math.max(1, Math.floor((range.windowBytes ?? 16 * MiB) / chunkBytes))
  let index = Math.floor(range.offsetBytes / chunkBytes)
  while (index < endChunk) {
    const leafIndex = Math.floor(index / chunksPerLeaf)
    const next = await map.nextLeaf(leafIndex, cancel)
    if (next === null) return
    if (next > leafIndex) {
      index = next * chunksPerLeaf
      continue
    }
    const stop = Math.min(endChunk, index + perWindow, (leafIndex + 1) * chunksPerLeaf)
    const stored = await map.leaf(leafIndex, cancel)
    const start = leafIndex * chunksPerLeaf
    const refs = (stored?.leaf.entries ?? []).slice(index - start, stop - start)
    if (refs.some((ref) => ref !== null)) yield { first: index, refs }
    index = stop
  }
}

/** Reads what a window holds, its parts side by side. */
export async function fetchRefs(
  repository: Repository,
  refs: readonly (RecordRef | null)[],
  cancel: Cancel,
): Promise<FetchedRecords> {
  const parts = planReads(
    refs.filter((ref) => ref !== null),
    defaultReadLimits,
  )
  const fetched = new Map<RecordRef, Uint8Array | BackupError>()
  for (let i = 0; i < parts.length; i += partsAtOnce) {
    const some = await Promise.all(parts.slice(i, i + partsAtOnce).map((part) => fetchPart(repository, part, cancel)))
    for (const records of some) for (const [ref, stored] of records) fetched.set(ref, stored)
  }
  return fetched
}

const partsAtOnce = 8

/** Fills the gaps between data runs with one hole each. */
async function* mergeHoles(runs: AsyncIterable<DataRun>, range: Extent): AsyncGenerator<DiskRun> {
  let at = range.offsetBytes
  for await (const { offsetBytes, bytes } of runs) {
    if (offsetBytes > at) yield { kind: 'hole', offsetBytes: at, lengthBytes: offsetBytes - at }
    yield { kind: 'data', offsetBytes, bytes }
    at = offsetBytes + bytes.byteLength
  }
  const end = range.offsetBytes + range.lengthBytes
  if (end > at) yield { kind: 'hole', offsetBytes: at, lengthBytes: end - at }
}

function assertInside(disk: DiskMap, offsetBytes: number, lengthBytes: number): void {
  assert(
    offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= disk.capacityBytes,
    'a range lies inside its disk',
  )
}
