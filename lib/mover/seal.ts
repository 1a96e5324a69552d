// The end of a move: inner pages, pack set and the sealed candidate. Nothing here is visible to readers of points.

import { MiB } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { BackupError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { SessionId, VmId } from '../model/ids.ts'
import type { PointBody } from '../model/point.ts'
import { sealCandidate } from '../repository/candidate.ts'
import { countDiskMap } from '../repository/count-map.ts'
import type { MapOptions } from '../repository/disk-map-reader.ts'
import { writeDiskMap } from '../repository/disk-map-writer.ts'
import { missingPacks } from '../repository/pack-presence.ts'
import { inheritedUses, readPackSet } from '../repository/pack-set.ts'
import { mergePackUses, type PackDelta, type PackTally, packTally } from '../repository/pack-use.ts'
import { type PackWriter, packWriter } from '../repository/pack-writer.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import type { Repository } from '../repository/repository.ts'
import type { LeafStream } from './leaf-stream.ts'
import type { DiskReading } from './readings.ts'
import type { WorkerDone } from './region-worker.ts'

export type DiskMap = MapOptions['disk']

export type MapParts = {
  readonly repository: Repository
  readonly domain: VmId
  readonly packs: PackWriter
  readonly tally: PackTally
}

type PackUse = ReturnType<typeof mergePackUses>[number]

const INNER_PAGE_BYTES_MAX = 64 * 1024

/** Where the inner pages go; one writer and one tally for all disks of the point. */
export function mapPacks(
  repository: Repository,
  options: { readonly random: Random; readonly signal: AbortSignal },
): PackWriter {
  return packWriter({
    repository,
    kind: 'meta',
    packBytesTarget: 4 * MiB,
    plainBytesMax: INNER_PAGE_BYTES_MAX,
    uploadsMax: 2,
    compressionLevel: 1,
    ...options,
  })
}

/** Writes the disks' maps one after the other, as their leaves come. */
export async function writeMaps(
  parts: MapParts,
  disks: readonly { readonly reading: DiskReading; readonly leaves: LeafStream }[],
  cancel: Cancel,
): Promise<readonly DiskMap[]> {
  const maps: DiskMap[] = []
  for (const { reading, leaves } of disks) {
    const { disk, chunkLog2, parent } = reading
    const { key, capacityBytes } = disk
    maps.push(
      await writeDiskMap(
        { ...parts, disk: { key, capacityBytes, chunkLog2 }, parent, leaves: leaves.leaves() },
        cancel,
      ),
    )
  }
  return maps
}

export type SealInput = MapParts & {
  readonly sessionId: SessionId
  readonly sequence: number
  readonly parent: StoredPoint | null
  readonly capturedAt: string
  readonly readings: readonly DiskReading[]
  readonly maps: readonly DiskMap[]
  readonly done: readonly WorkerDone[]
  /** Without storedBytes, which is counted here. */
  readonly body: Omit<PointBody, 'storedBytes'>
  readonly clock: Clock
  readonly random: Random
}

/** All workers have finished. @returns the candidate of this session, also when an earlier try had sealed it */
export async function sealMove(input: SealInput, cancel: Cancel): Promise<StoredPoint> {
  const { repository, parent, sequence, done } = input
  await input.packs.flush()
  const ownBytes = input.packs.packs().reduce((sum, pack) => sum + pack.sizeBytes, 0)
  const storedBytes = done.reduce((sum, worker) => sum + worker.storedBytes, ownBytes)
  const tally = packTally()
  for (const worker of done) tally.merge(worker.tally)
  tally.merge(input.tally.deltas())
  const base = await inheritedPacks(input, tally, cancel)
  const packUses = mergePackUses(base ?? [], tally.deltas())
  await checkInherited(input, { inherited: base ?? [], merged: packUses }, cancel)
  return sealCandidate(
    {
      repository,
      random: input.random,
      clock: input.clock,
      sessionId: input.sessionId,
      point: {
        vmId: input.domain,
        sequence,
        parentSequence: base === null ? null : (parent?.envelope.sequence ?? null),
        capturedAt: input.capturedAt,
        retainUntil: null,
      },
      body: { ...input.body, storedBytes },
      disks: input.maps,
      packUses,
    },
    cancel,
  )
}

/** The parent's pack set, less the disks that this point does not continue; null when it continues none. */
async function inheritedPacks(input: SealInput, tally: PackTally, cancel: Cancel) {
  const { parent, repository, domain } = input
  // By the keys that the parent gave them: a disk may hang at another place now.
  const kept = new Set(input.readings.flatMap((reading) => (reading.parent === null ? [] : [reading.parent.key])))
  if (parent === null || kept.size === 0) return null
  for (const disk of parent.envelope.disks) {
    if (!kept.has(disk.key)) tally.merge(negated(await countDiskMap({ repository, domain, disk }, cancel)))
  }
  const parts = parent.envelope.packSet
  return inheritedUses(await readPackSet({ repository, domain, parts }, cancel), parts)
}

/** What is only inherited is never read here: that it is still there must be seen before the point says so. */
async function checkInherited(
  { repository, parent }: SealInput,
  use: { readonly inherited: readonly PackUse[]; readonly merged: readonly PackUse[] },
  cancel: Cancel,
): Promise<void> {
  const kept = new Set(use.merged.map(({ pack }) => pack.packId))
  const packs = use.inherited.map(({ pack }) => pack).filter(({ packId }) => kept.has(packId))
  const missing = await missingPacks({ repository, packs }, cancel)
  if (missing.length === 0) return
  throw new BackupError(
    `Cannot continue restore point ${parent?.envelope.sequence}: ${missing.length} of its ${packs.length} packs are missing, "${missing[0]?.packId}" among them`,
    {
      code: 'integrity',
      kind: 'integrity',
      retry: 'as-full',
      hint: 'Run "coldframe verify" on the earlier restore points of this VM',
      facts: { missing: missing.length },
    },
  )
}

function negated(deltas: readonly PackDelta[]): readonly PackDelta[] {
  return deltas.map(({ pack, records, bytes }) => ({ pack, records: -records, bytes: -bytes }))
}
