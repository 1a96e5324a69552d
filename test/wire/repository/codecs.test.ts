import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hexOf, utf8Encode } from '../../../lib/base/bytes.ts'
import { hasCode } from '../../../lib/base/errors.ts'
import { parsePackId, parsePointId } from '../../../lib/model/ids.ts'
import { canonicalJson } from '../../../lib/wire/repository/canonical-json.ts'
import {
  decodeTrailer,
  readPackFooter,
  readPackHeader,
  trailerEntryBytes,
  writePackFooter,
  writePackHeader,
  writeTrailerEntry,
} from '../../../lib/wire/repository/pack-frame.ts'
import { decodePackList, encodePackList } from '../../../lib/wire/repository/pack-list.ts'
import { decodePackSetPart, encodePackSetPart, type PackUse } from '../../../lib/wire/repository/pack-set.ts'
import {
  decodeInner,
  decodeLeaf,
  encodeInner,
  encodeLeaf,
  innerBytesMax,
  leafBytesMax,
} from '../../../lib/wire/repository/page.ts'
import { pageRefJson, pageRefToJson } from '../../../lib/wire/repository/page-ref.ts'
import { decodePointFrame, encodePointHead } from '../../../lib/wire/repository/point.ts'
import type { PackRef, RecordRef } from '../../../lib/wire/repository/record-ref.ts'

const pointId = parsePointId('b7'.repeat(16))
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const packRef = (kind: 'data' | 'meta') =>
  fc
    .record({ packId: bytesOf(16), kid: fc.constantFrom('00'.repeat(8), 'a1'.repeat(8)) })
    .map(({ packId, kid }): PackRef => ({ packId: parsePackId(hexOf(packId)), kid, kind }))
const recordRef = (kind: 'data' | 'meta', packs: fc.Arbitrary<PackRef>): fc.Arbitrary<RecordRef> =>
  fc.record({
    id: bytesOf(32),
    pack: packs,
    slot: fc.nat(0xffff),
    offsetBytes: fc.nat(0xffff_ffff),
    storedBytes: fc.nat(0xff_ffff),
    codec: kind === 'meta' ? fc.constant(0 as const) : fc.constantFrom(0 as const, 1 as const),
  })

const sparse = (length: number, ref: fc.Arbitrary<RecordRef>) =>
  fc.array(fc.option(ref, { freq: 3 }), { minLength: length, maxLength: length })
const leaf = fc
  .tuple(fc.array(packRef('data'), { minLength: 1, maxLength: 4 }), fc.integer({ min: 16, max: 22 }))
  .chain(([packs, chunkLog2]) =>
    sparse(128, recordRef('data', fc.constantFrom(...packs))).map((entries) => ({ chunkLog2, entries })),
  )
const inner = fc.record({
  level: fc.integer({ min: 1, max: 3 }),
  refs: sparse(512, recordRef('meta', packRef('meta'))),
})
const uses = fc
  .uniqueArray(
    fc.record({
      pack: fc.oneof(packRef('data'), packRef('meta')),
      records: fc.nat(0xffff_ffff),
      bytes: fc.maxSafeNat(),
      lockDay: fc.nat(0xffff),
    }),
    { selector: (use) => use.pack.packId, maxLength: 40 },
  )
  .map((list): readonly PackUse[] => list.toSorted((left, right) => (left.pack.packId < right.pack.packId ? -1 : 1)))

