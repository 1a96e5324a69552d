// What is authentic at one place is not believed at another, and what is not authentic decides nothing.

import { beforeAll, describe, expect, it } from 'vitest'
import { concatBytes, utf8Decode, utf8Encode } from '../../lib/base/bytes.ts'
import { hasCode } from '../../lib/base/errors.ts'
import { sealJson } from '../../lib/repository/authentic-json.ts'
import { readCandidate, readPackList } from '../../lib/repository/candidate.ts'
import { metaMac } from '../../lib/repository/keys.ts'
import { candidateKey, packListKey, pointKey, startKey } from '../../lib/repository/object-keys.ts'
import { openPoint } from '../../lib/repository/point-object.ts'
import { listPoints } from '../../lib/repository/points.ts'
import { readSessionStart } from '../../lib/repository/session.ts'
import { decodePointFrame, encodePointHead } from '../../lib/wire/repository/point.ts'
import { cancel, sessionOf, vmId } from './kit.ts'
import { type Sample, sampleRepository, withObject } from './sample.ts'

const sessions = [sessionOf('sample 1'), sessionOf('sample 2')] as const
let sample: Sample

beforeAll(async () => {
  sample = await sampleRepository()
})

function bytesAt(key: string): Uint8Array {
  const object = sample.store.objects.get(key)
  if (object === undefined) throw new Error(`No ${key}`)
  return object.bytes
}

/** The sample with one object replaced. */
function withBytes(key: string, bytes: Uint8Array) {
  return { ...sample.repository, store: withObject(sample, key, bytes) }
}

const isIntegrity = (error: unknown) => hasCode(error, 'integrity')

describe('an authentic object', () => {
  it('is no pack list of another candidate', async () => {
    const repository = sample.repository
    const [first, second] = await Promise.all(
      sessions.map((sessionId) => readCandidate({ repository, sessionId }, cancel)),
    )
    if (!first || !second) throw new Error('both are there')
    const key = packListKey(second.envelope.sessionId, second.envelope.pointId)
    const swapped = withBytes(key, bytesAt(packListKey(first.envelope.sessionId, first.envelope.pointId)))
    const reading = readPackList({ repository: swapped, candidate: second.envelope }, cancel)
    await expect(reading).rejects.toSatisfy(isIntegrity)
    expect(await readPackList({ repository, candidate: second.envelope }, cancel)).not.toEqual([])
  })

  it('is no start of a session when it is a document of another kind', async () => {
    const { keys } = sample.repository
    const [sessionId] = sessions
    const { mac: _, ...start } = JSON.parse(utf8Decode(bytesAt(startKey(sessionId))))
    const resealed = sealJson(keys, { kid: keys.kid, value: { ...start, document: 'annotation' } })
    const repository = withBytes(startKey(sessionId), resealed)
    await expect(readSessionStart({ repository, sessionId }, cancel)).rejects.toSatisfy(isIntegrity)
  })

  it('is no restore point when its envelope is a document of another kind', () => {
    const { keys } = sample.repository
    const frame = decodePointFrame(bytesAt(candidateKey(sessions[0])))
    const envelope = utf8Encode(utf8Decode(frame.envelope).replace('"document":"point"', '"document":"other"'))
    const macked = concatBytes([encodePointHead(envelope.byteLength, frame.body.byteLength), envelope])
    const object = concatBytes([macked, metaMac(keys, { kid: keys.kid, bytes: macked }), frame.body])
    expect(() => openPoint(keys, object, 'a point')).toThrow(expect.toSatisfy(isIntegrity))
  })
})

describe('an object of anybody', () => {
  it('under a point’s name is damage, not a newer version that bids to stop', async () => {
    const key = pointKey({ vmId, sequence: 2 })
    const bytes = Uint8Array.from(bytesAt(key))
    bytes[4] = 2
    const listing = await listPoints({ repository: withBytes(key, bytes) }, cancel)
    expect(listing.unreadable.map(({ error }) => error.code)).toEqual(['integrity'])
  })
})
