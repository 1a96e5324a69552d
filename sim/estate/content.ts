// What the simulated disks hold before anybody works with them: empty, compressible and random stretches, from a seed.

import { type Cipheriv, createCipheriv, createHash } from 'node:crypto'
import { type Random, seededRandom, wholeNumber } from '../../lib/base/random.ts'
import type { Disk } from '../machine/disk.ts'

export type Fill = 'empty' | 'text' | 'random' | 'mixed'

const STRETCH_BYTES_MAX = 1024 * 1024
const PAGE_BYTES = 4096

/** Writes the content into the active layer; the same seed gives the same bytes. */
export function fillDisk(disk: Disk, options: { readonly fill: Fill; readonly seed: string }): void {
  if (options.fill === 'empty') return
  const key = createHash('sha256').update(options.seed).digest()
  const random = seededRandom(key.readInt32LE(0))
  const noise = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  const wanted = Math.floor(disk.capacityBytes / 32)
  const stretchBytes = Math.min(STRETCH_BYTES_MAX, Math.max(64 * 1024, wanted - (wanted % (64 * 1024))))
  for (let offsetBytes = 0; offsetBytes < disk.capacityBytes; offsetBytes += stretchBytes) {
    const lengthBytes = Math.min(stretchBytes, disk.capacityBytes - offsetBytes)
    const kind = options.fill === 'mixed' ? drawn(random) : options.fill
    if (kind === 'empty') continue
    const bytes =
      kind === 'random' ? noiseOf(noise, lengthBytes) : prose({ lengthBytes, random, stampFrom: offsetBytes })
    disk.write({ offsetBytes, bytes })
  }
}

function drawn(random: Random): 'empty' | 'text' | 'random' {
  const part = random.fraction()
  return part < 0.32 ? 'empty' : part < 0.75 ? 'text' : 'random'
}

const zeros = Buffer.alloc(STRETCH_BYTES_MAX)

function noiseOf(noise: Cipheriv, lengthBytes: number): Uint8Array {
  return noise.update(zeros.subarray(0, lengthBytes))
}

const WORDS =
  'at by the of in request served from node with status time user order item stock page cache miss hit to disk queue event'.split(
    ' ',
  )

let template: Buffer | null = null

/** Lines of words as a log file has them; each page differs by a stamp. */
function prose(options: {
  readonly lengthBytes: number
  readonly random: Random
  readonly stampFrom: number
}): Uint8Array {
  template ??= makeTemplate()
  const start = wholeNumber(options.random, { low: 0, high: template.byteLength - 1 })
  const bytes = Buffer.alloc(options.lengthBytes)
  for (let done = 0; done < bytes.byteLength; ) {
    done += template.copy(bytes, done, (start + done) % template.byteLength)
  }
  for (let page = 0; page + PAGE_BYTES <= bytes.byteLength; page += PAGE_BYTES) {
    bytes.write(`[${options.stampFrom + page}:${Math.floor(options.random.fraction() * 2 ** 40)}]`, page, 'latin1')
  }
  return bytes
}

function makeTemplate(): Buffer {
  const random = seededRandom(7)
  const pieces: string[] = []
  for (let length = 0; length < STRETCH_BYTES_MAX; ) {
    const word = WORDS[wholeNumber(random, { low: 0, high: WORDS.length - 1 })] ?? ''
    const piece = random.fraction() < 0.2 ? `${Math.floor(random.fraction() * 1e6)}\n` : `${word} `
    pieces.push(piece)
    length += piece.length
  }
  return Buffer.from(pieces.join(''), 'latin1')
}
