// Before all tests: installs and builds the real peers where that is possible (Debian, as root); see scripts/peers.mjs.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** Runs once a test run, in vitest's main process. Costs some tens of milliseconds when nothing is missing. */
export function setup(): void {
  const script = join(import.meta.dirname, '..', '..', 'scripts', 'peers.mjs')
  const { status } = spawnSync(process.execPath, [script], { stdio: ['ignore', 2, 2] })
  if (status !== 0 && process.env['COLDFRAME_REAL'] === 'required') {
    throw new Error('The peers of the real tests could not be installed, and COLDFRAME_REAL=required')
  }
}
