// The contract of an object store on our S3 store: on plain buckets, on versioned ones, below a prefix, over an endpoint that
// fails every third time, and, when COLDFRAME_TEST_S3_URL names one ("https://host/bucket/prefix"), on a real endpoint.

import { s3Client } from '../../../lib/adapters/aws/s3-client.ts'
import { s3Credentials } from '../../../lib/adapters/aws/s3-credentials.ts'
import { s3Store } from '../../../lib/adapters/aws/s3-store.ts'
import { hexOf } from '../../../lib/base/bytes.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { systemRandom } from '../../../lib/base/random.ts'
import { objectStoreContract } from '../../contract/object-store.ts'
import { type S3ServerOptions, startS3Server } from '../../kit/s3-server.ts'
import { type S3Fault, slowDown } from '../../kit/s3-server-calls.ts'
import { QUICK, type StoreChoices, storeOn } from '../../kit/s3-stores.ts'

type Case = {
  readonly server?: S3ServerOptions
  readonly bucket?: { readonly objectLock?: boolean; readonly versioning?: boolean }
  readonly store?: StoreChoices
  readonly fault?: (number: number) => S3Fault | null
}

const cut: S3Fault = { kind: 'cut-answer' }
const cases: Readonly<Record<string, Case>> = {
  'S3, a plain bucket': {},
  'S3, a versioned bucket, pages of three keys': { bucket: { versioning: true }, server: { pageKeysMax: 3 } },
  'S3, a bucket with Object Lock, below a prefix': {
    bucket: { objectLock: true },
    store: { prefix: 'a/b/', lock: { mode: 'COMPLIANCE', days: 3, except: ['s/'] } },
  },
  'S3, every third request is told to slow down': { fault: (number) => (number % 3 === 0 ? slowDown : null) },
  // What was stored must be told as stored by the one who stored it, whose answer was lost.
  'S3, every third answer is lost': { fault: (number) => (number % 3 === 0 ? cut : null) },
  'S3, every second answer is a 500 after the fact': {
    fault: (number) => (number % 2 === 0 ? { kind: 'error-after', status: 500, code: 'InternalError' } : null),
  },
}

for (const [name, { server: options, bucket, store, fault }] of Object.entries(cases)) {
  objectStoreContract(name, async () => {
    const server = await startS3Server(options)
    server.addBucket('backups', bucket)
    server.faults = ({ number }) => fault?.(number) ?? null
    return {
      store: storeOn(server, { attemptsMax: 12, ...store }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  })
}

const real = process.env['COLDFRAME_TEST_S3_URL']
if (real !== undefined && real !== '') {
  const { origin, pathname } = new URL(real)
  const [bucket = '', ...prefix] = pathname.slice(1).split('/')
  objectStoreContract(`S3 at ${origin}`, async () => {
    const client = s3Client({
      bucket,
      region: process.env['AWS_REGION'] ?? 'us-east-1',
      endpoint: origin.endsWith('.amazonaws.com') ? null : origin,
      credentials: s3Credentials(process.env),
      clock: systemClock,
      random: systemRandom,
      patience: { ...QUICK, firstMs: 100, mostMs: 2_000 },
      connectionsMax: 16,
      idleMs: 20_000,
      limitMs: 60_000,
    })
    // Nothing is removed there: each run has a place of its own.
    const place = [...prefix, `contract-${hexOf(systemRandom.bytes(8))}`].filter((part) => part !== '')
    const store = s3Store({
      client,
      prefix: `${place.join('/')}/`,
      lock: null,
      kmsKey: null,
      clock: systemClock,
      random: systemRandom,
    })
    return { store, [Symbol.asyncDispose]: async () => {} }
  })
}
