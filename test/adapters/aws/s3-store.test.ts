// What our S3 store does when S3 refuses, fails, lies or falls silent; each case against the strict server.

import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../lib/base/clock.ts'
import { BackupError, hasCode } from '../../../lib/base/errors.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { type S3Server, type S3ServerOptions, startS3Server } from '../../kit/s3-server.ts'
import { type S3Call, type S3Fault, slowDown } from '../../kit/s3-server-calls.ts'
import { type StoreChoices, storeOn } from '../../kit/s3-stores.ts'

const cancel = { signal: new AbortController().signal }
const bytes = seededRandom(7).bytes(300_000)

async function world(options: S3ServerOptions = {}, bucket: Parameters<S3Server['addBucket']>[1] = {}) {
  const server = await startS3Server(options)
  server.addBucket('backups', bucket)
  return { server, open: (choices?: StoreChoices) => storeOn(server, choices), ...disposed(server) }
}

function disposed(server: S3Server): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

async function errorOf(action: Promise<unknown>): Promise<BackupError> {
  const error = await action.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (error instanceof BackupError) return error
  throw new Error(`no BackupError but ${String(error)}`)
}

/** The first requests of an operation fail so. */
function failing(operation: string, times: number, fault: S3Fault): (call: S3Call) => S3Fault | null {
  let left = times
  return (call) => (call.operation === operation && left-- > 0 ? fault : null)
}

describe('S3 store, failures that pass', () => {
  const passing: Readonly<Record<string, S3Fault>> = {
    'a request to slow down': slowDown,
    'an internal error': { kind: 'error', status: 500, code: 'InternalError' },
    'a request that came too slowly': { kind: 'error', status: 400, code: 'RequestTimeout' },
    'another writer of the key': { kind: 'error', status: 409, code: 'ConditionalRequestConflict' },
    'bytes that were damaged on their way': { kind: 'error', status: 400, code: 'BadDigest' },
    'a connection cut inside the request': { kind: 'cut-request', afterBytes: 100_000 },
    'a lost answer': { kind: 'cut-answer' },
    'a lost answer behind a 500': { kind: 'error-after', status: 500, code: 'InternalError' },
    'a lost answer behind a 503': { kind: 'error-after', status: 503, code: 'ServiceUnavailable' },
  }
  for (const [name, fault] of Object.entries(passing)) {
    it(`stores through ${name}, and says who stored`, async () => {
      await using at = await world()
      at.server.faults = failing('PutObject', 2, fault)
      expect(await at.open().putIfAbsent({ key: 'p/00/x', bytes }, cancel)).toBe('stored')
      expect(Buffer.compare((await at.open().get('p/00/x', cancel)) ?? new Uint8Array(), bytes)).toBe(0)
      expect(await at.open().putIfAbsent({ key: 'p/00/x', bytes }, cancel)).toBe('exists')
    })
  }

  it('does not take the equal object of another for its own when its answer was lost', async () => {
    await using at = await world()
    let other = false
    at.server.faults = ({ operation }) => {
      if (operation !== 'PutObject' || other) return null
      other = true
      return { kind: 'cut-request', afterBytes: 10 }
    }
    const first = at.open({ attemptsMax: 9 }).putIfAbsent({ key: 'k', bytes }, cancel)
    const second = at.open().putIfAbsent({ key: 'k', bytes }, cancel)
    expect([await first, await second].toSorted()).toEqual(['exists', 'stored'])
  })

  const answers: Readonly<Record<string, S3Fault>> = {
    'a body that is cut': { kind: 'cut-body', afterBytes: 70_000 },
    'a connection that goes without an answer': { kind: 'cut-answer' },
    'a request to slow down': slowDown,
  }
  for (const [name, fault] of Object.entries(answers)) {
    it(`reads through ${name}`, async () => {
      await using at = await world()
      const store = at.open()
      await store.putIfAbsent({ key: 'k', bytes }, cancel)
      at.server.faults = failing('GetObject', 2, fault)
      expect(Buffer.compare((await store.get('k', cancel)) ?? new Uint8Array(), bytes)).toBe(0)
      at.server.faults = failing('GetObject', 2, fault)
      const target = new Uint8Array(100_000)
      await store.getRange({ key: 'k', offsetBytes: 1_000, target }, cancel)
      expect(Buffer.compare(target, bytes.subarray(1_000, 101_000))).toBe(0)
    })
  }

  it('reads an object again whose bytes were damaged on their way', async () => {
    await using at = await world()
    const store = at.open()
    await store.putIfAbsent({ key: 'k', bytes }, cancel)
    at.server.faults = failing('GetObject', 1, { kind: 'damage' })
    expect(Buffer.compare((await store.get('k', cancel)) ?? new Uint8Array(), bytes)).toBe(0)
    at.server.faults = failing('GetObject', 99, { kind: 'damage' })
    expect((await errorOf(store.get('k', cancel))).message).toContain('CRC-32')
  })

  it('asks again for a page of a listing that is no XML', async () => {
    await using at = await world()
    const store = at.open()
    await store.putIfAbsent({ key: 'k', bytes }, cancel)
    at.server.faults = failing('ListObjectVersions', 1, { kind: 'error', status: 200, code: 'InternalError' })
    expect(await Array.fromAsync(store.list('', cancel), ({ key }) => key)).toEqual(['k'])
  })

  it('gives up a connection on which nothing moves', async () => {
    await using at = await world()
    const store = at.open({ idleMs: 60, attemptsMax: 3 })
    at.server.faults = failing('PutObject', 2, { kind: 'silent' })
    expect(await store.putIfAbsent({ key: 'k', bytes }, cancel)).toBe('stored')
    at.server.faults = failing('GetObject', 9, { kind: 'silent' })
    const error = await errorOf(store.get('k', cancel))
    expect(error).toMatchObject({ code: 'store-failed', retry: 'later' })
    expect(error.message).toContain('nothing moved')
    expect(at.server.calls.filter(({ operation }) => operation === 'GetObject')).toHaveLength(3)
  })

  it('tries a bounded number of times, then says that it may pass', async () => {
    await using at = await world()
    at.server.faults = () => slowDown
    const error = await errorOf(at.open({ attemptsMax: 5 }).putIfAbsent({ key: 'k', bytes }, cancel))
    expect(error).toMatchObject({ code: 'store-failed', retry: 'later', facts: { code: 'SlowDown', attempts: 5 } })
    expect(at.server.calls).toHaveLength(5)
  })

  it('comes through a storm in which two of three requests are told to slow down', async () => {
    await using at = await world()
    at.server.faults = ({ number }) => (number % 3 === 0 ? null : slowDown)
    const store = at.open({ attemptsMax: 60, connectionsMax: 8 })
    const keys = Array.from({ length: 60 }, (_, index) => `p/${index}`)
    const outcomes = await Promise.all(
      keys.map((key) => store.putIfAbsent({ key, bytes: bytes.subarray(0, 99) }, cancel)),
    )
    expect(outcomes.every((outcome) => outcome === 'stored')).toBe(true)
  })

  it('stops at once when it is cancelled, inside an answer and between tries', async () => {
    await using at = await world()
    const store = at.open({ attemptsMax: 1_000_000 })
    for (const fault of [{ kind: 'silent' }, slowDown] as const) {
      at.server.faults = () => fault
      const stop = new AbortController()
      setTimeout(() => stop.abort(new DOMException('enough', 'AbortError')), 30)
      await expect(store.putIfAbsent({ key: 'k', bytes }, stop)).rejects.toThrow('enough')
    }
  })
})

