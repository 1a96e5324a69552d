// Packs are closed at their size, uploads are bounded, a failed upload stops the writer, and sealed packs are self-describing.

import { describe, expect, it } from 'vitest'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { faultyStore } from '../../lib/adapters/wrap/faulty-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { hasCode } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { chunkHasher } from '../../lib/repository/keys.ts'
import { type PackWriterOptions, packWriter, storePack } from '../../lib/repository/pack-writer.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { readPackTrailer } from '../../lib/repository/verify-pack.ts'
import { recordTypes } from '../../lib/wire/repository/record-ref.ts'
import { cancel, testRepository, vmId } from './kit.ts'

const chunkBytes = 64 * 1024

async function opened() {
  const store = memoryObjectStore({ clock: manualClock() })
  return { store, repository: await testRepository(store) }
}

function optionsFor(repository: Repository, change: Partial<PackWriterOptions> = {}): PackWriterOptions {
  return {
    repository,
    kind: 'data',
    packBytesTarget: 256 * 1024,
    plainBytesMax: chunkBytes,
    uploadsMax: 2,
    compressionLevel: 1,
    random: seededRandom(3),
    signal: cancel.signal,
    ...change,
  }
}

async function addChunks(writer: ReturnType<typeof packWriter>, repository: Repository, count: number) {
  const hasher = chunkHasher(repository.keys, vmId)
  const refs = []
  for (let i = 0; i < count; i++) {
    const plain = seededRandom(i).bytes(chunkBytes)
    if (i % 2 === 0) plain.fill(i, 1000)
    await writer.room()
    refs.push(writer.add({ plain, id: hasher(plain), type: recordTypes.chunk }))
  }
  return refs
}

describe('a pack writer', () => {
  it('closes packs at their target, and each pack lists its records', async () => {
    const { store, repository } = await opened()
    await using writer = packWriter(optionsFor(repository))
    const refs = await addChunks(writer, repository, 40)
    await writer.flush()
    expect(writer.packs().length).toBeGreaterThan(3)
    expect([...store.objects.keys()].filter((key) => key.startsWith('p/'))).toHaveLength(writer.packs().length)
    for (const { pack, sizeBytes, records } of writer.packs()) {
      expect(sizeBytes).toBeLessThanOrEqual(256 * 1024 + chunkBytes + 1024)
      const entries = await readPackTrailer({ repository, pack }, cancel)
      expect(entries.length).toBe(records)
      const own = refs.filter((ref) => ref.pack.packId === pack.packId)
      expect(own.map((ref) => [ref.slot, ref.offsetBytes, ref.storedBytes, ref.codec])).toEqual(
        entries.map((entry, slot) => [slot, entry.offsetBytes, entry.storedBytes, entry.codec]),
      )
    }
    expect(refs.map((ref) => ref.codec)).toEqual(refs.map((_, i) => (i % 2 === 0 ? 1 : 0)))
  })

  it('keeps its limit of uploads in flight, and waits for room', async () => {
    const { store, repository } = await opened()
    let running = 0
    let most = 0
    const slow: ObjectStore = {
      ...store,
      putIfAbsent: async (object, options) => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, 3))
        running--
        return store.putIfAbsent(object, options)
      },
    }
    await using writer = packWriter(optionsFor({ ...repository, store: slow }))
    await addChunks(writer, repository, 40)
    await writer.flush()
    expect(most).toBe(2)
    expect(running).toBe(0)
  })

  it('gives the first failure of an upload to whoever asks next, and never stores after it', async () => {
    const { store, repository } = await opened()
    let puts = 0
    const broken = faultyStore(store, (call) => (call.method === 'putIfAbsent' && ++puts === 2 ? 'before' : null))
    await using writer = packWriter(optionsFor({ ...repository, store: broken }, { uploadsMax: 1 }))
    const failed = (error: unknown) => hasCode(error, 'store-failed')
    await expect(addChunks(writer, repository, 60)).rejects.toSatisfy(failed)
    await expect(writer.flush()).rejects.toSatisfy(failed)
    expect(puts).toBe(2)
  })

  it('takes a pack that is there for its own only when the bytes are equal', async () => {
    const { store, repository } = await opened()
    await using writer = packWriter(optionsFor(repository))
    await addChunks(writer, repository, 1)
    await writer.flush()
    const pack = writer.packs()[0]?.pack
    if (pack === undefined) throw new Error('no pack')
    const bytes = [...store.objects.values()].at(-1)?.bytes ?? new Uint8Array()
    await expect(storePack({ repository, pack, bytes, signal: cancel.signal })).resolves.toBeUndefined()
    const other = Uint8Array.from(bytes).fill(0, 100, 101)
    const again = storePack({ repository, pack, bytes: other, signal: cancel.signal })
    await expect(again).rejects.toSatisfy((error) => hasCode(error, 'integrity'))
  })
})
