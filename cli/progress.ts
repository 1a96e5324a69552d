// Progress for whoever waits: bars on a terminal, a line now and then elsewhere. Never on stdout.

import { MultiBar, type SingleBar } from 'cli-progress'
import type { Clock } from '../lib/base/clock.ts'
import { formatBytes, formatDuration } from '../lib/base/text.ts'
import { type Pace, type PaceMeter, paceMeter } from './rate.ts'
import { printable } from './terminal.ts'

/** How far one thing, a disk, has come. */
export type Row = {
  /** The same for the same thing. */
  readonly id: string
  readonly title: string
  readonly doneBytes: number
  readonly totalBytes: number
  /** A few words at the end, for example the transport. */
  readonly note: string
}

/** Disposing removes the bars; what was said stays. */
export interface Progress extends Disposable {
  /** One line that stays. */
  say(line: string): void
  show(row: Row): void
}

export type ProgressOptions = { readonly stream: NodeJS.WriteStream; readonly clock: Clock }

export function openProgress(options: ProgressOptions): Progress {
  return options.stream.isTTY ? barProgress(options) : lineProgress(options)
}

/** How often a row says something when nobody sees it move. */
const lineEveryMs = 10_000

function lineProgress({ stream, clock }: ProgressOptions): Progress {
  const rows = new Map<string, { readonly pace: PaceMeter; saidMs: number; over: boolean }>()
  const say = (line: string) => void stream.write(`${printable(line)}\n`)
  return {
    say,
    show: (row) => {
      const ms = clock.monotonicMs()
      const known = rows.get(row.id) ?? { pace: paceMeter(), saidMs: ms, over: false }
      rows.set(row.id, known)
      const pace = known.pace.look({ ms, ...row })
      const over = row.doneBytes >= row.totalBytes
      if (over ? known.over : ms - known.saidMs < lineEveryMs) return
      known.over = over
      known.saidMs = ms
      say(rowText(row, pace))
    },
    [Symbol.dispose]: () => undefined,
  }
}

/** A finished row becomes a line above the bars, so that a terminal of 24 lines is enough for any number of disks. */
function barProgress({ stream, clock }: ProgressOptions): Progress {
  const bars = new MultiBar({
    stream,
    clearOnComplete: true,
    hideCursor: true,
    gracefulExit: false,
    linewrap: false,
    fps: 5,
    format: (_, { progress }, payload: { readonly row: Row; readonly pace: Pace }) =>
      `${barText(progress)} ${rowText(payload.row, payload.pace)}`,
  })
  const rows = new Map<string, { readonly pace: PaceMeter; bar: SingleBar | null; over: boolean }>()
  let shown = 0
  const say = (line: string) => {
    if (shown > 0) bars.log(`${printable(line)}\n`)
    else stream.write(`${printable(line)}\n`)
  }
  return {
    say,
    show: (row) => {
      const known = rows.get(row.id) ?? { pace: paceMeter(), bar: null, over: false }
      rows.set(row.id, known)
      const pace = known.pace.look({ ms: clock.monotonicMs(), ...row })
      if (row.doneBytes >= row.totalBytes) {
        if (known.over) return
        known.over = true
        say(rowText(row, pace))
        if (known.bar === null) return
        bars.remove(known.bar)
        known.bar = null
        shown--
        return
      }
      known.over = false
      if (known.bar !== null) known.bar.update(row.doneBytes, { row, pace })
      else if (shown < rowsOf(stream) - 2) {
        known.bar = bars.create(row.totalBytes, row.doneBytes, { row, pace })
        shown++
      }
    },
    [Symbol.dispose]: () => bars.stop(),
  }
}

/** A terminal that does not tell its size is taken for the smallest usual one. */
function rowsOf({ rows }: NodeJS.WriteStream): number {
  return rows > 0 ? rows : 24
}

function barText(fraction: number): string {
  const width = 24
  const full = Math.round(width * Math.min(1, Math.max(0, fraction)))
  return `[${'='.repeat(full)}${' '.repeat(width - full)}]`
}

function rowText(row: Row, pace: Pace): string {
  if (row.totalBytes === 0) return printable(`${row.title}: nothing to read`)
  const percent = row.totalBytes === 0 ? 100 : Math.floor((row.doneBytes / row.totalBytes) * 100)
  const over = row.doneBytes >= row.totalBytes
  const parts = [`${formatBytes(row.doneBytes)} of ${formatBytes(row.totalBytes)} (${percent} %)`]
  if (pace.bytesPerSecond !== null && pace.bytesPerSecond > 0) parts.push(`${formatBytes(pace.bytesPerSecond)}/s`)
  if (!over && pace.leftMs !== null) parts.push(`${formatDuration(pace.leftMs)} left`)
  if (row.note !== '') parts.push(row.note)
  return printable(`${row.title}: ${parts.join(', ')}`)
}