describe('S3 store, refusals', () => {
  it('never takes a refusal for an absence', async () => {
    await using at = await world()
    const store = at.open()
    at.server.faults = () => ({ kind: 'error', status: 403, code: 'AccessDenied' })
    const list = async () => {
      for await (const _ of store.list('', cancel)) throw new Error('listed')
    }
    const target = new Uint8Array(1)
    const calls = [
      () => store.get('k', cancel),
      () => store.head('k', cancel),
      () => store.getRange({ key: 'k', offsetBytes: 0, target }, cancel),
      () => store.putIfAbsent({ key: 'k', bytes }, cancel),
      list,
    ]
    for (const call of calls) expect(await errorOf(call())).toMatchObject({ code: 'object-refused', kind: 'refused' })
    expect(at.server.calls).toHaveLength(5)
  })

  it('tells a bucket that is not there from a key that is not there', async () => {
    await using at = await world()
    const store = at.open({ bucket: 'nowhere' })
    for (const call of [
      () => store.get('k', cancel),
      () => store.head('k', cancel),
      () => store.putIfAbsent({ key: 'k', bytes }, cancel),
    ]) {
      expect(await errorOf(call())).toMatchObject({ code: 's3-bucket-missing', kind: 'not-found' })
    }
  })

  it('names the right region', async () => {
    await using at = await world()
    const error = await errorOf(at.open({ region: 'us-west-2' }).get('k', cancel))
    expect(error).toMatchObject({ code: 's3-region', kind: 'usage' })
    expect(error.hint).toContain('eu-central-1')
    const headers = { 'x-amz-bucket-region': 'ap-south-1' }
    for (const [status, code] of [
      [301, 'PermanentRedirect'],
      [307, 'TemporaryRedirect'],
    ] as const) {
      at.server.faults = () => ({ kind: 'error', status, code, headers })
      expect(await errorOf(at.open().get('k', cancel))).toMatchObject({ facts: { bucketRegion: 'ap-south-1' } })
    }
  })

  it('says that the clock is wrong, by how much, and does not try again', async () => {
    await using at = await world({ nowMs: () => Date.now() + 20 * 60_000 })
    const error = await errorOf(at.open().putIfAbsent({ key: 'k', bytes }, cancel))
    expect(error).toMatchObject({ code: 'clock-skew', kind: 'refused' })
    const { ownTime, storeTime } = error.facts
    expect(Date.parse(String(storeTime)) - Date.parse(String(ownTime))).toBeGreaterThan(19 * 60_000)
  })

  it('tells wrong keys from missing rights', async () => {
    await using at = await world()
    const environment = { ...at.server.environment, AWS_SECRET_ACCESS_KEY: 'other' }
    const error = await errorOf(at.open({ environment }).get('k', cancel))
    expect(error).toMatchObject({ code: 'object-refused', facts: { code: 'SignatureDoesNotMatch' } })
    expect(error.hint).toContain('secret')
  })

  it('says what a store does not support, and does not try again', async () => {
    await using at = await world()
    at.server.faults = () => ({ kind: 'error', status: 501, code: 'NotImplemented' })
    expect(await errorOf(at.open().putIfAbsent({ key: 'k', bytes }, cancel))).toMatchObject({
      code: 's3-not-supported',
    })
  })
})

