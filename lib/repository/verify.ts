// Verifies a restore point: reads and authenticates everything it reaches, and reports every fault, not the first.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { PackUse } from '../wire/repository/pack-set.ts'
import { chunksPerLeaf, refsPerInner } from '../wire/repository/page.ts'
import type { DiskMap } from '../wire/repository/point.ts'
import { listAnnotations } from './annotations.ts'
import { type DiskMapReader, diskMapReader } from './disk-map-reader.ts'
import { fetchedWindows, type Window } from './disk-reader.ts'
import { chunkHasher } from './keys.ts'
import { chunkBytesOf, leafSpanBytesOf, leavesBelow, rootLevelOf } from './map-shape.ts'
import { type PointRef, packKey } from './object-keys.ts'
import { readPackSet } from './pack-set.ts'
import { type PackTally, packTally } from './pack-use.ts'
import type { StoredPoint } from './point-object.ts'
import { readPoint } from './points.ts'
import { type RecordOpener, recordOpener } from './record-reader.ts'
import type { Repository } from './repository.ts'
import { readPackTrailer } from './verify-pack.ts'

/** 'pages': everything but the chunks' bytes. 'chunks': every byte. */
export type VerifyLevel = 'pages' | 'chunks'

export type VerifyFault = {
  readonly place: 'point' | 'annotation' | 'pack-set' | 'pack' | 'map' | 'chunk'
  /** Which disk and which of its bytes cannot be restored; null when the fault is of no single place. */
  readonly lost: { readonly diskKey: number; readonly offsetBytes: number; readonly lengthBytes: number } | null
  readonly code: string
  readonly message: string
}

export type VerifyProgress = { readonly diskKey: number; readonly doneBytes: number; readonly totalBytes: number }

export type VerifyReport = {
  /** At most 1,000; faultCount counts all. */
  readonly faults: readonly VerifyFault[]
  readonly faultCount: number
  readonly packs: number
  readonly pages: number
  readonly chunks: number
  /** Plain bytes of the chunks that were read and are whole. */
  readonly plainBytes: number
}

export type VerifyOptions = {
  readonly repository: Repository
  readonly ref: PointRef
  readonly level: VerifyLevel
  /** Called after each window of 16 MiB and at a disk's end. */
  readonly onProgress?: (progress: VerifyProgress) => void
}

const faultsKeptMax = 1_000

/** @throws only what says nothing about the bytes: a store that refuses or fails, a cancel, an unknown version or key */
export async function verifyPoint(options: VerifyOptions, cancel: Cancel): Promise<VerifyReport> {
  const run = newRun(options)
  const said = await listAnnotations({ repository: options.repository, of: options.ref }, cancel)
  for (const { error } of said.unreadable)
    note(run, { place: 'annotation', lost: null, code: error.code, message: error.message })
  const point = await tolerate(run, { place: 'point', lost: null }, () => readPoint(options, cancel))
  if (point === null) return reportOf(run)
  const uses = await tolerate(run, { place: 'pack-set', lost: null }, () => readUses(run, point, cancel))
  for (const disk of point.envelope.disks) await verifyDisk({ run, point, disk }, cancel)
  if (uses !== null) {
    compareUses(run, point, uses)
    for (const { pack } of uses) {
      await tolerate(run, { place: 'pack', lost: null }, () =>
        readPackTrailer({ repository: options.repository, pack }, cancel),
      )
      run.packs++
    }
  }
  return reportOf(run)
}

type Run = {
  readonly options: VerifyOptions
  readonly faults: VerifyFault[]
  readonly tally: PackTally
  faultCount: number
  mapFaults: number
  packs: number
  pages: number
  chunks: number
  plainBytes: number
}

type Place = Pick<VerifyFault, 'place' | 'lost'>

function newRun(options: VerifyOptions): Run {
  return {
    options,
    faults: [],
    tally: packTally(),
    faultCount: 0,
    mapFaults: 0,
    packs: 0,
    pages: 0,
    chunks: 0,
    plainBytes: 0,
  }
}

function reportOf({ faults, faultCount, packs, pages, chunks, plainBytes }: Run): VerifyReport {
  return { faults, faultCount, packs, pages, chunks, plainBytes }
}

async function readUses(run: Run, point: StoredPoint, cancel: Cancel): Promise<readonly PackUse[]> {
  const { vmId, packSet } = point.envelope
  const uses = await readPackSet({ repository: run.options.repository, domain: vmId, parts: packSet }, cancel)
  run.pages += packSet.length
  return uses
}

/** Runs `check`; a fault of the stored bytes is noted and answered by null, everything else is thrown. */
async function tolerate<Result>(run: Run, place: Place, check: () => Result | Promise<Result>): Promise<Result | null> {
  try {
    return await check()
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== 'integrity') throw error
    note(run, { ...place, code: error.code, message: error.message })
    return null
  }
}

function note(run: Run, fault: VerifyFault): void {
  run.faultCount++
  if (fault.place === 'map') run.mapFaults++
  if (run.faults.length < faultsKeptMax) run.faults.push(fault)
}

type DiskCheck = { readonly run: Run; readonly point: StoredPoint; readonly disk: DiskMap }

