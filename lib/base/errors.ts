// The two kinds of error: broken code (assert) and the world (BackupError). Nothing here knows an error's cause.

/** What an operator's shell is told: each kind has one exit code, see exitCodeOf(). */
export type ErrorKind = 'failed' | 'usage' | 'not-found' | 'refused' | 'integrity' | 'interrupted'

/** What the program may do next: nothing, the same again, or the same as a full read. */
export type Retry = 'no' | 'later' | 'as-full'

export type Facts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>

export type BackupErrorOptions = {
  /** kebab-case, stable: scripts compare it. */
  readonly code: string
  readonly kind?: ErrorKind
  readonly retry?: Retry
  /** The operator's next step, in words that need no source code. */
  readonly hint?: string
  readonly facts?: Facts
  readonly cause?: unknown
}

/** An error of the world outside: expected, explained, answered at a program's edge. */
export class BackupError extends Error {
  override readonly name = 'BackupError'
  readonly code: string
  readonly kind: ErrorKind
  readonly retry: Retry
  readonly hint: string | undefined
  readonly facts: Facts

  constructor(message: string, options: BackupErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = options.code
    this.kind = options.kind ?? 'failed'
    this.retry = options.retry ?? 'no'
    this.hint = options.hint
    this.facts = options.facts ?? {}
  }
}

/** Text or bytes that do not have the form they must have. */
export function malformed(what: string, value: unknown, needed: string): BackupError {
  return new BackupError(`Cannot read ${what} ${quote(value)}: ${needed}`, {
    code: 'malformed',
    kind: 'usage',
    facts: { what, needed },
  })
}

/** Throws when `condition` is false: broken code, caught by nobody, a bug report. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed: ${message}`)
}

/** Marks a place that no value reaches; a new member of a union does not compile until it is handled. */
export function unreachable(value: never): never {
  throw new Error(`Unreachable value: ${JSON.stringify(value)}`)
}

/** A short, quoted rendering of any value for an error message, at most 200 characters. */
export function quote(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  return `"${text.length > 200 ? `${text.slice(0, 200)}…` : text}"`
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Whether this error, or any of its causes or members, is a BackupError of this code. */
export function hasCode(error: unknown, code: string): boolean {
  if (error instanceof BackupError && error.code === code) return true
  if (error instanceof AggregateError) return error.errors.some((member) => hasCode(member, code))
  return error instanceof Error && error.cause !== undefined && hasCode(error.cause, code)
}

/** 1 failed, 2 usage, 3 not found or ambiguous, 4 refused, 5 integrity, 130 interrupted. */
export function exitCodeOf(kind: ErrorKind): number {
  switch (kind) {
    case 'failed':
      return 1
    case 'usage':
      return 2
    case 'not-found':
      return 3
    case 'refused':
      return 4
    case 'integrity':
      return 5
    case 'interrupted':
      return 130
    default:
      return unreachable(kind)
  }
}