describe('S3 store, versions', () => {
  it('reads what was stored first, whatever was put over it or hides it', async () => {
    await using at = await world({ pageKeysMax: 2 }, { versioning: true })
    const store = at.open({ prefix: 'repo-1/' })
    await store.putIfAbsent({ key: 'r/vm/1', bytes: Buffer.from('first') }, cancel)
    await store.putIfAbsent({ key: 'r/vm/2', bytes: Buffer.from('second') }, cancel)
    const raw = async (key: string, method: 'PUT' | 'DELETE') => {
      const { clientOn } = await import('../../kit/s3-stores.ts')
      const body = method === 'PUT' ? Buffer.from('junk') : null
      const request = { method, key: `repo-1/${key}`, query: {}, headers: {}, body }
      await clientOn(at.server).ask(request, { doing: 'x', read: async (reply) => void reply.resume() }, cancel)
    }
    await raw('r/vm/1', 'PUT')
    await raw('r/vm/1', 'DELETE')
    await raw('r/vm/2', 'DELETE')
    await raw('r/vm/3', 'DELETE')
    // Without a listing before: the answer names the mark of a deletion.
    expect(Buffer.from((await at.open({ prefix: 'repo-1/' }).get('r/vm/2', cancel)) ?? []).toString()).toBe('second')
    expect(await at.open({ prefix: 'repo-1/' }).get('r/vm/3', cancel)).toBeNull()
    const keys: string[] = []
    for await (const { key, sizeBytes } of store.list('r/', cancel)) keys.push(`${key} ${sizeBytes}`)
    expect(keys).toEqual(['r/vm/1 5', 'r/vm/2 6'])
    expect(Buffer.from((await store.get('r/vm/1', cancel)) ?? []).toString()).toBe('first')
    expect(await store.head('r/vm/1', cancel)).toMatchObject({ sizeBytes: 5 })
    const target = new Uint8Array(4)
    await store.getRange({ key: 'r/vm/1', offsetBytes: 1, target }, cancel)
    expect(Buffer.from(target).toString()).toBe('irst')
  })

  it('lists a store that keeps no versions, and passes by what is not of the repository', async () => {
    await using at = await world({ pageKeysMax: 2 })
    const store = at.open({ prefix: 'p/' })
    const bucket = at.server.buckets.get('backups')
    for (const key of ['a', 'b', 'c/d', 'c/e', 'f']) await store.putIfAbsent({ key, bytes: Buffer.from(key) }, cancel)
    const stranger = bucket?.objects.get('p/a')
    if (stranger !== undefined)
      for (const key of ['p/ü & <x>', 'p/with space', 'p/z//z', 'q']) bucket?.objects.set(key, stranger)
    at.server.faults = ({ operation }) =>
      operation === 'ListObjectVersions' ? { kind: 'error', status: 501, code: 'NotImplemented' } : null
    const keys: string[] = []
    for await (const { key } of store.list('', cancel)) keys.push(key)
    expect(keys).toEqual(['a', 'b', 'c/d', 'c/e', 'f'])
    expect(at.server.calls.filter(({ operation }) => operation === 'ListObjectVersions')).toHaveLength(1)
  })
})

