// qemu-img against our reading of VMDK streams, both ways: we read what it writes, and it reads what our encoder writes.

import { execFileSync } from 'node:child_process'
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bytesEqual, KiB, MiB } from '../../lib/base/bytes.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { decodeVmdkStream } from '../../lib/wire/vmdk/vmdk-stream.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { encodeVmdkStream } from '../kit/vmdk-stream.ts'

const images: readonly (readonly [string, Uint8Array])[] = [
  [
    'a sparse disk of an odd size',
    diskOf(35 * MiB + 3 * 512, { noise: [[5_000, 300_000]], text: [[33 * MiB, 90_000]] }),
  ],
  ['a disk of noise', diskOf(3 * MiB, { noise: [[0, 3 * MiB]], text: [] })],
  ['a disk of one sector', diskOf(512, { noise: [[0, 512]], text: [] })],
  ['an empty disk', diskOf(40 * MiB, { noise: [], text: [] })],
  ['a disk with data in its last piece of a grain', diskOf(64 * KiB + 512, { noise: [[64 * KiB, 512]], text: [] })],
]

describe.skipIf(peerSkip('qemu-img'))('qemu-img', () => {
  it.each(images)('writes %s that we read', async (_, image) => {
    const directory = workplace()
    const [raw, vmdk] = [join(directory, 'a.raw'), join(directory, 'a.vmdk')]
    writeFileSync(raw, image)
    const form = ['-O', 'vmdk', '-o', 'subformat=streamOptimized']
    execFileSync(requirePeer('qemu-img'), ['convert', '-f', 'raw', ...form, raw, vmdk])
    const { capacityBytes, grains } = await decodeVmdkStream(createReadStream(vmdk)[Symbol.asyncIterator]())
    const disk = new Uint8Array(capacityBytes)
    for await (const { offsetBytes, bytes } of grains) disk.set(bytes, offsetBytes)
    expect(bytesEqual(disk, image)).toBe(true)
  })

  it.each(images)('reads %s that our encoder wrote, and finds no fault', (_, image) => {
    const directory = workplace()
    const [raw, vmdk] = [join(directory, 'b.raw'), join(directory, 'b.vmdk')]
    writeFileSync(vmdk, encodeVmdkStream(image))
    execFileSync(requirePeer('qemu-img'), ['convert', '-f', 'vmdk', '-O', 'raw', vmdk, raw])
    expect(bytesEqual(readFileSync(raw), image)).toBe(true)
    execFileSync(requirePeer('qemu-img'), ['check', '-f', 'vmdk', vmdk])
  })
})

function workplace(): string {
  const directory = mkdtempSync(join(tmpdir(), 'coldframe-vmdk-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

type Runs = readonly (readonly [number, number])[]

function diskOf(sizeBytes: number, { noise, text }: { readonly noise: Runs; readonly text: Runs }): Uint8Array {
  const disk = new Uint8Array(sizeBytes)
  const random = seededRandom(sizeBytes)
  for (const [start, length] of noise) disk.set(random.bytes(length), start)
  for (const [start, length] of text) disk.fill(0x41, start, start + length)
  return disk
}
