// What a program of one machine says of a setting that it cannot start without.

import { BackupError } from '../base/errors.ts'

export function unset(name: string): BackupError {
  return new BackupError(`Cannot start: ${name} is not set`, { code: 'settings-faulty', kind: 'usage' })
}