describe('S3 store, what is put', () => {
  it('locks and encrypts what it was told to, and leaves working papers unlocked', async () => {
    await using at = await world({}, { objectLock: true })
    const kmsKey = 'arn:aws:kms:eu-central-1:111122223333:key/1'
    const store = at.open({ lock: { mode: 'COMPLIANCE', days: 30, except: ['s/'] }, kmsKey })
    await store.putIfAbsent({ key: 'p/00/x', bytes }, cancel)
    await store.putIfAbsent({ key: 's/1/start', bytes }, cancel)
    const bucket = at.server.buckets.get('backups')
    const pack = bucket?.objects.get('p/00/x')?.[0]
    expect(pack?.encryption).toEqual({ algorithm: 'aws:kms', keyId: kmsKey })
    const days = ((pack?.retention?.untilMs ?? 0) - systemClock.nowMs()) / 86_400_000
    expect(pack?.retention?.mode).toBe('COMPLIANCE')
    expect(days).toBeGreaterThan(29.9)
    expect(bucket?.objects.get('s/1/start')?.[0]?.retention).toBeNull()
  })

  it('does not touch the bytes of a put after it answered, however early the answer came', async () => {
    await using at = await world()
    const store = at.open()
    await store.putIfAbsent({ key: 'k', bytes: Buffer.from('x') }, cancel)
    const buffer = Buffer.alloc(8_000_000, 1)
    at.server.faults = () => ({ kind: 'cut-request', afterBytes: 1 })
    const put = store.putIfAbsent({ key: 'k2', bytes: buffer }, cancel)
    expect(hasCode(await errorOf(put), 'store-failed')).toBe(true)
    at.server.faults = () => null
    expect(await store.putIfAbsent({ key: 'k', bytes: buffer }, cancel)).toBe('exists')
  })

  it("speaks to a bucket by its own host at Amazon's endpoint, and by its path elsewhere", async () => {
    await using at = await world({ domain: 's3.eu-central-1.amazonaws.com' })
    const seen: string[] = []
    const store = at.open({
      endpoint: null,
      lookup: (hostname, _options, done) => {
        seen.push(hostname)
        done(new Error('no network in a test'), '')
      },
      attemptsMax: 1,
    })
    expect((await errorOf(store.get('k', cancel))).message).toContain('backups.s3.eu-central-1.amazonaws.com')
    expect(seen).toEqual(['backups.s3.eu-central-1.amazonaws.com'])
  })
})

describe('S3 store, connections', () => {
  it('takes an answer that comes before the body is sent, and is done with the body then', async () => {
    const raw = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        const body = '<Error><Code>PreconditionFailed</Code><Message>x</Message></Error>'
        socket.write(
          `HTTP/1.1 412 Precondition Failed\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
        )
        socket.pause()
      })
    })
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve))
    const address = raw.address()
    const port = typeof address === 'object' ? address?.port : 0
    await using at = await world()
    const store = at.open({ endpoint: `http://127.0.0.1:${port}` })
    const put = store.putIfAbsent({ key: 'k', bytes: Buffer.alloc(64_000_000) }, cancel)
    expect(await put).toBe('exists')
    raw.close()
  })

  it('keeps its connections, and never has more than it may', async () => {
    await using at = await world()
    const ports = new Set<number | undefined>()
    at.server.onConnection = (port) => ports.add(port)
    const store = at.open({ connectionsMax: 4 })
    const keys = Array.from({ length: 40 }, (_, index) => `p/${index}`)
    await Promise.all(keys.map((key) => store.putIfAbsent({ key, bytes: Buffer.from(key) }, cancel)))
    await Promise.all(keys.map((key) => store.get(key, cancel)))
    for (const key of keys) await store.head(key, cancel)
    expect(ports.size).toBe(4)
  })

  it('uses no connection that the server closed in the meantime', async () => {
    await using at = await world()
    const store = at.open({ connectionsMax: 1 })
    for (let index = 0; index < 5; index++) {
      expect(await store.putIfAbsent({ key: `p/${index}`, bytes }, cancel)).toBe('stored')
      at.server.closeIdle()
    }
  })
})
