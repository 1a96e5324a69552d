// The simulator's streamOptimized VMDK, judged by qemu-img, which knows nothing of it.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { concatBytes, KiB, MiB } from '../../../lib/base/bytes.ts'
import { seededRandom, wholeNumber } from '../../../lib/base/random.ts'
import { streamVmdk } from '../../../sim/machine/stream-vmdk.ts'
import { peerSkip } from '../../kit/peers.ts'
import { tinyMachine } from './tiny-machine.ts'

describe.skipIf(peerSkip('qemu-img'))('a disk as a streamOptimized VMDK', () => {
  it.each([
    ['nothing was written to', 1 * MiB, 0],
    ['ends inside a grain', 3 * MiB + 512, 12],
    ['has more than one grain table', 40 * MiB, 60],
  ])('reads the same in qemu-img when it %s', (_what, capacityBytes, writes) => {
    const random = seededRandom(capacityBytes + writes)
    const machine = tinyMachine({ capacities: [capacityBytes] })
    const [disk] = machine.disks
    if (disk === undefined) throw new Error('no disk')
    const write = () => {
      const length = Math.min(wholeNumber(random, { low: 1, high: 200 * KiB }), capacityBytes)
      const offsetBytes = wholeNumber(random, { low: 0, high: capacityBytes - length })
      disk.write({ offsetBytes, bytes: random.bytes(length) })
    }
    for (let done = 0; done < writes / 2; done++) write()
    // Half of it below a snapshot: an export has the chain in one.
    machine.createSnapshot({ name: 'older', description: '', quiesce: { kind: 'none' } })
    for (let done = 0; done < writes / 2; done++) write()
    const { kept } = machine.createSnapshot({ name: 'export', description: '', quiesce: { kind: 'none' } })
    const [frozen] = kept
    if (frozen === undefined) throw new Error('no disk in the snapshot')
    const plain = new Uint8Array(capacityBytes)
    disk.readAt(frozen.layer, { offsetBytes: 0, target: plain })
    const content = disk.contentOf(frozen.layer)
    const names = { fileName: 'disk-0.vmdk', contentId: 'fffffffe', misplacedGrain: null }
    const bytes = concatBytes([...streamVmdk({ ...names, capacityBytes, content })])

    expect(bytes.byteLength % 512).toBe(0)
    expect(Buffer.compare(throughQemu(bytes), plain)).toBe(0)
  })
})

function throughQemu(vmdk: Uint8Array): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'coldframe-vmdk-'))
  try {
    writeFileSync(join(folder, 'disk.vmdk'), vmdk)
    execFileSync('qemu-img', ['convert', '-f', 'vmdk', '-O', 'raw', 'disk.vmdk', 'disk.raw'], { cwd: folder })
    return readFileSync(join(folder, 'disk.raw'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
