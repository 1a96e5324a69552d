// Secrets given as values; for tests and demonstrations.

import { BackupError } from '../../base/errors.ts'
import type { Secrets } from '../../ports/secrets.ts'

export function memorySecrets(values: Readonly<Record<string, string>>): Secrets {
  return {
    async read(name, { signal }) {
      signal.throwIfAborted()
      const value = Object.hasOwn(values, name) ? values[name] : undefined
      if (value !== undefined) return value
      throw new BackupError(`Cannot read secret "${name}": none is known by this name`, {
        code: 'secret-missing',
        kind: 'usage',
        hint: 'Set it, or correct the name',
        facts: { name },
      })
    },
  }
}
