// Which bytes of one read have been answered: ranges that may come in any order but never twice.

export interface Coverage {
  /** @returns false when a byte from `start` up to `end` was added before; then nothing is added */
  add(start: number, end: number): boolean
  /** Whether every byte from 0 up to `length` was added. */
  complete(length: number): boolean
}

/** Ranges that touch are joined, so the usual ascending answer costs one comparison a chunk. */
export function coverage(): Coverage {
  const starts: number[] = []
  const ends: number[] = []
  return {
    add: (start, end) => {
      let index = starts.length
      while (index > 0 && (starts[index - 1] ?? 0) >= end) index--
      const previousEnd = index > 0 ? (ends[index - 1] ?? 0) : -1
      if (previousEnd > start) return false
      const joinsPrevious = previousEnd === start
      const joinsNext = starts[index] === end
      if (joinsPrevious && joinsNext) {
        ends.splice(index - 1, 1)
        starts.splice(index, 1)
      } else if (joinsPrevious) ends[index - 1] = end
      else if (joinsNext) starts[index] = start
      else {
        starts.splice(index, 0, start)
        ends.splice(index, 0, end)
      }
      return true
    },
    complete: (length) => length === 0 || (starts.length === 1 && starts[0] === 0 && ends[0] === length),
  }
}
