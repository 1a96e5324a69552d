// The pack set of a restore point: written into metadata packs of its own, which it lists too; read back part by part.

import { hexOf } from '../base/bytes.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import { parsePackId, type VmId } from '../model/ids.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { packBytesMax } from '../wire/repository/pack-frame.ts'
import { decodePackSetPart, encodePackSetPart, type PackUse, packsPerPart } from '../wire/repository/pack-set.ts'
import { type PackRef, packIdBytes, type RecordRef, recordTypes, tagBytes } from '../wire/repository/record-ref.ts'
import { chunkHasher } from './keys.ts'
import { packBuilder } from './pack-builder.ts'
import { mergePackUses, packTally } from './pack-use.ts'
import { storePack } from './pack-writer.ts'
import { readPage, recordOpener } from './record-reader.ts'
import type { Repository } from './repository.ts'

const partsPerPack = 30

export type WrittenPackSet = {
  readonly parts: readonly RecordRef[]
  /** The uses as written: with the set's own packs. */
  readonly uses: readonly PackUse[]
  readonly storedBytes: number
}

/** @param write.uses ascending by packId, without the set's own packs */
export async function writePackSet(
  write: {
    readonly repository: Repository
    readonly domain: VmId
    readonly random: Random
    readonly uses: readonly PackUse[]
  },
  cancel: Cancel,
): Promise<WrittenPackSet> {
  const { repository, random } = write
  const own = drawOwnPacks(write.uses, () => {
    const packId = parsePackId(hexOf(random.bytes(packIdBytes)))
    return { packId, kid: repository.keys.kid, kind: 'meta' }
  })
  const parts = cut(own.uses, packsPerPart)
  const hasher = chunkHasher(repository.keys, write.domain)
  const refs: RecordRef[] = []
  let storedBytes = 0
  for (const [i, group] of cut(parts, partsPerPack).entries()) {
    const pack = own.packs[i]
    if (pack === undefined) throw corrupt('Cannot write the pack set: a pack of its own is missing')
    const plains = group.map(encodePackSetPart)
    const buffer = Buffer.alloc(
      Math.min(packBytesMax, 64 * 1024 + plains.reduce((sum, plain) => sum + plain.byteLength + 128, 0)),
    )
    const builder = packBuilder({ keys: repository.keys, pack, buffer, compressionLevel: 1 })
    for (const plain of plains) refs.push(builder.add({ plain, id: hasher(plain), type: recordTypes.packSet }))
    const bytes = builder.finish()
    storedBytes += bytes.byteLength
    await storePack({ repository, pack, bytes, signal: cancel.signal })
  }
  return { parts: refs, uses: own.uses, storedBytes }
}

/** @throws BackupError `integrity` */
export async function readPackSet(
  read: { readonly repository: Repository; readonly domain: VmId; readonly parts: readonly RecordRef[] },
  cancel: Cancel,
): Promise<readonly PackUse[]> {
  const { repository } = read
  const opener = recordOpener(repository.keys, chunkHasher(repository.keys, read.domain))
  const uses: PackUse[] = []
  for (const ref of read.parts) {
    const part = decodePackSetPart(await readPage({ repository, opener, ref, type: recordTypes.packSet }, cancel))
    const [last, first] = [uses.at(-1), part[0]]
    if (last !== undefined && first !== undefined && first.pack.packId <= last.pack.packId) {
      throw corrupt('Cannot read a pack set: its parts are out of order')
    }
    for (const use of part) uses.push(use)
  }
  return uses
}

/** What a child point inherits: the uses without the references to the pack set's own parts. */
export function inheritedUses(uses: readonly PackUse[], parts: readonly RecordRef[]): readonly PackUse[] {
  const tally = packTally()
  for (const ref of parts) tally.remove(ref)
  return mergePackUses(uses, tally.deltas())
}

/** The set lists the packs that hold it, so their number and its size are found together. Sizes of parts are known beforehand. */
function drawOwnPacks(
  uses: readonly PackUse[],
  draw: () => PackRef,
): { readonly packs: readonly PackRef[]; readonly uses: readonly PackUse[] } {
  const packs: PackRef[] = []
  for (;;) {
    const partCount = Math.ceil((uses.length + packs.length) / packsPerPart)
    if (packs.length >= Math.max(1, Math.ceil(partCount / partsPerPack))) break
    packs.push(draw())
  }
  const placed = (own: readonly PackUse[]) =>
    [...uses, ...own].toSorted((left, right) => (left.pack.packId < right.pack.packId ? -1 : 1))
  const blank = packs.map((pack): PackUse => ({ pack, records: 0, bytes: 0, lockDay: 0 }))
  const groups = cut(cut(placed(blank), packsPerPart), partsPerPack)
  const counted = packs.map((pack, i): PackUse => {
    const parts = groups[i] ?? []
    const bytes = parts.reduce((sum, part) => sum + encodePackSetPart(part).byteLength + tagBytes, 0)
    return { pack, records: parts.length, bytes, lockDay: 0 }
  })
  return { packs, uses: placed(counted) }
}

function cut<Item>(items: readonly Item[], lengthMax: number): readonly (readonly Item[])[] {
  const groups: Item[][] = []
  for (let i = 0; i < items.length; i += lengthMax) groups.push(items.slice(i, i + lengthMax))
  return groups
}
