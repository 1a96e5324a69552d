// What must not be stored, and what must not be read whole.

import { expect, it } from 'vitest'
import { MiB } from '../../lib/base/bytes.ts'
import { hasCode } from '../../lib/base/errors.ts'
import { readPackSet } from '../../lib/repository/pack-set.ts'
import { sealPoint } from '../../lib/repository/point-object.ts'
import { readPackTrailer } from '../../lib/repository/verify-pack.ts'
import { cancel } from './kit.ts'
import { sampleRepository } from './sample.ts'

it('a point that no reader could open is not sealed', async () => {
  const { repository, points } = await sampleRepository()
  const [point] = points
  if (point === undefined) throw new Error('there are points')
  for (const capturedAt of ['', '2030-01-01T02:00:00+02:00', 'soon']) {
    const sealing = () => sealPoint(repository.keys, { ...point, envelope: { ...point.envelope, capturedAt } })
    expect(sealing).toThrow(expect.toSatisfy((error) => hasCode(error, 'integrity')))
  }
})

it('a pack that is larger than any is not read', async () => {
  const { repository, points, store } = await sampleRepository()
  const [point] = points
  if (point === undefined) throw new Error('there are points')
  const { vmId, packSet } = point.envelope
  const [use] = await readPackSet({ repository, domain: vmId, parts: packSet }, cancel)
  if (use === undefined) throw new Error('it has packs')
  let readBytes = 0
  const large = {
    ...store,
    head: async (key: string) => ({ key, sizeBytes: 21 * MiB, modifiedAt: '2030-01-01T00:00:00.000Z' }),
    getRange: async ({ target }: { readonly target: Uint8Array }) => {
      readBytes += target.byteLength
    },
  }
  const reading = readPackTrailer({ repository: { ...repository, store: large }, pack: use.pack }, cancel)
  await expect(reading).rejects.toThrow('more than any pack')
  expect(readBytes).toBe(0)
})
