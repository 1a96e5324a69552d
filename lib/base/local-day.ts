// The date that a clock on the wall shows somewhere.

const formats = new Map<string, Intl.DateTimeFormat>()

/** The date at a moment in a time zone, "2026-01-31". */
export function localDay(ms: number, timeZone: string): string {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('sv-SE', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' })
    formats.set(timeZone, format)
  }
  return format.format(ms)
}
