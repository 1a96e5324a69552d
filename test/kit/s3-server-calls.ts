// Requests to the S3 server of the tests as faults and counts see them, and what can go wrong with one.

import type { IncomingHttpHeaders } from 'node:http'

/** One request, as faults and counts see it. */
export type S3Call = {
  /** From 1. */
  readonly number: number
  readonly operation: string
  readonly method: string
  readonly bucket: string
  readonly key: string
  readonly query: ReadonlyMap<string, string>
  readonly headers: IncomingHttpHeaders
}

/** What goes wrong with a request. */
export type S3Fault =
  /** Answered so, without any effect. */
  | {
      readonly kind: 'error'
      readonly status: number
      readonly code: string
      readonly headers?: Record<string, string>
    }
  /** Answered so after it took effect. */
  | { readonly kind: 'error-after'; readonly status: number; readonly code: string }
  /** The connection goes when so much of the request's body has come; no effect. */
  | { readonly kind: 'cut-request'; readonly afterBytes: number }
  /** It takes effect, and the connection goes without an answer. */
  | { readonly kind: 'cut-answer' }
  /** The answer's head is right, its body ends early with the connection. */
  | { readonly kind: 'cut-body'; readonly afterBytes: number }
  /** A bit of a success's body is wrong. */
  | { readonly kind: 'damage' }
  | { readonly kind: 'slow'; readonly ms: number }
  /** Never answered. */
  | { readonly kind: 'silent' }

export const slowDown: S3Fault = { kind: 'error', status: 503, code: 'SlowDown' }
