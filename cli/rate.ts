// How fast something goes and how long it still takes, by what was seen in the last seconds.

export type Pace = {
  /** Bytes a second; null until two looks are far enough apart. */
  readonly bytesPerSecond: number | null
  /** Milliseconds that are left at this rate; null when nobody knows. */
  readonly leftMs: number | null
}

export interface PaceMeter {
  look(now: { readonly ms: number; readonly doneBytes: number; readonly totalBytes: number }): Pace
}

const windowMs = 10_000
const shortestMs = 400

/** Averages over the last 10 seconds. Bytes that go back (a new attempt) start anew. */
export function paceMeter(): PaceMeter {
  let looks: { readonly ms: number; readonly doneBytes: number }[] = []
  return {
    look: ({ ms, doneBytes, totalBytes }) => {
      if (doneBytes < (looks.at(-1)?.doneBytes ?? 0)) looks = []
      looks = [...looks.filter((one) => ms - one.ms <= windowMs), { ms, doneBytes }]
      const first = looks[0]
      if (first === undefined || ms - first.ms < shortestMs) return { bytesPerSecond: null, leftMs: null }
      const bytesPerSecond = ((doneBytes - first.doneBytes) / (ms - first.ms)) * 1000
      const left = Math.max(0, totalBytes - doneBytes)
      return { bytesPerSecond, leftMs: bytesPerSecond > 0 ? (left / bytesPerSecond) * 1000 : left === 0 ? 0 : null }
    },
  }
}
