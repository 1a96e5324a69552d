// A stream of a guest's shell: whatever start-up files and sudo print, then, after a mark, what the program prints.

const NOISE_BYTES_MAX = 4096
/** A mark's line holds a word and a number; a longer one is not ours, but somebody's who repeats what we have said. */
const LINE_BYTES_MAX = 4096

export type MarkedStream = {
  push(chunk: Uint8Array): void
  /** Rest of the line of each mark seen so far, trimmed. */
  readonly lines: readonly string[]
  /** What stood before the mark of this index (or still does), its first 4 KiB. */
  noise(index: number): string
  /** What came after the last mark, at most `bytesMax` of it. */
  bytes(): Uint8Array
  /** How much came after the last mark. */
  length(): number
}

/** @param options.onMark called when the line of a mark is complete, with its index */
export function markedStream(options: {
  readonly marks: readonly string[]
  readonly bytesMax: number
  readonly onMark: (index: number) => void
}): MarkedStream {
  const { marks, bytesMax, onMark } = options
  const lines: string[] = []
  const noises: Buffer[] = marks.map(() => Buffer.alloc(0))
  const kept: Uint8Array[] = []
  let pending = Buffer.alloc(0)
  let keptBytes = 0
  let totalBytes = 0

  const keep = (chunk: Uint8Array): void => {
    totalBytes += chunk.byteLength
    const part = chunk.subarray(0, Math.max(0, bytesMax - keptBytes))
    if (part.byteLength > 0) kept.push(part)
    keptBytes += part.byteLength
  }

  const addNoise = (text: Buffer): void => {
    const before = noises[lines.length] ?? Buffer.alloc(0)
    noises[lines.length] = Buffer.concat([before, text.subarray(0, NOISE_BYTES_MAX - before.length)])
  }

  return {
    lines,
    noise: (index) => {
      const rest = index === lines.length ? pending : Buffer.alloc(0)
      return Buffer.concat([noises[index] ?? Buffer.alloc(0), rest])
        .toString('utf8')
        .trim()
    },
    bytes: () => Buffer.concat(kept),
    length: () => totalBytes,
    push: (chunk) => {
      if (lines.length === marks.length) return keep(chunk)
      pending = Buffer.concat([pending, chunk])
      for (;;) {
        const mark = marks[lines.length]
        if (mark === undefined) break
        const at = pending.indexOf(mark)
        const end = at < 0 ? -1 : pending.indexOf('\n', at)
        if (at >= 0 && (end < 0 ? pending.length : end) - at > LINE_BYTES_MAX) {
          addNoise(pending.subarray(0, at + mark.length))
          pending = pending.subarray(at + mark.length)
          continue
        }
        if (end < 0) {
          // Only what may still become a mark is kept: noise has no limit.
          const settled = at < 0 ? Math.max(0, pending.length - mark.length) : at
          addNoise(pending.subarray(0, settled))
          pending = Buffer.from(pending.subarray(settled))
          return
        }
        addNoise(pending.subarray(0, at))
        lines.push(
          pending
            .subarray(at + mark.length, end)
            .toString('utf8')
            .trim(),
        )
        pending = Buffer.from(pending.subarray(end + 1))
        onMark(lines.length - 1)
      }
      keep(pending)
      pending = Buffer.alloc(0)
    },
  }
}
