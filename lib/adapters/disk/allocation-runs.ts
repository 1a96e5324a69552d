// Pure: lists of allocation runs.

import type { Extent } from '../../model/extent.ts'
import type { Allocation } from '../../ports/disk.ts'

/**
 * Clips ascending, contiguous runs to `window` and joins neighbours of one kind.
 * @returns runs that cover exactly what `runs` cover of `window`
 */
export function mergeRuns(runs: readonly Allocation[], window: Extent): readonly Allocation[] {
  const windowEnd = window.offsetBytes + window.lengthBytes
  const merged: Allocation[] = []
  for (const run of runs) {
    const offsetBytes = Math.max(run.offsetBytes, window.offsetBytes)
    const lengthBytes = Math.min(run.offsetBytes + run.lengthBytes, windowEnd) - offsetBytes
    if (lengthBytes <= 0) continue
    const last = merged.at(-1)
    if (last?.kind === run.kind) merged[merged.length - 1] = { ...last, lengthBytes: last.lengthBytes + lengthBytes }
    else merged.push({ offsetBytes, lengthBytes, kind: run.kind })
  }
  return merged
}