async function verifyDisk({ run, point, disk }: DiskCheck, cancel: Cancel): Promise<void> {
  const { repository, level, onProgress } = run.options
  const domain = point.envelope.vmId
  const map = diskMapReader({ repository, domain, disk })
  const opener = recordOpener(repository.keys, chunkHasher(repository.keys, domain))
  const chunkBytes = chunkBytesOf(disk)
  const root = { level: rootLevelOf(disk), index: 0 }
  const leaves = (inner: Cancel) => leafWindows({ run, map, place: root }, inner)
  const progress = (doneBytes: number) => {
    onProgress?.({
      diskKey: disk.key,
      doneBytes: Math.min(doneBytes, disk.capacityBytes),
      totalBytes: disk.capacityBytes,
    })
  }
  if (disk.root === null) return progress(disk.capacityBytes)
  if (level === 'pages') for await (const window of leaves(cancel)) progress(window.first * chunkBytes)
  else {
    for await (const { window, fetched } of fetchedWindows(leaves, { repository, windowsAhead: 2 }, cancel)) {
      for (const [i, ref] of window.refs.entries()) {
        if (ref === null) continue
        const lost = lostOf(disk, { offsetBytes: (window.first + i) * chunkBytes, lengthBytes: chunkBytes })
        const plain = await tolerate(run, { place: 'chunk', lost }, () =>
          openChunk(opener, { ref, stored: fetched.get(ref), chunkBytes }),
        )
        if (plain === null) continue
        run.chunks++
        run.plainBytes += chunkBytes
      }
      progress((window.first + window.refs.length) * chunkBytes)
    }
  }
  progress(disk.capacityBytes)
}

function openChunk(
  opener: RecordOpener,
  chunk: {
    readonly ref: Parameters<RecordOpener['openChunk']>[0]
    readonly stored: Uint8Array | BackupError | undefined
    readonly chunkBytes: number
  },
): Uint8Array {
  const { stored } = chunk
  if (stored === undefined || stored instanceof BackupError) {
    throw stored ?? new BackupError('Cannot read a chunk: nothing came', { code: 'integrity', kind: 'integrity' })
  }
  return opener.openChunk(chunk.ref, stored, chunk.chunkBytes)
}

type MapWalk = {
  readonly run: Run
  readonly map: DiskMapReader
  readonly place: { readonly level: number; readonly index: number }
}

const windowBytes = 16 * 1024 * 1024

/** Every leaf below this place in windows; counts its pages; a page that cannot be read is noted with all it covers. */
async function* leafWindows({ run, map, place }: MapWalk, cancel: Cancel): AsyncGenerator<Window> {
  const { level, index } = place
  const { disk } = map
  const spanBytes = leavesBelow(level) * leafSpanBytesOf(disk)
  const lost = lostOf(disk, { offsetBytes: index * spanBytes, lengthBytes: spanBytes })
  if (level > 0) {
    const stored = await tolerate(run, { place: 'map', lost }, () => map.inner(place, cancel))
    if (stored === null) return
    run.tally.add(stored.ref)
    run.pages++
    for (const [child, ref] of stored.page.refs.entries()) {
      const below = { level: level - 1, index: index * refsPerInner + child }
      if (ref !== null) yield* leafWindows({ run, map, place: below }, cancel)
    }
    return
  }
  if (index >= map.leafCount) {
    note(run, {
      place: 'map',
      lost: null,
      code: 'integrity',
      message: `Leaf ${index} lies beyond the end of disk ${disk.key}`,
    })
    return
  }
  const stored = await tolerate(run, { place: 'map', lost }, () => map.leaf(index, cancel))
  if (stored === null) return
  run.tally.add(stored.ref)
  run.tally.addLeaf(stored.leaf)
  run.pages++
  const perWindow = Math.max(1, Math.floor(windowBytes / chunkBytesOf(disk)))
  for (let i = 0; i < chunksPerLeaf; i += perWindow) {
    const refs = stored.leaf.entries.slice(i, i + perWindow)
    if (refs.some((ref) => ref !== null)) yield { first: index * chunksPerLeaf + i, refs }
  }
}

function lostOf(
  disk: DiskMap,
  range: { readonly offsetBytes: number; readonly lengthBytes: number },
): NonNullable<VerifyFault['lost']> {
  const lengthBytes = Math.max(0, Math.min(range.lengthBytes, disk.capacityBytes - range.offsetBytes))
  return { diskKey: disk.key, offsetBytes: range.offsetBytes, lengthBytes }
}

/** A sweep believes the pack set: it must name every pack that was reached, with the very counts. */
function compareUses(run: Run, point: StoredPoint, uses: readonly PackUse[]): void {
  for (const ref of point.envelope.packSet) run.tally.add(ref)
  const counted = new Map(run.tally.deltas().map((delta) => [delta.pack.packId, delta]))
  const listed = new Map(uses.map((use) => [use.pack.packId, use]))
  const fault = (message: string) => note(run, { place: 'pack-set', lost: null, code: 'integrity', message })
  for (const { pack, records, bytes } of counted.values()) {
    const use = listed.get(pack.packId)
    if (use === undefined) fault(`The pack set does not list "${packKey(pack)}", which the point needs`)
    else if (run.mapFaults === 0 && (use.records !== records || use.bytes !== bytes)) {
      fault(
        `The pack set counts ${use.records} records and ${use.bytes} bytes of "${packKey(pack)}"; there are ${records} and ${bytes}`,
      )
    }
  }
  if (run.mapFaults > 0) return
  for (const { pack } of uses) {
    if (!counted.has(pack.packId)) fault(`The pack set lists "${packKey(pack)}", which the point does not need`)
  }
}
