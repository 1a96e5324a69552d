// The long-running program of a task: one mover, or one restore or check; of one machine or, where the environment names a table, of a
// stack. Ends with its parent, and within seconds of SIGTERM.
// usage: main.ts move --job ID --attempt N | main.ts operate --operation ID --attempt N

import { randomUUID } from 'node:crypto'
import { fstatSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { lineLog } from '../lib/adapters/local/log.ts'
import { watchParent } from '../lib/adapters/local/parent-watch.ts'
import { systemClock } from '../lib/base/clock.ts'
import { BackupError, exitCodeOf, messageOf } from '../lib/base/errors.ts'
import { systemRandom } from '../lib/base/random.ts'
import { type Cancel, isAbort } from '../lib/base/time-limit.ts'
import { runAwsMover } from '../lib/compose/aws-mover.ts'
import { runAwsOperation } from '../lib/compose/aws-operation.ts'
import { runLocalMover } from '../lib/compose/local-mover.ts'
import { runLocalOperation } from '../lib/compose/local-operation.ts'
import type { MoverProgram } from '../lib/compose/mover.ts'
import { siblingEntry } from '../lib/compose/sibling-entry.ts'
import { parseJobId, parseOperationId } from '../lib/model/ids.ts'
import { parseAwsSettings } from '../lib/wire/aws-settings.ts'
import { parseSettings, type Settings, type SettingsNeed } from '../lib/wire/settings.ts'

const usage = 'usage: main move --job ID --attempt N | main operate --operation ID --attempt N'
/** A container of a stack is told the name of its table. */
const isOnAws = (process.env['COLDFRAME_TABLE'] ?? '') !== ''
/** Everything must have ended so long after it was told to: an engine waits for its tasks, ECS gives a container 120 s. */
const stopMs = isOnAws ? 100_000 : 8_000
const log = lineLog((line) => process.stdout.write(line), { clock: systemClock })
const around = { environment: process.env, clock: systemClock, random: systemRandom }

async function main(): Promise<number> {
  const work = workOf()
  const cancel = { signal: stopSignal() }
  return work.kind === 'move' ? move(work, cancel) : operate(work, cancel)
}

type Work = ReturnType<typeof workOf>

/** What the command line says. */
function workOf() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      job: { type: 'string' },
      operation: { type: 'string' },
      attempt: { type: 'string' },
      workers: { type: 'string' },
    },
  })
  const attempt = Number(values.attempt)
  const workers = values.workers === undefined ? null : Number(values.workers)
  const kind = positionals.join(' ')
  if (Number.isInteger(attempt) && attempt >= 1) {
    if (kind === 'move' && values.job !== undefined)
      return { kind, jobId: parseJobId(values.job), attempt, workers } as const
    if (kind === 'operate' && values.operation !== undefined)
      return { kind, operationId: parseOperationId(values.operation), attempt } as const
  }
  throw new BackupError(usage, { code: 'usage', kind: 'usage' })
}

async function move({ jobId, attempt, workers }: Extract<Work, { kind: 'move' }>, cancel: Cancel): Promise<number> {
  const request = { jobId, attempt, holder: randomUUID() }
  const workerEntry = siblingEntry(import.meta.url, 'worker')
  const program: MoverProgram = { around, workerEntry, workersMax: workers, writer: writerOf(), log }
  const result = isOnAws
    ? await runAwsMover(request, { settings: parseAwsSettings(process.env), program }, cancel)
    : await runLocalMover(request, { settings: settingsWith(['vcenter', 'repository']), program }, cancel)
  return result.kind === 'sealed' ? 0 : 1
}

async function operate(work: Extract<Work, { kind: 'operate' }>, cancel: Cancel): Promise<number> {
  const { operationId, attempt } = work
  const request = { operationId, attempt, holder: randomUUID() }
  const program = { around, readerEntry: siblingEntry(import.meta.url, 'restore-worker'), log }
  const outcome = isOnAws
    ? await runAwsOperation(request, { settings: parseAwsSettings(process.env), ...program }, cancel)
    : await runLocalOperation(request, { settings: settingsWith(['repository']), ...program }, cancel)
  return outcome?.kind === 'success' || outcome?.kind === 'warning' ? 0 : 1
}

function settingsWith(needs: readonly SettingsNeed[]): Settings {
  return parseSettings({ environment: process.env, file: null, folder: process.cwd() }, needs)
}

/** Aborted when the task is to stop; it then has stopMs to do so. */
function stopSignal(): AbortSignal {
  const stop = new AbortController()
  const stopBy = (reason: string) => {
    log.warn('task.stopping', { reason })
    stop.abort(
      new BackupError(`The task was stopped: ${reason}`, { code: 'interrupted', kind: 'interrupted', retry: 'later' }),
    )
    setTimeout(() => process.exit(130), stopMs).unref()
  }
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stopBy(name))
  if (isChild())
    watchParent(process.stdin).signal.addEventListener('abort', () => stopBy('its parent has ended'), { once: true })
  return stop.signal
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
  log.error('task.ended-badly', error)
  const kind = error instanceof BackupError ? error.kind : isAbort(error) ? 'interrupted' : 'failed'
  if (kind === 'usage') process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = exitCodeOf(kind)
}
// Nothing is left to do: whatever still holds the process open is not waited for.
process.exit()
