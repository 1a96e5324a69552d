// What is used on AWS is counted where AWS counts it.

import { describe, expect, it } from 'vitest'
import { dynamoJobStore } from '../../../lib/adapters/aws/job-store.ts'
import { stateTable } from '../../../lib/adapters/aws/state-table.ts'
import { memoryEvents } from '../../../lib/adapters/memory/events.ts'
import { memoryKeyWrapper } from '../../../lib/adapters/memory/key-wrapper.ts'
import { memoryMeter } from '../../../lib/adapters/memory/meter.ts'
import { memoryQueue } from '../../../lib/adapters/memory/queue.ts'
import { meteredEvents, meteredSender, meteredWrapper } from '../../../lib/adapters/wrap/metered-calls.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { systemRandom } from '../../../lib/base/random.ts'
import { sampleJob } from '../../kit/record-samples.ts'
import { openTable } from '../../kit/state-table.ts'

const cancel = { signal: new AbortController().signal }

describe('metering', () => {
  it('counts the units that the table says each call took: more for what is larger', async () => {
    await using opened = await openTable()
    const meter = memoryMeter({ functionGb: 0 })
    const options = { table: opened.name, clock: systemClock, random: systemRandom, meter }
    const { jobs } = dynamoJobStore(stateTable(opened.client, options), { clock: systemClock })
    const unitsOf = async (act: () => Promise<unknown>) => {
      meter.take()
      await act()
      const { tableReadUnits: read, tableWriteUnits: written } = meter.take()
      return { read, written }
    }
    const job = sampleJob()
    const noise = Buffer.from(systemRandom.bytes(30_000)).toString('base64')
    const large = { ...job, evidence: [{ name: 'x', text: noise }] }
    const created = await unitsOf(() => jobs.create(job.id, job, cancel))
    expect(created.written).toBeGreaterThanOrEqual(1)
    const small = await unitsOf(() => jobs.get(job.id, cancel))
    expect(small).toEqual({ read: expect.any(Number), written: 0 })
    expect(small.read).toBeGreaterThanOrEqual(0.5)
    const replaced = await unitsOf(() => jobs.replace(job.id, { value: large, version: 1 }, cancel))
    expect(replaced.written).toBeGreaterThanOrEqual(30)
    expect((await unitsOf(() => jobs.get(job.id, cancel))).read).toBeGreaterThan(small.read + 4)
  })

  it('counts messages with their reception and removal, events, and uses of the key', async () => {
    const meter = memoryMeter({ functionGb: 0 })
    const sender = meteredSender(memoryQueue({ clock: systemClock, receivesMax: 5 }), meter)
    await sender.send({ v: 1, kind: 'commit', jobId: sampleJob().id, attempt: 1, round: 0 }, { delayMs: 0 }, cancel)
    const at = '2026-01-02T03:04:05.678Z'
    await meteredEvents(memoryEvents(), meter).publish({ id: '1', type: 't', subject: 's', at, data: {} }, cancel)
    const wrapper = meteredWrapper(memoryKeyWrapper(), meter)
    const context = { repositoryId: 'r', kid: 'k' }
    const key = systemRandom.bytes(32)
    expect(await wrapper.unwrap(await wrapper.wrap(key, context, cancel), context, cancel)).toEqual(key)
    expect(meter.total()).toMatchObject({ queueRequests: 3, eventRequests: 1, keyRequests: 2 })
  })
})
