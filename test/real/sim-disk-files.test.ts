// QEMU reads the simulated disks' files: descriptors, flat extents and COWD deltas are what other programs expect.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { diskOf, machineOf, plainEstate } from '../../sim/estate/description.ts'
import { Estate } from '../../sim/estate/estate.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'

const MiB = 1024 * 1024

describe.skipIf(peerSkip('qemu-img'))('qemu-img', () => {
  it('reads a chain of a base and two deltas as the machine does', () => {
    const estate = new Estate(
      {
        ...plainEstate,
        seed: 3,
        machines: [machineOf({ name: 'a', poweredOn: false, disks: [diskOf({ capacityBytes: 5 * MiB + 512 })] })],
      },
      { directory: null, clock: systemClock },
    )
    const [machine] = estate.named('a')
    const random = seededRandom(9)
    for (const name of ['one', 'two']) {
      machine?.createSnapshot({ name, description: '', quiesce: { kind: 'none' } })
      for (const offsetBytes of [0, 70_000, 3 * MiB, 5 * MiB - 512]) {
        machine?.disks[0]?.write({ offsetBytes: offsetBytes + (name === 'two' ? 512 : 0), bytes: random.bytes(512) })
      }
    }
    const directory = mkdtempSync(join(tmpdir(), 'sim-disk-'))
    try {
      for (const path of estate.datastores[0]?.paths() ?? []) {
        const file = estate.datastores[0]?.file(path)
        const bytes = new Uint8Array(file?.sizeBytes ?? 0)
        file?.read({ offsetBytes: 0, target: bytes })
        writeFileSync(join(directory, path.replace('a/', '')), bytes)
      }
      const raw = join(directory, 'out.raw')
      execFileSync(requirePeer('qemu-img'), ['convert', '-O', 'raw', join(directory, 'a-000002.vmdk'), raw])
      const sha256 = createHash('sha256').update(readFileSync(raw)).digest('hex')
      expect(sha256).toBe(machine?.digestNow(2000))
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
