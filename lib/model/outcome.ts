// How a job ends, and what it notices on the way.

export type Notice = {
  /** kebab-case, stable. */
  readonly code: string
  /** One sentence for the operator, no full stop. */
  readonly message: string
  readonly hint: string | null
}

export type Outcome = {
  readonly kind: 'success' | 'warning' | 'failed' | 'skipped'
  readonly code: string
  readonly message: string
  readonly hint: string | null
}
