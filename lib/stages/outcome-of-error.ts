// The sentence that a failed job or a refused run keeps of an error.

import { BackupError, messageOf } from '../base/errors.ts'
import type { Outcome } from '../model/outcome.ts'

/** The hint of a failure that knows of no better step. */
export const START_AGAIN = 'The log tells what came before it; start the backup again when its cause is gone'

export function outcomeOfError(error: unknown): Outcome {
  const known = firstBackupError(error)
  if (known !== null)
    return { kind: 'failed', code: known.code, message: known.message, hint: known.hint ?? START_AGAIN }
  return { kind: 'failed', code: 'failed', message: messageOf(error), hint: START_AGAIN }
}

/** The error itself, or the first of an aggregate's members, that speaks of the world. */
export function firstBackupError(error: unknown): BackupError | null {
  if (error instanceof BackupError) return error
  if (error instanceof AggregateError) return error.errors.map(firstBackupError).find((found) => found !== null) ?? null
  return null
}
