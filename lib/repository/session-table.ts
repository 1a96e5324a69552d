// Which chunks this session stored where: open addressing in shared memory, read and written by all workers without locks.
// A crowded place learns nothing more: a chunk that is not found is stored once more, never found wrong.

import { hexOf } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import { parsePackId } from '../model/ids.ts'
import { bytesOfHexExactly, isCodec, type PackRef, packIdBytes, type RecordRef } from '../wire/repository/record-ref.ts'

export interface SessionTable {
  /** The place of a chunk of this id that a worker of this session stored, or will have stored when it ends well. */
  find(id: Uint8Array): RecordRef | null
  remember(ref: RecordRef): void
}

// A slot, in words: state; 4 of the id; 4 of the pack id; slot, offset, stored length, codec.
const slotWords = 13
const states = { free: 0, writing: 1, ready: 2 } as const
const idAt = 1
const packAt = 5
const factsAt = 9
const probesMax = 16

/** Shared memory for about `chunks` chunks, at most `bytesMax`. */
export function sessionTableMemory(limits: { readonly chunks: number; readonly bytesMax: number }): SharedArrayBuffer {
  const slotsMost = Math.floor(limits.bytesMax / (slotWords * 4))
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(32, limits.chunks * 1.5)))
  const slots = Math.min(wanted, 2 ** Math.floor(Math.log2(Math.max(32, slotsMost))))
  return new SharedArrayBuffer(slots * slotWords * 4)
}

/** @param kid the master key that every pack of this session is sealed under */
export function sessionTable(memory: SharedArrayBuffer, kid: string): SessionTable {
  const words = new Int32Array(memory)
  const slots = words.length / slotWords
  assert(Number.isInteger(Math.log2(slots)), 'the table has a power of two of slots')
  const packs = new Map<string, { readonly pack: PackRef; readonly words: Int32Array }>()
  const packOf = (packId: string) => {
    let known = packs.get(packId)
    if (known === undefined) {
      const pack: PackRef = { packId: parsePackId(packId), kid, kind: 'data' }
      known = { pack, words: wordsOf(bytesOfHexExactly(packId, packIdBytes)) }
      packs.set(packId, known)
    }
    return known
  }
  return {
    find: (id) => {
      const key = wordsOf(id)
      for (let probe = 0; probe < probesMax; probe++) {
        const at = placeOf(key, { probe, slots })
        const state = Atomics.load(words, at)
        if (state === states.free) return null
        if (state !== states.ready || !holds(words, at + idAt, key)) continue
        const pack = Buffer.from(words.slice(at + packAt, at + packAt + 4).buffer)
        const [slot = 0, offsetBytes = 0, storedBytes = 0, codec = 0] = words.subarray(at + factsAt, at + slotWords)
        assert(isCodec(codec), 'a ready slot is whole')
        return { id, pack: packOf(hexOf(pack)).pack, slot, offsetBytes, storedBytes, codec }
      }
      return null
    },
    remember: (ref) => {
      const key = wordsOf(ref.id)
      for (let probe = 0; probe < probesMax; probe++) {
        const at = placeOf(key, { probe, slots })
        if (Atomics.compareExchange(words, at, states.free, states.writing) !== states.free) continue
        words.set(key, at + idAt)
        words.set(packOf(ref.pack.packId).words, at + packAt)
        words.set([ref.slot, ref.offsetBytes, ref.storedBytes, ref.codec], at + factsAt)
        Atomics.store(words, at, states.ready)
        return
      }
    },
  }
}

function placeOf(key: Int32Array, search: { readonly probe: number; readonly slots: number }): number {
  return (((key[0] ?? 0) + search.probe) & (search.slots - 1)) * slotWords
}

function holds(words: Int32Array, at: number, key: Int32Array): boolean {
  return words[at] === key[0] && words[at + 1] === key[1] && words[at + 2] === key[2] && words[at + 3] === key[3]
}

/** The first 16 bytes as words. */
function wordsOf(bytes: Uint8Array): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Int32Array.of(view.getInt32(0, true), view.getInt32(4, true), view.getInt32(8, true), view.getInt32(12, true))
}
