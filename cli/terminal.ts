// Text for terminals and files: nothing that a name may contain moves a cursor, and tables line up.

/** Names come from outside: control characters and line breaks become "?" so that they cannot act on a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
}

export type Column = { readonly title: string; readonly align: 'left' | 'right' }

/** @returns lines, each ended by a line break; cells are made printable, every row has one a column */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(printable))
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...cells.map((row) => widthOf(row[index] ?? ''))),
  )
  const line = (row: readonly string[]) => {
    const parts = columns.map(({ align }, index) => {
      const cell = row[index] ?? ''
      const padding = ' '.repeat((widths[index] ?? 0) - widthOf(cell))
      return align === 'right' ? `${padding}${cell}` : `${cell}${padding}`
    })
    return `${parts.join('  ').trimEnd()}\n`
  }
  return [columns.map(({ title }) => title), ...cells].map(line).join('')
}

/** For example "2026-03-01 22:00:05" in UTC; "-" for null. */
export function shortTime(iso: string | null): string {
  return iso === null ? '-' : iso.replace('T', ' ').replace(/\.[0-9]+Z$/, '')
}

const segments = new Intl.Segmenter('en')

/** Characters as people count them. */
function widthOf(text: string): number {
  return /^[\x20-\x7e]*$/.test(text) ? text.length : [...segments.segment(text)].length
}
