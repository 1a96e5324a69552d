// Ctrl-C and its relatives: the first asks the command to end in order, a later one ends the process at once.

import { BackupError } from '../lib/base/errors.ts'

/** A terminal sends its signal to the launcher and to us, and the launcher passes it on: so soon it is the same one. */
const sameSignalMs = 1_000

/** @returns a signal whose reason is a BackupError of kind 'interrupted' */
export function listenForInterrupts(): AbortSignal {
  const stop = new AbortController()
  let firstMs: number | null = null
  const onSignal = () => {
    const nowMs = performance.now()
    if (firstMs === null) {
      firstMs = nowMs
      stop.abort(new BackupError('Interrupted', { code: 'interrupted', kind: 'interrupted' }))
      process.stderr.write('Stopping; once more stops at once\n')
    } else if (nowMs - firstMs > sameSignalMs) {
      // Bars may have hidden the cursor and switched off line wrapping.
      if (process.stderr.isTTY) process.stderr.write('\x1b[?25h\x1b[?7h\n')
      process.exit(130)
    }
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal)
  return stop.signal
}
