// Repositories of every released format version are read for ever: settings, points, every byte of every disk.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { folderStore } from '../../lib/adapters/local/folder-store.ts'
import { passphraseWrapper } from '../../lib/adapters/local/passphrase.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { parseVmId } from '../../lib/model/ids.ts'
import { listAnnotations } from '../../lib/repository/annotations.ts'
import { diskReader } from '../../lib/repository/disk-reader.ts'
import { openRepository } from '../../lib/repository/open-repository.ts'
import { listPoints, readPoint } from '../../lib/repository/points.ts'
import { verifyPoint } from '../../lib/repository/verify.ts'
import { readAnnotations, readFolder } from './independent-reader.ts'
import { cancel } from './kit.ts'

const golden = fileURLToPath(new URL('../golden/', import.meta.url))
const versions = readdirSync(golden).filter((name) => /^v[0-9]+$/.test(name))

const expectedJson = z.object({
  passphrase: z.string(),
  vmId: z.string().transform(parseVmId),
  settings: z.record(z.string(), z.unknown()),
  points: z.array(
    z.object({
      sequence: z.int(),
      body: z.unknown(),
      disks: z.array(
        z.object({
          key: z.int(),
          capacityBytes: z.int(),
          chunkLog2: z.int(),
          chunks: z.array(z.object({ offsetBytes: z.int(), lengthBytes: z.int(), sha256: z.string() })),
        }),
      ),
    }),
  ),
})

function expectedOf(version: string): z.output<typeof expectedJson> {
  return expectedJson.parse(JSON.parse(readFileSync(`${golden}${version}/expected.json`, 'utf8')))
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

describe('golden repositories', () => {
  it('exist', () => expect(versions).toContain('v1'))

  it('v1 reads the same by a reader that was written from the document alone', () => {
    const expected = expectedOf('v1')
    const found = readFolder(`${golden}v1/repository`, expected.passphrase)
    const points = found.map(({ envelope, body, disks }) => ({
      sequence: envelope.sequence,
      body,
      disks: disks.map(({ key, capacityBytes, chunks }, i) => ({
        key,
        capacityBytes,
        chunkLog2: envelope.disks[i]?.chunkLog2,
        chunks: chunks.map(({ offsetBytes, bytes }) => ({
          offsetBytes,
          lengthBytes: bytes.byteLength,
          sha256: sha256(bytes),
        })),
      })),
    }))
    expect(points).toEqual(expected.points)
  })

  for (const version of versions) {
    it(`${version} reads as it was written, whole and verified`, async () => {
      const expected = expectedOf(version)
      const store = folderStore({ path: `${golden}${version}/repository` })
      const wrappers = [passphraseWrapper({ passphrase: expected.passphrase, random: seededRandom(1) })]
      const repository = await openRepository({ store, wrappers }, cancel)
      expect(repository.settings).toEqual(expected.settings)
      const { points, unreadable } = await listPoints({ repository }, cancel)
      expect(unreadable).toEqual([])
      expect(points.map((point) => point.sequence)).toEqual(expected.points.map((point) => point.sequence))
      for (const { sequence, body, disks } of expected.points) {
        const ref = { vmId: expected.vmId, sequence }
        const point = await readPoint({ repository, ref }, cancel)
        // What version 1 did not know when it was frozen reads as absent.
        expect(point.body).toMatchObject(z.record(z.string(), z.unknown()).parse(body))
        expect(point.body.grade.proof).toBeNull()
        for (const disk of point.body.disks) expect(disk).toMatchObject({ readModeCode: null, audit: null })
        expect((await verifyPoint({ repository, ref, level: 'chunks' }, cancel)).faults).toEqual([])
        for (const [index, disk] of point.envelope.disks.entries()) {
          const found: object[] = []
          const reader = diskReader({ repository, domain: ref.vmId, disk, cacheBytesMax: 0 })
          for await (const run of reader.runs({ offsetBytes: 0, lengthBytes: disk.capacityBytes }, cancel)) {
            if (run.kind === 'hole') continue
            found.push({ offsetBytes: run.offsetBytes, lengthBytes: run.bytes.byteLength, sha256: sha256(run.bytes) })
          }
          const { key, capacityBytes, chunkLog2 } = disk
          expect({ key, capacityBytes, chunkLog2, chunks: found }).toEqual(disks[index])
        }
      }
    })
  }
})

describe('golden annotations', () => {
  const folder = `${golden}annotated-v1`
  const expected = z
    .object({ passphrase: z.string(), annotations: z.array(z.unknown()) })
    .parse(JSON.parse(readFileSync(`${folder}/expected.json`, 'utf8')))

  it('read as they were said', async () => {
    const wrappers = [passphraseWrapper({ passphrase: expected.passphrase, random: seededRandom(1) })]
    const store = folderStore({ path: `${folder}/repository` })
    const repository = await openRepository({ store, wrappers }, cancel)
    expect(await listAnnotations({ repository }, cancel)).toEqual({ annotations: expected.annotations, unreadable: [] })
    const [ref] = (await listPoints({ repository }, cancel)).points
    if (ref === undefined) throw new Error('there is a point')
    expect((await verifyPoint({ repository, ref, level: 'chunks' }, cancel)).faults).toEqual([])
  })

  it('read the same by a reader that was written from the document alone', () => {
    expect(readAnnotations(`${folder}/repository`, expected.passphrase)).toEqual(expected.annotations)
  })
})
