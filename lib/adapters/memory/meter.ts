// A meter that counts in memory.

import { addUsage, NO_USAGE, usageSince } from '../../model/usage.ts'
import type { Meter } from '../../ports/meter.ts'

export function memoryMeter(options: { readonly functionGb: number }): Meter {
  let total = NO_USAGE
  let taken = NO_USAGE
  return {
    functionGb: options.functionGb,
    add: (amounts) => {
      total = addUsage(total, amounts)
    },
    total: () => total,
    take: () => {
      const used = usageSince(total, taken)
      taken = total
      return used
    },
  }
}
