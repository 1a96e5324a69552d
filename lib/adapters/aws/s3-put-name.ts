// Each object that we put carries a name of the put, drawn anew: after a lost answer it tells whose object is there.

import type { IncomingMessage } from 'node:http'
import type { Cancel } from '../../base/time-limit.ts'
import type { S3Client } from './s3-client.ts'
import { readUpTo } from './s3-connection.ts'
import type { S3Failure } from './s3-failures.ts'

export const PUT_HEADER = 'x-amz-meta-coldframe-put'

export type ThereNow =
  /** `name`: null of an object that somebody else put. */
  | { readonly kind: 'object'; readonly name: string | null }
  | { readonly kind: 'none' }
  /** One that the caller expects. */
  | { readonly kind: 'failed'; readonly failure: S3Failure }

/**
 * By a GET of one byte: the answer to HEAD has no body, and its refusals do not say what they are.
 * @throws what the client throws
 */
export async function lookAtKey(
  client: S3Client,
  of: { readonly key: string; readonly doing: string; readonly expects: (failure: S3Failure) => boolean },
  cancel: Cancel,
): Promise<ThereNow> {
  const { key, doing } = of
  const read = async (reply: IncomingMessage) => {
    await readUpTo(reply, 1)
    const name = reply.headers[PUT_HEADER]
    return typeof name === 'string' ? name : null
  }
  const ask = (headers: Readonly<Record<string, string>>) =>
    client.call(
      { method: 'GET', key, query: {}, headers, body: null },
      { doing, read, expects: (failure) => isAbsence(failure) || failure.status === 416 || of.expects(failure) },
      cancel,
    )
  const first = await ask({ range: 'bytes=0-0' })
  // It is empty, and has no byte 0.
  const result = first.kind === 'failed' && first.failure.status === 416 ? await ask({}) : first
  if (result.kind === 'done') return { kind: 'object', name: result.value }
  return isAbsence(result.failure) ? { kind: 'none' } : { kind: 'failed', failure: result.failure }
}

/** Only where S3 names the key: an anonymous 404 may be of a bucket, or of something on the way. */
export function isAbsence({ status, code }: S3Failure): boolean {
  return status === 404 && (code === 'NoSuchKey' || code === 'NoSuchVersion')
}
