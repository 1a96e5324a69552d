// A reference to a page as JSON, in envelopes and session starts. Apart from the data path, which loads no parser.

import * as z from 'zod'
import { hexOf } from '../../base/bytes.ts'
import { parsePackId } from '../../model/ids.ts'
import { bytesOfHexExactly, codecs, type RecordRef, recordIdBytes } from './record-ref.ts'

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`))
const u32 = z.int().min(0).max(0xffff_ffff)

/** A reference to a page as JSON; pages are raw and lie in metadata packs, so neither is written. */
export const pageRefJson = z
  .object({
    id: hex(64),
    pack: hex(32),
    kid: hex(16),
    slot: z.int().min(0).max(0xffff),
    offset: u32,
    stored: u32,
  })
  .transform(
    (json): RecordRef => ({
      id: bytesOfHexExactly(json.id, recordIdBytes),
      pack: { packId: parsePackId(json.pack), kid: json.kid, kind: 'meta' },
      slot: json.slot,
      offsetBytes: json.offset,
      storedBytes: json.stored,
      codec: codecs.raw,
    }),
  )

export function pageRefToJson(ref: RecordRef): z.input<typeof pageRefJson> {
  return {
    id: hexOf(ref.id),
    pack: ref.pack.packId,
    kid: ref.pack.kid,
    slot: ref.slot,
    offset: ref.offsetBytes,
    stored: ref.storedBytes,
  }
}
