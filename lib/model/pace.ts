// How fast a backup reads while storage is busy: a share of its full speed, from the read latency of its datastores. Pure.

import type { AdmissionLimits } from './admission.ts'

/** In thousandths of full speed. It is never 0: a read that stands still keeps its snapshot for ever. */
export const FULL_PACE = 1_000
export const LEAST_PACE = 60
const RAISE = 125
/** So many samples in a row may be missing before speed is regained without them. */
const UNKNOWN_MAX = 3

export type Pace = { readonly permille: number; readonly unknownInRow: number }

export const fullPace: Pace = { permille: FULL_PACE, unknownInRow: 0 }

/**
 * Halves from the stop threshold on, keeps its pace down to the start threshold, and regains it in eighths below.
 * @param readMs the slowest datastore's; null where nobody tells: unknown is neither fast nor slow
 */
export function nextPace(
  pace: Pace,
  readMs: number | null,
  limits: Pick<AdmissionLimits, 'latencyStartMs' | 'latencyStopMs'>,
): Pace {
  const { permille } = pace
  const raised = Math.min(FULL_PACE, permille + RAISE)
  if (readMs === null) {
    const unknownInRow = pace.unknownInRow + 1
    return { permille: unknownInRow > UNKNOWN_MAX ? raised : permille, unknownInRow }
  }
  const stopMs = Math.max(limits.latencyStartMs, limits.latencyStopMs)
  if (readMs >= stopMs) return { permille: Math.max(LEAST_PACE, Math.floor(permille / 2)), unknownInRow: 0 }
  return { permille: readMs < limits.latencyStartMs ? raised : permille, unknownInRow: 0 }
}

/** How long a slot rests after a read of this length, so that it works for its share of the time. In milliseconds. */
export function restMs(readMs: number, permille: number): number {
  return permille >= FULL_PACE ? 0 : Math.min(REST_MS_MAX, readMs * (FULL_PACE / Math.max(1, permille) - 1))
}

/** One read that took very long is no reason to do nothing for minutes. */
const REST_MS_MAX = 30_000
