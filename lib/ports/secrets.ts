// Secrets by reference: read when needed, never kept in messages, state, argv or logs. No code.

import type { Cancel } from '../base/time-limit.ts'

export interface Secrets {
  /** @throws BackupError `secret-missing` (kind usage) naming the reference, never the value */
  read(name: string, cancel: Cancel): Promise<string>
}
