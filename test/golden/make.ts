// Writes the golden repository of the present format version. Run once when a version is released: what lies in a golden
// folder is never written again, and is read by the tests for ever.
//
//   node test/golden/make.ts test/golden/v1

import { createHash } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { folderStore } from '../../lib/adapters/local/folder-store.ts'
import { passphraseWrapper } from '../../lib/adapters/local/passphrase.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { publishCandidate } from '../../lib/repository/candidate.ts'
import { createRepository } from '../../lib/repository/open-repository.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { readPoint } from '../../lib/repository/points.ts'
import { cancel, sessionOf, type TestDisk, vmId, writeCandidate } from '../repository/kit.ts'

const passphrase = 'correct horse battery staple'
const chunkBytes = 65_536

function text(value: string): Uint8Array {
  return Buffer.alloc(chunkBytes, `${value}\n`)
}

function mixed(seed: number): Uint8Array {
  return seededRandom(seed).bytes(chunkBytes).fill(seed, 3_000)
}

// A tree of two levels of inner pages: 5 GiB in chunks of 64 KiB. The disk ends inside a chunk.
const system: TestDisk = {
  key: 2000,
  capacityBytes: 5 * 1024 ** 3 + 512,
  chunkLog2: 16,
  chunks: new Map([
    [0, text('boot')],
    [1, seededRandom(1).bytes(chunkBytes)],
    [127, mixed(2)],
    [128, mixed(3)],
    [70_000, text('far away')],
    [81_920, text('last').fill(0, 512)],
  ]),
}
// One leaf, of larger chunks.
const data: TestDisk = {
  key: 2001,
  capacityBytes: 16 * 1024 ** 2,
  chunkLog2: 18,
  chunks: new Map([[3, Buffer.alloc(262_144, 'records\n')]]),
}
const points: readonly (readonly TestDisk[])[] = [
  [system, data],
  [
    {
      ...system,
      chunks: new Map([...system.chunks, [1, mixed(4)], [2, text('new')], [70_000, new Uint8Array(chunkBytes)]]),
      changed: new Set([1, 2, 70_000]),
    },
    { ...data, chunks: new Map([...data.chunks, [63, Buffer.alloc(262_144, 'tail\n')]]), changed: new Set([63]) },
  ],
]

const target = process.argv[2]
if (target === undefined || existsSync(target)) throw new Error('Name a folder that does not exist yet')
const store = folderStore({ path: resolve(target, 'repository') })
const random = seededRandom(20_261_001)
const wrappers = [passphraseWrapper({ passphrase, random })]
const repository = await createRepository({ store, wrappers, random, clock: manualClock() }, cancel)

const expected: object[] = []
let parent: StoredPoint | null = null
for (const [index, disks] of points.entries()) {
  const sequence = index + 1
  const sessionId = sessionOf(`golden ${sequence}`)
  await writeCandidate({ repository, sessionId, sequence, parent, disks, random, packBytesTarget: 16 * 1024 ** 2 })
  await publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)
  parent = await readPoint({ repository, ref: { vmId, sequence } }, cancel)
  expected.push({ sequence, body: parent.body, disks: disks.map(expectedDisk) })
}
const settings = repository.settings
writeFileSync(join(target, 'expected.json'), `${JSON.stringify({ passphrase, vmId, settings, points: expected }, null, 1)}\n`)

/** Chunks that are not zero, each with the digest of its bytes inside the disk. */
function expectedDisk(disk: TestDisk): object {
  const chunks = [...disk.chunks]
    .filter(([, bytes]) => bytes.some((byte) => byte !== 0))
    .toSorted(([left], [right]) => left - right)
    .map(([index, bytes]) => {
      const offsetBytes = index * 2 ** disk.chunkLog2
      const inside = bytes.subarray(0, Math.min(bytes.byteLength, disk.capacityBytes - offsetBytes))
      return { offsetBytes, lengthBytes: inside.byteLength, sha256: createHash('sha256').update(inside).digest('hex') }
    })
  return { key: disk.key, capacityBytes: disk.capacityBytes, chunkLog2: disk.chunkLog2, chunks }
}
