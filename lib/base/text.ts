// Sizes, rates and times as people read them, near matches of a mistyped name, and the order of names.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** For example "0 B", "1.5 KiB", "20 GiB": three digits at most, binary units. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${Number(value.toFixed(digits))} ${UNITS[unit]}`
}

/** For example "850 ms", "4.2 s", "3 min 20 s", "2 h 5 min". */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

/** For toSorted(): text by its UTF-16 code units, whatever the language; Infinity has its place among numbers. */
export function ascending<Value extends string | number>(left: Value, right: Value): number {
  return left < right ? -1 : left > right ? 1 : 0
}

/** Up to three of `names` that are closest to `wanted` by edit distance, nearest first; far ones are left out. */
export function nearNames(wanted: string, names: readonly string[]): readonly string[] {
  const limit = Math.max(2, Math.ceil(wanted.length / 3))
  return names
    .map((name) => ({ name, distance: editDistance(wanted.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= limit || name.toLowerCase().includes(wanted.toLowerCase()))
    .toSorted((a, b) => a.distance - b.distance || ascending(a.name, b.name))
    .slice(0, 3)
    .map(({ name }) => name)
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const row = [i]
    for (let j = 1; j <= right.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1)
      row.push(Math.min(substitution, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    previous = row
  }
  return previous[right.length] ?? 0
}

/** As many of the first characters as take at most `bytesMax` bytes in JSON, as UTF-8; never half a character. */
export function cutToJsonBytes(text: string, bytesMax: number): string {
  if (jsonBytes(text) <= bytesMax) return text
  let low = 0
  let high = text.length
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (jsonBytes(text.slice(0, middle)) <= bytesMax) low = middle
    else high = middle - 1
  }
  // The first half of a surrogate pair stands for nothing by itself.
  return text.slice(0, low).replace(/[\uD800-\uDBFF]$/, '')
}

function jsonBytes(text: string): number {
  return new TextEncoder().encode(JSON.stringify(text)).byteLength - 2
}
