// A meter of what is used, one for each program that is paid for. No code.

import type { Usage } from '../model/usage.ts'

export interface Meter {
  /** Memory that this program's time is paid for, in gigabytes (2^30); 0 where time costs nothing, as on one's own machine. */
  readonly functionGb: number
  add(amounts: Partial<Usage>): void
  total(): Usage
  /** What was added since the last time this was asked. */
  take(): Usage
}
