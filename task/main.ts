// The long-running program of a task: one mover. Ends with its parent, and within seconds of SIGTERM.
// usage: main.ts move --job ID --attempt N

import { randomUUID } from 'node:crypto'
import { fstatSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { lineLog } from '../lib/adapters/local/log.ts'
import { watchParent } from '../lib/adapters/local/parent-watch.ts'
import { systemClock } from '../lib/base/clock.ts'
import { BackupError, exitCodeOf, messageOf } from '../lib/base/errors.ts'
import { systemRandom } from '../lib/base/random.ts'
import { isAbort } from '../lib/base/time-limit.ts'
import { runLocalMover } from '../lib/compose/local-mover.ts'
import { siblingEntry } from '../lib/compose/sibling-entry.ts'
import { parseJobId } from '../lib/model/ids.ts'
import { parseSettings } from '../lib/wire/settings.ts'

const usage = 'usage: main move --job ID --attempt N'
/** Everything must have ended so long after it was told to. */
const stopMs = 8_000
const log = lineLog((line) => process.stdout.write(line), { clock: systemClock })

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { job: { type: 'string' }, attempt: { type: 'string' }, workers: { type: 'string' } },
  })
  const attempt = Number(values.attempt)
  if (positionals.join(' ') !== 'move' || values.job === undefined || !Number.isInteger(attempt) || attempt < 1) {
    throw new BackupError(usage, { code: 'usage', kind: 'usage' })
  }
  const settings = parseSettings({ environment: process.env, file: null, folder: process.cwd() }, [
    'vcenter',
    'repository',
  ])
  const stop = new AbortController()
  const stopBy = (reason: string) => {
    log.warn('mover.stopping', { reason })
    stop.abort(
      new BackupError(`The mover was stopped: ${reason}`, { code: 'interrupted', kind: 'interrupted', retry: 'later' }),
    )
    setTimeout(() => process.exit(130), stopMs).unref()
  }
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stopBy(name))
  if (isChild())
    watchParent(process.stdin).signal.addEventListener('abort', () => stopBy('its parent has ended'), { once: true })
  const result = await runLocalMover(
    { jobId: parseJobId(values.job), attempt, holder: randomUUID() },
    {
      settings,
      around: { environment: process.env, clock: systemClock, random: systemRandom },
      workerEntry: siblingEntry(import.meta.url, 'worker'),
      workersMax: values.workers === undefined ? null : Number(values.workers),
      writer: writerOf(),
      log,
    },
    { signal: stop.signal },
  )
  return result.kind === 'sealed' ? 0 : 1
}

/** An engine starts us with a pipe as standard input; a container or a terminal has none, and nobody to wait for. */
function isChild(): boolean {
  const input = fstatSync(0)
  return input.isFIFO() || input.isSocket()
}

function writerOf(): string {
  const manifest: { readonly version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  return `coldframe/${manifest.version}`
}

try {
  process.exitCode = await main()
} catch (error) {
  log.error('mover.ended-badly', error)
  const kind = error instanceof BackupError ? error.kind : isAbort(error) ? 'interrupted' : 'failed'
  if (kind === 'usage') process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = exitCodeOf(kind)
}
// Nothing is left to do: whatever still holds the process open is not waited for.
process.exit()
