// Opens our S3 store on the S3 server of the tests, and on any other endpoint that the environment names.

import type { LookupFunction } from 'node:net'
import { s3Client } from '../../lib/adapters/aws/s3-client.ts'
import { s3Credentials } from '../../lib/adapters/aws/s3-credentials.ts'
import { type S3Lock, s3Store } from '../../lib/adapters/aws/s3-store.ts'
import { type Clock, systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import type { S3Server } from './s3-server.ts'

export const QUICK = { attemptsMax: 6, firstMs: 1, mostMs: 4 }

export type StoreChoices = {
  readonly bucket?: string
  readonly prefix?: string
  readonly lock?: S3Lock
  readonly kmsKey?: string
  readonly region?: string
  readonly clock?: Clock
  readonly attemptsMax?: number
  readonly idleMs?: number
  readonly connectionsMax?: number
  readonly environment?: Readonly<Record<string, string>>
  readonly lookup?: LookupFunction
  readonly endpoint?: string | null
}

export function clientOn(server: S3Server, choices: StoreChoices = {}) {
  return s3Client({
    bucket: choices.bucket ?? 'backups',
    region: choices.region ?? server.region,
    endpoint: choices.endpoint === undefined ? server.endpoint : choices.endpoint,
    credentials: s3Credentials(choices.environment ?? server.environment),
    clock: choices.clock ?? systemClock,
    random: systemRandom,
    patience: { ...QUICK, attemptsMax: choices.attemptsMax ?? QUICK.attemptsMax },
    connectionsMax: choices.connectionsMax ?? 16,
    idleMs: choices.idleMs ?? 5_000,
    limitMs: 20_000,
    ...(choices.lookup === undefined ? {} : { lookup: choices.lookup }),
  })
}

export function storeOn(server: S3Server, choices: StoreChoices = {}) {
  return s3Store({
    client: clientOn(server, choices),
    prefix: choices.prefix ?? '',
    lock: choices.lock ?? null,
    kmsKey: choices.kmsKey ?? null,
    clock: choices.clock ?? systemClock,
    random: systemRandom,
  })
}
