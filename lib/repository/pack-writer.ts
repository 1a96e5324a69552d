// Writes records into packs and packs into the store, with a bounded number of uploads in flight. One writer a thread.

import { bytesEqual, hexOf } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { anySignal } from '../base/time-limit.ts'
import { parsePackId } from '../model/ids.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { packBytesMax, packFooterBytes, packHeaderBytes, trailerEntryBytes } from '../wire/repository/pack-frame.ts'
import { type PackKind, type PackRef, packIdBytes, type RecordRef, tagBytes } from '../wire/repository/record-ref.ts'
import { packKey } from './object-keys.ts'
import { type PackBuilder, type PlainRecord, packBuilder } from './pack-builder.ts'
import type { Repository } from './repository.ts'

export type PackWriterOptions = {
  readonly repository: Repository
  readonly kind: PackKind
  /** A pack is closed once it is this large; 16 MiB unless there is a reason. */
  readonly packBytesTarget: number
  /** The largest record that add() will be given. */
  readonly plainBytesMax: number
  /** Memory is bounded by (uploadsMax + 1) x (packBytesTarget + plainBytesMax). */
  readonly uploadsMax: number
  /** zstd level of chunks, 1 unless the policy says otherwise. */
  readonly compressionLevel: number
  /** Draws pack ids: they must never repeat, so it is the system's except in tests. */
  readonly random: Random
  /** Ends the uploads when aborted. */
  readonly signal: AbortSignal
}

export type WrittenPack = { readonly pack: PackRef; readonly sizeBytes: number; readonly records: number }

/** Disposing waits for what is in flight and gives up the rest; only flush() makes everything durable. */
export interface PackWriter extends AsyncDisposable {
  /** Null when add() may be called now; otherwise wait for it. Rejects with the first failed upload. */
  room(): Promise<void> | null
  /** Compresses, seals and places one record; synchronous. Call only when room() is null. `plain` is not kept, `id` is. */
  add(record: PlainRecord): RecordRef
  /** Closes the pack that is open and waits until every pack is stored. The writer goes on afterwards. */
  flush(): Promise<void>
  /** Every pack closed so far, in order. */
  packs(): readonly WrittenPack[]
}

export function packWriter(options: PackWriterOptions): PackWriter {
  const { repository, plainBytesMax, packBytesTarget } = options
  assert(packHeaderBytes + plainBytesMax + 1024 <= packBytesMax, 'the largest record fits a pack')
  const slackBytes = plainBytesMax + 2 * tagBytes + trailerEntryBytes + packFooterBytes
  const bufferBytes = Math.min(packBytesMax, Math.max(packBytesTarget, packHeaderBytes) + slackBytes)
  const stop = new AbortController()
  const signal = anySignal([options.signal, stop.signal])
  const free: Buffer[] = []
  const uploads = new Set<Promise<void>>()
  const written: WrittenPack[] = []
  let current: { readonly builder: PackBuilder; readonly buffer: Buffer } | null = null
  const failures: unknown[] = []

  const open = () => {
    const buffer = free.pop() ?? Buffer.allocUnsafeSlow(bufferBytes)
    const packId = parsePackId(hexOf(options.random.bytes(packIdBytes)))
    const pack = { packId, kid: repository.keys.kid, kind: options.kind }
    return { buffer, builder: packBuilder({ ...options, keys: repository.keys, pack, buffer }) }
  }
  const close = () => {
    if (current === null) return
    const { builder, buffer } = current
    current = null
    const bytes = builder.finish()
    written.push({ pack: builder.pack, sizeBytes: bytes.byteLength, records: builder.records })
    const upload: Promise<void> = storePack({ repository, pack: builder.pack, bytes, signal })
      .catch((error: unknown) => {
        failures.push(error)
        stop.abort(error)
      })
      .finally(() => {
        free.push(buffer)
        uploads.delete(upload)
      })
    uploads.add(upload)
  }
  const hasRoom = () => current !== null || uploads.size < options.uploadsMax
  return {
    room: () => {
      if (failures.length > 0) return Promise.reject(failures[0])
      if (hasRoom()) return null
      return (async () => {
        while (!hasRoom() && failures.length === 0) await Promise.race(uploads)
        if (failures.length > 0) throw failures[0]
      })()
    },
    add: (record) => {
      assert(record.plain.byteLength <= plainBytesMax, 'a record is no larger than the writer was told')
      assert(hasRoom(), 'add() waits for room()')
      current ??= open()
      const ref = current.builder.add(record)
      const { builder } = current
      if (builder.sizeBytes >= packBytesTarget || !builder.fits(plainBytesMax)) close()
      return ref
    },
    flush: async () => {
      close()
      await Promise.all(uploads)
      if (failures.length > 0) throw failures[0]
    },
    packs: () => written,
    [Symbol.asyncDispose]: async () => {
      stop.abort(new DOMException('The pack writer was closed', 'AbortError'))
      await Promise.all(uploads)
    },
  }
}

/** A pack that exists already is ours only when it is byte for byte the same: an earlier try whose answer was lost. */
export async function storePack(put: {
  readonly repository: Repository
  readonly pack: PackRef
  readonly bytes: Uint8Array
  readonly signal: AbortSignal
}): Promise<void> {
  const { store } = put.repository
  const key = packKey(put.pack)
  if ((await store.putIfAbsent({ key, bytes: put.bytes }, put)) === 'stored') return
  const there = await store.get(key, put)
  if (there !== null && bytesEqual(there, put.bytes)) return
  throw corrupt(`Cannot store pack "${put.pack.packId}": another object has its name`, { facts: { key } })
}
