// Errors as plain data, so that they cross from thread to thread and keep code, hint, facts and causes.

import { BackupError, type ErrorKind, type Facts, messageOf, type Retry } from './errors.ts'

export type PlainError = {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly backup: {
    readonly code: string
    readonly kind: ErrorKind
    readonly retry: Retry
    readonly hint: string | undefined
    readonly facts: Facts
  } | null
  readonly cause: PlainError | null
}

const causesMax = 5

export function plainErrorOf(error: unknown, depth = 0): PlainError {
  const cause =
    error instanceof Error && error.cause !== undefined && depth < causesMax
      ? plainErrorOf(error.cause, depth + 1)
      : null
  const { code, kind, retry, hint, facts } = error instanceof BackupError ? error : noBackup
  return {
    name: error instanceof Error ? error.name : 'Error',
    message: messageOf(error),
    stack: error instanceof Error ? error.stack : undefined,
    backup: code === null ? null : { code, kind, retry, hint, facts },
    cause,
  }
}

export function errorOfPlain(plain: PlainError): Error {
  const cause = plain.cause === null ? undefined : errorOfPlain(plain.cause)
  const error = errorAlone(plain, cause)
  if (plain.stack !== undefined) error.stack = plain.stack
  return error
}

function errorAlone(plain: PlainError, cause: Error | undefined): Error {
  if (plain.backup === null) {
    const error = new Error(plain.message, cause === undefined ? undefined : { cause })
    error.name = plain.name
    return error
  }
  const { hint, ...rest } = plain.backup
  return new BackupError(plain.message, {
    ...rest,
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  })
}

const noBackup = { code: null, kind: 'failed', retry: 'no', hint: undefined, facts: {} } as const
