// What the job store on DynamoDB keeps to when the table throttles, refuses, loses answers or is slow to tell its indexes.

import { randomBytes } from 'node:crypto'
import { GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { describe, expect, it } from 'vitest'
import { dynamoJobStore } from '../../../lib/adapters/aws/job-store.ts'
import { stateTable } from '../../../lib/adapters/aws/state-table.ts'
import { type Clock, systemClock } from '../../../lib/base/clock.ts'
import { systemRandom } from '../../../lib/base/random.ts'
import type { Versioned } from '../../../lib/ports/job-store.ts'
import { type Call, type Mishap, refusal } from '../../kit/http-proxy.ts'
import {
  fullJob,
  sampleAlarm,
  sampleJob,
  sampleJobId,
  sampleResource,
  sampleRun,
  sampleRunId,
} from '../../kit/record-samples.ts'
import { openTable } from '../../kit/state-table.ts'

const cancel = { signal: new AbortController().signal }
/** Waits take no time, and are counted. */
function hasty(): Clock & { readonly waits: number[] } {
  const waits: number[] = []
  return {
    ...systemClock,
    waits,
    sleep: async (ms) => {
      waits.push(ms)
    },
  }
}

type Planned = (call: Call) => Mishap | null

/** A store whose calls meet what `plan` says, and one beside it that meets nothing. */
async function openStores() {
  let plan: Planned = () => null
  const clock = hasty()
  const calls: string[] = []
  const opened = await openTable({
    clock,
    mishaps: (call) => {
      calls.push(call.operation)
      return plan(call)
    },
  })
  const beside = stateTable(opened.client, { table: opened.name, clock: systemClock, random: systemRandom })
  return {
    ...opened,
    clock,
    calls,
    store: dynamoJobStore(opened.table, { clock }),
    beside: dynamoJobStore(beside, { clock }),
    meet: (next: Planned) => {
      plan = next
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
}

/** The first call of this operation meets it, all later ones nothing. */
function once(operation: string, mishap: Mishap): Planned {
  let met = false
  return (call) => {
    if (met || call.operation !== operation) return null
    met = true
    return mishap
  }
}

const unitsOf = (units: number) => sampleResource({ name: 'r', places: [{ holder: 'a', units, untilMs: 1 }] })

describe('a write whose answer is lost', () => {
  it('is known as its own when it is tried again', async () => {
    await using opened = await openStores()
    const { store, meet } = opened
    meet(once('PutItem', 'answer-lost'))
    expect(await store.resources.create('r', unitsOf(1), cancel)).toBe('created')
    for (let version = 1; version <= 20; version++) {
      meet(once('UpdateItem', 'answer-lost'))
      expect(await store.resources.replace('r', { value: unitsOf(version), version }, cancel)).toBe('replaced')
    }
    expect(await store.resources.get('r', cancel)).toEqual({ value: unitsOf(20), version: 21 })
  })

  it('is known as its own also when others have written since, and is no success when they were first', async () => {
    await using opened = await openStores()
    const { store, beside, meet, client, name } = opened
    const write = async (found: Versioned<ReturnType<typeof unitsOf>>) =>
      expect(await beside.resources.replace('r', found, cancel)).toBe('replaced')

    // The first try takes place and its answer is lost; before the second, somebody else writes, up to seven times.
    for (const others of [1, 7]) {
      await beside.resources.create('r', unitsOf(0), cancel)
      const version = (await beside.resources.get('r', cancel))?.version ?? 0
      opened.clock.sleep = async () => {
        opened.clock.sleep = async () => undefined
        for (let number = 1; number <= others; number++)
          await write({ value: unitsOf(100 + number), version: version + number })
      }
      meet(once('UpdateItem', 'answer-lost'))
      expect(await store.resources.replace('r', { value: unitsOf(5), version }, cancel)).toBe('replaced')
    }

    // The first try is lost on its way; somebody else takes the version.
    const version = (await beside.resources.get('r', cancel))?.version ?? 0
    opened.clock.sleep = () => write({ value: unitsOf(7), version })
    meet(once('UpdateItem', 'request-lost'))
    expect(await store.resources.replace('r', { value: unitsOf(6), version }, cancel)).toBe('conflict')
    expect((await beside.resources.get('r', cancel))?.value).toEqual(unitsOf(7))
    const item = await client.send(new GetItemCommand({ TableName: name, Key: { pk: { S: 'resource#r' } } }))
    expect(Object.keys(item.Item ?? {}).filter((key) => key.startsWith('by')).length).toBeLessThanOrEqual(8)
  })

  it('is neither a success nor a failure when too many have written since to tell', async () => {
    await using opened = await openStores()
    const { store, beside, meet, clock } = opened
    await beside.resources.create('r', unitsOf(0), cancel)
    clock.sleep = async () => {
      clock.sleep = async () => undefined
      for (let version = 2; version <= 10; version++)
        await beside.resources.replace('r', { value: unitsOf(version), version }, cancel)
    }
    meet(once('UpdateItem', 'answer-lost'))
    await expect(store.resources.replace('r', { value: unitsOf(5), version: 1 }, cancel)).rejects.toMatchObject({
      code: 'state-write-unknown',
      retry: 'later',
    })
  })

  it('creates nothing over the record of another, and knows its own however often that was written', async () => {
    await using opened = await openStores()
    const { store, beside, meet, clock } = opened
    clock.sleep = async () => {
      await beside.resources.create('r', unitsOf(9), cancel)
    }
    meet(once('PutItem', 'request-lost'))
    expect(await store.resources.create('r', unitsOf(1), cancel)).toBe('exists')

    clock.sleep = async () => {
      clock.sleep = async () => undefined
      for (let version = 1; version <= 20; version++)
        await beside.resources.replace('s', { value: unitsOf(version), version }, cancel)
    }
    meet(once('PutItem', 'answer-lost'))
    expect(await store.resources.create('s', unitsOf(1), cancel)).toBe('created')
    expect((await store.resources.get('s', cancel))?.version).toBe(21)
  })

  it('that arrives after its own repetition changes nothing', async () => {
    await using opened = await openStores()
    const { store, meet } = opened
    await store.resources.create('r', unitsOf(0), cancel)
    const [arrives, done] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    meet(once('UpdateItem', { late: arrives.promise, onDone: done.resolve }))
    expect(await store.resources.replace('r', { value: unitsOf(1), version: 1 }, cancel)).toBe('replaced')
    expect(await store.resources.replace('r', { value: unitsOf(2), version: 2 }, cancel)).toBe('replaced')
    arrives.resolve()
    await done.promise
    expect(await store.resources.get('r', cancel)).toEqual({ value: unitsOf(2), version: 3 })
  })
})

// Writers that count up one record, each telling by the answers how often it did. Every third write meets something.
it('many writers at once over a bad network count exactly what they were told they counted', async () => {
  await using opened = await openStores()
  const { store, meet } = opened
  await store.resources.create('r', unitsOf(0), cancel)
  const late = Promise.resolve()
  const mishaps: readonly Mishap[] = [
    'answer-lost',
    'request-lost',
    refusal(500, 'InternalServerError'),
    { late, onDone: () => undefined },
  ]
  let writes = 0
  meet(({ operation }) =>
    operation === 'UpdateItem' && ++writes % 3 === 0 ? (mishaps[(writes / 3) % mishaps.length] ?? null) : null,
  )
  let counted = 0
  const writer = async (): Promise<void> => {
    for (let own = 0; own < 8; ) {
      const found = await store.resources.get('r', cancel)
      if (found === null) throw new Error('the record is gone')
      const units = (found.value.places[0]?.units ?? 0) + 1
      const answer = await store.resources.replace('r', { value: unitsOf(units), version: found.version }, cancel)
      if (answer === 'conflict') continue
      own++
      counted++
    }
  }
  await Promise.all(Array.from({ length: 5 }, writer))
  expect(counted).toBe(40)
  const last = await store.resources.get('r', cancel)
  expect(last).toEqual({ value: unitsOf(counted), version: counted + 1 })
  expect(writes).toBeGreaterThan(60)
})

describe('a table that does not answer as it should', () => {
  it('is asked again with longer and longer waits, and given up after a while', async () => {
    await using opened = await openStores()
    const { store, meet, clock, calls } = opened
    let left = 4
    meet(() => (left-- > 0 ? refusal(400, 'ProvisionedThroughputExceededException') : null))
    expect(await store.resources.create('r', unitsOf(1), cancel)).toBe('created')
    expect(clock.waits).toHaveLength(4)

    for (const mishap of [refusal(500, 'InternalServerError'), refusal(503, 'x'), 'request-lost'] as const) {
      meet(() => mishap)
      calls.length = 0
      await expect(store.resources.get('r', cancel)).rejects.toMatchObject({ code: 'aws-unreachable', retry: 'later' })
      expect(calls).toHaveLength(8)
    }
    expect(Math.max(...clock.waits)).toBeLessThanOrEqual(2_000)
  })

  it('and refuses is asked once: a refusal is no absence', async () => {
    await using opened = await openStores()
    const { store, meet, calls } = opened
    meet(() => refusal(400, 'AccessDeniedException'))
    await expect(store.resources.get('r', cancel)).rejects.toMatchObject({ code: 'aws-refused', kind: 'refused' })
    await expect(store.dueJobs({ beforeMs: 1, limit: 1 }, cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    await expect(store.jobsOfRun(sampleRunId, cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    await expect(store.resources.create('r', unitsOf(1), cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    expect(calls.filter((operation) => operation === 'PutItem')).toHaveLength(1)
  })

  it('and does not exist has no answer to any question', async () => {
    await using opened = await openStores()
    const elsewhere = stateTable(opened.client, { table: 'nobody', clock: systemClock, random: systemRandom })
    const store = dynamoJobStore(elsewhere, { clock: systemClock })
    await expect(store.resources.get('r', cancel)).rejects.toMatchObject({ code: 'state-missing', kind: 'not-found' })
    await expect(store.recentRuns({ limit: 1 }, cancel)).rejects.toMatchObject({ code: 'state-missing' })
    await expect(store.resources.create('r', unitsOf(1), cancel)).rejects.toMatchObject({ code: 'state-missing' })
  })

  it('and answers a batch in part is asked for the rest', async () => {
    await using opened = await openStores()
    const { store, meet, name } = opened
    const ids = [1, 2, 3].map(sampleJobId)
    for (const id of ids) await store.jobs.create(id, sampleJob({ id }), cancel)
    const keys = ids.map((id) => ({ pk: { S: `job#${id}` } }))
    let batches = 0
    meet(({ operation }) => {
      if (operation !== 'BatchGetItem' || ++batches > 2) return null
      return { status: 200, body: { Responses: {}, UnprocessedKeys: { [name]: { Keys: keys } } } }
    })
    expect((await store.recentJobs({ limit: 9 }, cancel)).map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    expect(batches).toBe(3)
  })
})

describe('records of the state table', () => {
  it('that are long are packed, and read as they were', async () => {
    await using opened = await openStores()
    const { store, client, name } = opened
    const job = fullJob()
    const long = { ...job, evidence: [{ name: 'x', text: 'many words '.repeat(5_000) }] }
    await store.jobs.create(job.id, long, cancel)
    const { Item: item } = await client.send(
      new GetItemCommand({ TableName: name, Key: { pk: { S: `job#${job.id}` } }, ConsistentRead: true }),
    )
    expect(item?.['body']).toBe(undefined)
    expect(item?.['packed']?.B?.length).toBeLessThan(10_000)
    expect((await store.jobs.get(job.id, cancel))?.value).toEqual(long)
  })

  it('that do not fit an item are refused whole, and what was there stays', async () => {
    await using opened = await openStores()
    const { store } = opened
    const job = fullJob()
    await store.jobs.create(job.id, job, cancel)
    const text = randomBytes(400_000).toString('base64')
    const large = { value: { ...job, evidence: [{ name: 'x', text }] }, version: 1 }
    await expect(store.jobs.replace(job.id, large, cancel)).rejects.toMatchObject({ code: 'state-record-too-large' })
    expect(await store.jobs.get(job.id, cancel)).toEqual({ value: job, version: 1 })
  })

  it('that are damaged are told of, never passed over', async () => {
    await using opened = await openStores()
    const { store, client, name } = opened
    for (const [id, rest] of Object.entries({
      a: { version: { N: '1' } },
      b: { version: { N: '1' }, packed: { B: Buffer.from('no zstd') } },
      c: { body: { S: '{}' } },
      d: { version: { N: '1' }, body: { S: '{"v":2}' } },
    })) {
      await client.send(new PutItemCommand({ TableName: name, Item: { pk: { S: `resource#${id}` }, ...rest } }))
      await expect(store.resources.get(id, cancel)).rejects.toMatchObject({ code: 'state-malformed' })
    }
  })

  it('that nobody needs any more are left to the cleaner, no others', async () => {
    await using opened = await openStores()
    const { store, client, name, clock } = opened
    const expiryOf = async (key: string) => {
      const got = await client.send(
        new GetItemCommand({ TableName: name, Key: { pk: { S: key } }, ConsistentRead: true }),
      )
      return got.Item?.['expiresAt']?.N === undefined ? null : Number(got.Item['expiresAt'].N) * 1_000
    }
    const alarm = sampleAlarm()
    const { id } = alarm.alarm
    await store.alarms.create(id, { ...alarm, decision: null, wakeAtMs: 5 }, cancel)
    expect(await expiryOf(`alarm#${id}`)).toBe(null)
    await store.alarms.replace(id, { value: alarm, version: 1 }, cancel)
    expect(await expiryOf(`alarm#${id}`)).toBeGreaterThan(Date.parse(alarm.alarm.receivedAt) + 60 * 86_400_000)

    const untilMs = clock.nowMs() + 3_600_000
    await store.resources.create('r', sampleResource({ places: [{ holder: 'a', units: 1, untilMs }] }), cancel)
    expect(await expiryOf('resource#r')).toBeGreaterThan(untilMs)
    await store.doors.create('c', { kind: 'checkpoint', at: '2026-01-02T03:04:05.000Z', keys: [1] }, cancel)
    expect(await expiryOf('door#c')).toBe(null)
    await store.jobs.create(sampleJobId(1), sampleJob({ id: sampleJobId(1) }), cancel)
    expect(await expiryOf(`job#${sampleJobId(1)}`)).toBe(null)
  })
})

describe('jobs of a run', () => {
  it('are complete where the run names them, whatever the index shows', async () => {
    await using opened = await openStores()
    const blind = { ...opened.table, query: async () => [] }
    const store = dynamoJobStore(blind, { clock: systemClock })
    const jobIds = [3, 1, 2].map(sampleJobId)
    await store.runs.create(sampleRunId, sampleRun({ jobIds }), cancel)
    for (const id of [1, 2].map(sampleJobId)) await store.jobs.create(id, sampleJob({ id }), cancel)
    expect((await store.jobsOfRun(sampleRunId, cancel)).map(({ id }) => id)).toEqual([1, 2].map(sampleJobId))
  })

  it('are found by the index where the run does not name them', async () => {
    await using opened = await openStores()
    const { store } = opened
    const [named, other, foreign] = [1, 2, 3].map(sampleJobId)
    if (named === undefined || other === undefined || foreign === undefined) throw new Error('three ids')
    await store.runs.create(sampleRunId, sampleRun({ jobIds: [named] }), cancel)
    for (const id of [named, other]) await store.jobs.create(id, sampleJob({ id }), cancel)
    expect((await store.jobsOfRun(sampleRunId, cancel)).map(({ id }) => id)).toEqual([named, other])
  })
})

it('what is due is judged by the record as it is now, not by an index that lags', async () => {
  await using opened = await openStores()
  const { store, table, beside } = opened
  const [done, due] = [1, 2].map((number) => sampleJob({ id: sampleJobId(number), wakeAtMs: number }))
  if (done === undefined || due === undefined) throw new Error('two jobs')
  for (const job of [done, due]) await store.jobs.create(job.id, job, cancel)
  const lagging = dynamoJobStore(
    {
      ...table,
      query: async (query, within) => {
        const before = await table.query(query, within)
        const found = await beside.jobs.get(done.id, within)
        if (found?.version === 1)
          await beside.jobs.replace(done.id, { value: { ...done, state: 'done' }, version: 1 }, within)
        return before
      },
    },
    { clock: systemClock },
  )
  const found = await lagging.dueJobs({ beforeMs: 9, limit: 9 }, cancel)
  expect(found.map(({ value }) => value.id)).toEqual([due.id])
})
