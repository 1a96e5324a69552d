// Requests to one bucket, tried again with full jitter while S3 says, or silence suggests, that it may pass.

import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { type S3ConnectionOptions, type S3Outcome, type S3Request, s3Connection } from './s3-connection.ts'
import { isDoubtful, isExpired, mayPass, type S3Failure, type S3Loss, s3Error } from './s3-failures.ts'

export type S3Patience = { readonly attemptsMax: number; readonly firstMs: number; readonly mostMs: number }

export const DEFAULT_PATIENCE: S3Patience = { attemptsMax: 8, firstMs: 100, mostMs: 10_000 }

export type S3ClientOptions = Omit<S3ConnectionOptions, 'clock'> & {
  readonly clock: Clock
  readonly random: Random
  readonly patience: S3Patience
}

export type S3Result<Value> =
  | { readonly kind: 'done'; readonly value: Value }
  | {
      readonly kind: 'failed'
      readonly failure: S3Failure
      /** An earlier try had no answer, or one that leaves it open whether it took effect. */
      readonly doubtful: boolean
    }

export type S3How<Value> = {
  /** For errors: 'Cannot read object "x"'. */
  readonly doing: string
  readonly read: (reply: IncomingMessage) => Promise<Value>
  /** Failures that the caller answers itself, and that are not tried again. */
  readonly expects: (failure: S3Failure) => boolean
}

export interface S3Client {
  readonly bucket: string
  /** @throws BackupError of s3Error(), `aws-credentials`; what `read` throws */
  call<Value>(request: S3Request, how: S3How<Value>, cancel: Cancel): Promise<S3Result<Value>>
  /** As call() expecting nothing. */
  ask<Value>(request: S3Request, how: Omit<S3How<Value>, 'expects'>, cancel: Cancel): Promise<Value>
}

export function s3Client(options: S3ClientOptions): S3Client {
  const { bucket, region, clock, random, patience } = options
  const connection = s3Connection(options)
  const call = async <Value>(
    request: S3Request,
    { doing, read, expects }: S3How<Value>,
    cancel: Cancel,
  ): Promise<S3Result<Value>> => {
    let doubtful = false
    let renewed = false
    for (let attempt = 1; ; attempt++) {
      cancel.signal.throwIfAborted()
      const outcome: S3Outcome<Value> = await connection.send(request, { read, freshCredentials: renewed }, cancel)
      if (outcome.kind === 'done') return outcome
      if (outcome.kind === 'answer' && expects(outcome)) return { kind: 'failed', failure: outcome, doubtful }
      const renew: boolean = isExpired(outcome) && !renewed
      if (!renew && (!mayPass(outcome) || attempt >= patience.attemptsMax))
        throw told(doing, outcome, { request, attempt })
      renewed ||= renew
      doubtful ||= isDoubtful(outcome)
      const boundMs = Math.min(patience.mostMs, patience.firstMs * 2 ** (attempt - 1))
      await clock.sleep(boundMs * random.fraction(), cancel)
    }
  }
  const told = (
    doing: string,
    failure: S3Failure | S3Loss,
    at: { readonly request: S3Request; readonly attempt: number },
  ) => {
    const place = { bucket, region, endpoint: connection.endpoint }
    return s3Error(doing, failure, { ...place, key: at.request.key, attempts: at.attempt, nowMs: clock.nowMs() })
  }
  return {
    bucket,
    call,
    ask: async (request, how, cancel) => {
      const result = await call(request, { ...how, expects: () => false }, cancel)
      if (result.kind === 'done') return result.value
      throw told(how.doing, result.failure, { request, attempt: 1 })
    },
  }
}