/** Buffers and plain byte arrays compare by content. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, member) =>
      member instanceof Uint8Array
        ? hexOf(member)
        : member?.type === 'Buffer'
          ? hexOf(Uint8Array.from(member.data))
          : member,
    ),
  )
}

function refused(action: () => unknown): boolean {
  try {
    action()
    return false
  } catch (error) {
    return hasCode(error, 'integrity')
  }
}

describe('pages', () => {
  it('a leaf comes back from its bytes, and is no larger than its limit', () =>
    fc.assert(
      fc.property(leaf, (value) => {
        const bytes = encodeLeaf(value)
        expect(bytes.byteLength).toBeLessThanOrEqual(leafBytesMax)
        expect(plain(decodeLeaf(bytes))).toEqual(plain(value))
      }),
      { numRuns: 50 },
    ))

  it('an inner page comes back from its bytes, and is no larger than its limit', () =>
    fc.assert(
      fc.property(inner, (value) => {
        const bytes = encodeInner(value)
        expect(bytes.byteLength).toBeLessThanOrEqual(innerBytesMax)
        expect(plain(decodeInner(bytes))).toEqual(plain(value))
      }),
      { numRuns: 20 },
    ))

  it('bytes that are cut or longer are refused', () =>
    fc.assert(
      fc.property(leaf, inner, fc.nat(200), (leafPage, innerPage, cut) => {
        for (const [bytes, decode] of [
          [encodeLeaf(leafPage), decodeLeaf],
          [encodeInner(innerPage), decodeInner],
        ] as const) {
          expect(refused(() => decode(bytes.subarray(0, Math.max(0, bytes.byteLength - 1 - cut))))).toBe(true)
          expect(refused(() => decode(Buffer.concat([bytes, Buffer.alloc(1 + cut)])))).toBe(true)
        }
      }),
      { numRuns: 20 },
    ))

  it('any bytes are decoded or refused with `integrity`, never otherwise', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        for (const decode of [
          decodeLeaf,
          decodeInner,
          decodePackSetPart,
          (list: Uint8Array) => decodePackList(pointId, list),
          decodeTrailer,
          decodePointFrame,
        ]) {
          try {
            decode(bytes)
          } catch (error) {
            expect(hasCode(error, 'integrity')).toBe(true)
          }
        }
      }),
      { numRuns: 300 },
    ))

  it('a reference comes back from its JSON', () =>
    fc.assert(
      fc.property(recordRef('meta', packRef('meta')), (ref) => {
        expect(plain(pageRefJson.parse(pageRefToJson(ref)))).toEqual(plain(ref))
      }),
    ))
})

describe('pack sets', () => {
  it('a part and a list come back from their bytes', () =>
    fc.assert(
      fc.property(uses, (list) => {
        expect(plain(decodePackSetPart(encodePackSetPart(list)))).toEqual(plain(list))
        expect(plain(decodePackList(pointId, encodePackList(pointId, list)))).toEqual(plain(list))
      }),
    ))

  it('packs out of order are refused', () =>
    fc.assert(
      fc.property(
        uses.filter((list) => list.length > 1),
        (list) => refused(() => decodePackSetPart(encodePackSetPart(list.toReversed()))),
      ),
    ))
})

describe('the frame of a pack', () => {
  it('header, trailer and footer come back from their bytes', () =>
    fc.assert(
      fc.property(
        packRef('data'),
        bytesOf(16),
        fc.array(bytesOf(32), { minLength: 1, maxLength: 5 }),
        (pack, repository, ids) => {
          const repositoryId = hexOf(repository)
          const bytes = Buffer.alloc(64 + ids.length * trailerEntryBytes + 16)
          writePackHeader(bytes, { pack, repositoryId })
          expect(readPackHeader(bytes)).toEqual({ pack, repositoryId, version: 1, flags: 0 })
          const entries = ids.map((id, i) => ({
            id,
            offsetBytes: i,
            storedBytes: i + 1,
            plainBytes: i + 2,
            codec: 1 as const,
            type: 1,
          }))
          entries.forEach((entry, i) => writeTrailerEntry(bytes, { offset: 64 + i * trailerEntryBytes, entry }))
          const footerOffset = 64 + ids.length * trailerEntryBytes
          writePackFooter(bytes, { trailerOffset: 64, footerOffset, records: ids.length })
          const footer = readPackFooter(bytes.subarray(footerOffset), bytes.byteLength)
          expect(footer).toMatchObject({ records: ids.length, trailerBytes: footerOffset - 64 })
          expect(plain(decodeTrailer(bytes.subarray(64, footerOffset)))).toEqual(plain(entries))
        },
      ),
    ))
})

describe('the frame of a point', () => {
  it('comes back from its bytes', () =>
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), bytesOf(32), (envelope, body, mac) => {
        const bytes = Buffer.concat([encodePointHead(envelope.byteLength, body.byteLength), envelope, mac, body])
        const frame = decodePointFrame(bytes)
        expect(plain([frame.envelope, frame.mac, frame.body])).toEqual(plain([envelope, mac, body]))
        expect(frame.macked.byteLength + 32 + body.byteLength).toBe(bytes.byteLength)
      }),
    ))
})

describe('canonical JSON', () => {
  it('is the same text for equal values, and reads back as the value', () =>
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value)
        const again: unknown = JSON.parse(text)
        expect(again).toEqual(JSON.parse(JSON.stringify(value)))
        expect(canonicalJson(again)).toBe(text)
      }),
    ))

  it('orders members by name and leaves out white space and undefined members', () => {
    expect(canonicalJson({ b: [1, { d: null, c: 'ä' }], a: true, e: undefined })).toBe(
      '{"a":true,"b":[1,{"c":"ä","d":null}]}',
    )
    expect(utf8Encode(canonicalJson('ä')).byteLength).toBe(4)
  })
})
