// The one error of stored bytes that are not what was written.

import { BackupError, type Facts } from '../../base/errors.ts'

/** Stored bytes that fail a check: code `integrity`. */
export function corrupt(
  message: string,
  options: { readonly facts?: Facts; readonly cause?: unknown } = {},
): BackupError {
  return new BackupError(message, {
    code: 'integrity',
    kind: 'integrity',
    hint: 'Run "coldframe verify" on this point and on its neighbours to see what can still be restored',
    ...options,
  })
}
