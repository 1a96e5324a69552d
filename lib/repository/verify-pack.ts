// Checks the frame of one pack: header, footer, trailer. The records themselves are checked where pages refer to them.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { objectMissing } from '../wire/repository/object-key.ts'
import {
  decodeTrailer,
  packBytesMax,
  packFooterBytes,
  packFrameCrc,
  packHeaderBytes,
  packHeaderMacBytes,
  readPackFooter,
  readPackHeader,
  type TrailerEntry,
} from '../wire/repository/pack-frame.ts'
import { codecs, type PackRef, recordIdBytes, recordTypes, tagBytes } from '../wire/repository/record-ref.ts'
import { checkClaim } from './authentic-json.ts'
import { metaMac, sameMac } from './keys.ts'
import { packKey } from './object-keys.ts'
import type { Repository } from './repository.ts'
import { packSeal, trailerIndex } from './seal.ts'

/**
 * @returns the pack's own list of its records
 * @throws BackupError `integrity` when the pack is missing, short, damaged, or not the one that its name says
 */
export async function readPackTrailer(
  read: { readonly repository: Repository; readonly pack: PackRef },
  cancel: Cancel,
): Promise<readonly TrailerEntry[]> {
  const { repository, pack } = read
  const { store, keys } = repository
  const key = packKey(pack)
  const range = async (offsetBytes: number, lengthBytes: number) => {
    const target = Buffer.alloc(lengthBytes)
    await store.getRange({ key, offsetBytes, target }, cancel)
    return target
  }
  try {
    const sizeBytes = (await store.head(key, cancel))?.sizeBytes
    if (sizeBytes === undefined) throw objectMissing(key)
    if (sizeBytes < packHeaderBytes + packFooterBytes + tagBytes)
      throw corrupt(`Cannot read pack "${pack.packId}": it is too short`)
    // What its footer says is read whole.
    if (sizeBytes > packBytesMax)
      throw corrupt(`Cannot read pack "${pack.packId}": it has ${sizeBytes} bytes, more than any pack`)
    const header = await range(0, packHeaderBytes)
    checkHeader(repository, { pack, header })
    const footerBytes = await range(sizeBytes - packFooterBytes, packFooterBytes)
    const footer = readPackFooter(footerBytes, sizeBytes)
    const trailerOffset = sizeBytes - packFooterBytes - footer.trailerBytes
    const trailer = await range(trailerOffset, footer.trailerBytes)
    if (packFrameCrc({ header, trailer, footer: footerBytes }) !== footer.crc) {
      throw corrupt(`Cannot read pack "${pack.packId}": the checksum of its frame does not fit`)
    }
    const plainBytes = Math.max(0, footer.trailerBytes - tagBytes)
    const facts = {
      index: trailerIndex,
      type: recordTypes.trailer,
      codec: codecs.raw,
      plainBytes,
      id: new Uint8Array(recordIdBytes),
    }
    const entries = decodeTrailer(packSeal(keys, pack).open(facts, trailer))
    checkEntries(entries, { pack, records: footer.records, trailerOffset })
    return entries
  } catch (error) {
    if (!(error instanceof BackupError) || (error.code !== 'object-missing' && error.code !== 'object-short'))
      throw error
    throw corrupt(`Cannot read pack "${pack.packId}": ${error.message}`, { cause: error, facts: { key } })
  }
}

function checkHeader(repository: Repository, found: { readonly pack: PackRef; readonly header: Uint8Array }): void {
  const { pack, header } = found
  const parsed = readPackHeader(header)
  const ours = parsed.pack.packId === pack.packId && parsed.pack.kid === pack.kid && parsed.pack.kind === pack.kind
  if (!ours || parsed.repositoryId !== repository.id) {
    throw corrupt(`Cannot trust pack "${pack.packId}": its header names another pack or repository`)
  }
  const macStart = packHeaderBytes - packHeaderMacBytes
  const mac = metaMac(repository.keys, { kid: pack.kid, bytes: header.subarray(0, macStart) })
  if (!sameMac(header.subarray(macStart), mac.subarray(0, packHeaderMacBytes))) {
    throw corrupt(`Cannot trust pack "${pack.packId}": the MAC of its header does not fit`)
  }
  const required = parsed.flags === 0 ? [] : [`pack flags ${parsed.flags}`]
  checkClaim({ version: parsed.version, required }, `pack "${pack.packId}"`)
}

/** Records lie one after the other, from the header to the trailer. */
function checkEntries(
  entries: readonly TrailerEntry[],
  pack: { readonly pack: PackRef; readonly records: number; readonly trailerOffset: number },
): void {
  let offset = packHeaderBytes
  for (const entry of entries) {
    if (entry.offsetBytes !== offset) break
    offset += entry.storedBytes
  }
  if (entries.length === pack.records && offset === pack.trailerOffset) return
  throw corrupt(`Cannot trust pack "${pack.pack.packId}": its trailer does not list its records`)
}
