// Makes the bench's image: a quarter zero, a twentieth random, the rest program text and machine code, no two pages alike.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { MiB } from '../lib/base/bytes.ts'
import { type Random, seededRandom, wholeNumber } from '../lib/base/random.ts'
import type { Extent } from '../lib/model/extent.ts'

const PAGE = 4096

/** Runs of 1 to 16 MiB of one kind; the same seed makes the same image. */
export function makeImage(
  path: string,
  { sizeBytes, seed }: { readonly sizeBytes: number; readonly seed: number },
): void {
  const random = seededRandom(seed)
  const content = contentOf(random)
  const file = openSync(path, 'w')
  for (let at = 0; at < sizeBytes; ) {
    const length = Math.min(wholeNumber(random, { low: 1, high: 16 }) * MiB, sizeBytes - at)
    const kind = random.fraction()
    // Zero runs are left as holes; the file's end is written at last.
    if (kind >= 0.24) {
      for (let done = 0; done < length; done += MiB)
        writeSync(file, kind < 0.29 ? random.bytes(MiB) : content(), 0, MiB, at + done)
    }
    at += length
  }
  writeSync(file, new Uint8Array(1), 0, 1, sizeBytes - 1)
  closeSync(file)
}

/** Overwrites one 64 KiB block in a hundred. @returns where, ascending */
export function changeImage(
  path: string,
  { sizeBytes, seed }: { readonly sizeBytes: number; readonly seed: number },
): readonly Extent[] {
  const random = seededRandom(seed)
  const content = contentOf(random)
  const block = 65_536
  const blocks = new Set<number>()
  while (blocks.size < Math.ceil(sizeBytes / block / 100)) {
    blocks.add(wholeNumber(random, { low: 0, high: Math.floor(sizeBytes / block) - 1 }))
  }
  const file = openSync(path, 'r+')
  const areas = [...blocks]
    .toSorted((a, b) => a - b)
    .map((index) => ({ offsetBytes: index * block, lengthBytes: block }))
  for (const area of areas) writeSync(file, content(), 0, block, area.offsetBytes)
  closeSync(file)
  return areas
}

/** Gives 1 MiB at a time, compressible as files are; every page is made unique. */
function contentOf(random: Random): () => Uint8Array {
  const require = createRequire(import.meta.url)
  const sources = [process.execPath, require.resolve('zod'), require.resolve('soap'), process.execPath].map((path) =>
    readFileSync(path),
  )
  const text = Buffer.concat([...sources, readFileSync(new URL('../package-lock.json', import.meta.url))])
  const bytes = Buffer.alloc(MiB)
  return () => {
    const start = wholeNumber(random, { low: 0, high: Math.max(0, text.byteLength - MiB) })
    text.copy(bytes, 0, start, start + MiB)
    for (let page = 0; page < MiB; page += PAGE) bytes.set(random.bytes(8), page)
    return bytes
  }
}
