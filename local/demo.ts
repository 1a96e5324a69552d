// npm start: a simulated vCenter, two backups of all its VMs with guests that go on writing and are frozen by real scripts, every
// disk of every point restored and compared with what the simulator froze. Exit code 0 only if not a single byte differs.

import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { MiB } from '../lib/base/bytes.ts'
import { messageOf } from '../lib/base/errors.ts'
import { formatBytes, formatDuration } from '../lib/base/text.ts'
import type { Cancel } from '../lib/base/time-limit.ts'
import { programPath } from '../lib/compose/programs.ts'
import {
  type BackupDocument,
  type PointsDocument,
  parseBackupDocument,
  parsePointsDocument,
  parseRestoreDocument,
  parseScriptDocument,
} from '../lib/wire/documents.ts'
import type { FrozenSnapshots } from '../lib/wire/simulator.ts'
import { runColdframe } from './coldframe.ts'
import { digestOf } from './compare.ts'
import { GUEST_SECRET, guestPlace, policyText, storeScripts } from './demo-guests.ts'
import { openSimulator, type Simulator } from './simulator.ts'
import { formatTable } from './table.ts'

/** How much each running guest writes between the two backups, besides what it always writes. */
const BURST_BYTES = 6 * MiB

type Point = PointsDocument['points'][number]

type Row = {
  readonly vm: string
  readonly disk: string
  readonly point: string
  readonly mode: string
  readonly readBytes: number
  readonly storedBytes: number
  readonly capacityBytes: number
  readonly elapsedMs: number
  readonly grade: string
  /** Null where no script held the guest. */
  readonly freezeMs: number | null
  readonly thawedBy: string | null
  readonly verified: boolean
}

type Demo = {
  readonly folder: string
  readonly quiet: boolean
  readonly environment: Readonly<Record<string, string>>
  readonly simulator: Simulator
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    folder: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write('Usage: npm start [-- --json] [-- --folder DIR]\n')
  process.exit(0)
}
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error(`Ended by ${name}`)))
process.exitCode = await main({ signal: stop.signal }).catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`)
  if (values.json)
    process.stdout.write(
      `${JSON.stringify({ v: 1, ok: false, error: { code: 'demo-failed', message: messageOf(error), hint: null, facts: {} } })}\n`,
    )
  return stop.signal.aborted ? 130 : 1
})

async function main(cancel: Cancel): Promise<number> {
  const startedMs = performance.now()
  const folder = await freshFolder(values.folder ?? '.coldframe-demo')
  say(`Starting a simulated vCenter with five VMs, three of them with a guest inside`)
  await using guests = await guestPlace()
  await using simulator = await openSimulator(
    {
      program: programPath('sim'),
      args: [
        ...['--estate', 'demo', '--directory', join(folder, 'simulator')],
        ...['--guest-write-every-ms', '50', '--guest-programs', guests.folder],
      ],
    },
    cancel,
  )

  const demo: Demo = { folder, quiet: values.json, environment: environmentOf(folder, simulator), simulator }
  await writeFile(join(folder, 'policy.yaml'), policyText(await prepareScripts(demo, cancel)))
  const backups: BackupDocument[] = []
  say('First backup: everything is read')
  backups.push(await backUp(demo, cancel))
  say(`Guests write, ${formatBytes(BURST_BYTES)} each`)
  await simulator.letGuestsWrite(BURST_BYTES, cancel)
  say('Second backup: only changed blocks are read')
  backups.push(await backUp(demo, cancel))
  say('Restoring every disk of both points, and comparing with what was frozen')
  const rows = await restoreAll(demo, backups, cancel)
  const elapsedMs = Math.round(performance.now() - startedMs)
  const ok = rows.length > 0 && rows.every((row) => row.verified)
  if (values.json) printJson({ ok, rows, folder, elapsedMs })
  else printTable({ ok, rows, folder, elapsedMs })
  return ok ? 0 : 5
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** The demo's own folder, emptied; a folder that the demo did not make is refused. */
async function freshFolder(name: string): Promise<string> {
  const folder = resolve(name)
  const mark = join(folder, '.demo')
  if (existsSync(folder) && !existsSync(mark))
    throw new Error(`Cannot use "${folder}": it exists and is not the demo's own; name another with --folder`)
  await rm(folder, { recursive: true, force: true })
  await mkdir(join(folder, 'simulator'), { recursive: true })
  await writeFile(mark, 'Made by npm start, emptied by the next\n')
  return folder
}

function environmentOf(folder: string, { started }: Simulator): Readonly<Record<string, string>> {
  return {
    COLDFRAME_VCENTER: started.sdkUrl,
    COLDFRAME_VCENTER_USER: started.user,
    COLDFRAME_VCENTER_PASSWORD: started.password,
    COLDFRAME_VCENTER_THUMBPRINT: started.thumbprintSha256,
    COLDFRAME_HOME: join(folder, 'home'),
    COLDFRAME_REPOSITORY: `file:${join(folder, 'repository')}`,
    COLDFRAME_PASSPHRASE: 'a passphrase for the demo only',
    COLDFRAME_SECRET_DEMO_GUESTS: GUEST_SECRET,
  }
}

async function coldframe(demo: Demo, args: readonly string[], cancel: Cancel): Promise<string> {
  const { environment, quiet } = demo
  return runColdframe({ program: programPath('cli'), args, environment, quiet }, cancel)
}

function prepareScripts(demo: Demo, cancel: Cancel) {
  say('Storing two scripts that freeze and thaw the guests')
  return storeScripts(demo.folder, async (file) =>
    parseScriptDocument(await coldframe({ ...demo, quiet: true }, ['script', file], cancel)),
  )
}

async function backUp(demo: Demo, cancel: Cancel): Promise<BackupDocument> {
  return parseBackupDocument(await coldframe(demo, ['backup', '--policy', join(demo.folder, 'policy.yaml')], cancel))
}

async function restoreAll(demo: Demo, backups: readonly BackupDocument[], cancel: Cancel): Promise<readonly Row[]> {
  const { points } = parsePointsDocument(await coldframe({ ...demo, quiet: true }, ['points'], cancel))
  const frozen = await demo.simulator.frozen(cancel)
  const rows: Row[] = []
  for (const backup of backups) {
    for (const job of backup.jobs) {
      const point = points.find((each) => each.id === job.pointId)
      if (point === undefined) throw new Error(`VM "${job.vm.name}" has no restore point: ${job.outcome.message}`)
      const elapsedMs = Date.parse(job.times.doneAt ?? '') - Date.parse(job.times.startedAt ?? '')
      rows.push(...(await restorePoint({ point, elapsedMs, frozen }, demo, cancel)))
    }
  }
  return rows
}

async function restorePoint(
  found: { readonly point: Point; readonly elapsedMs: number; readonly frozen: FrozenSnapshots },
  demo: Demo,
  cancel: Cancel,
): Promise<readonly Row[]> {
  const { point, elapsedMs } = found
  const target = join(demo.folder, 'restored', `${point.vm}-${point.sequence}`)
  await mkdir(target, { recursive: true })
  const { files } = parseRestoreDocument(
    await coldframe({ ...demo, quiet: true }, ['restore', point.id, '--to', `${target}/`], cancel),
  )
  const snapshot = found.frozen.find((each) => each.vm === point.vm && each.snapshot === point.snapshotName)
  const rows: Row[] = []
  for (const disk of point.disks) {
    const path = files.find((file) => file.key === disk.key)?.path
    const expected = snapshot?.disks.find((each) => each.deviceKey === disk.key)?.sha256
    const verified = path !== undefined && expected !== undefined && (await digestOf(path, cancel)) === expected
    const { label, readMode: mode, readBytes, newStoredBytes: storedBytes, capacityBytes } = disk
    rows.push({
      vm: point.vm,
      disk: label,
      point: `${point.vm}@${point.sequence}`,
      mode,
      readBytes,
      storedBytes,
      capacityBytes,
      elapsedMs,
      grade: point.grade,
      freezeMs: point.consistency.freezeMs === 0 ? null : point.consistency.freezeMs,
      thawedBy: point.consistency.proof?.thawedBy ?? null,
      verified,
    })
    say(`  ${point.vm}@${point.sequence} ${label}: ${verified ? 'verified' : 'DIFFERENT'}`)
  }
  return rows
}

type Result = {
  readonly ok: boolean
  readonly rows: readonly Row[]
  readonly folder: string
  readonly elapsedMs: number
}

function printJson({ ok, rows, folder, elapsedMs }: Result): void {
  const data = { verified: ok, disks: rows, folder, elapsedMs }
  const error = { code: 'bytes-differ', message: 'A restored disk differs from what was frozen', hint: null, facts: {} }
  process.stdout.write(`${JSON.stringify(ok ? { v: 1, ok, data } : { v: 1, ok, error, data })}\n`)
}

function printTable({ ok, rows, folder, elapsedMs }: Result): void {
  const left = (title: string) => ({ title, align: 'left' as const })
  const right = (title: string) => ({ title, align: 'right' as const })
  const columns = [
    left('VM'),
    left('disk'),
    left('read'),
    right('size'),
    right('bytes read'),
    right('stored'),
    right('ratio'),
    right('VM time'),
    left('grade'),
    right('frozen'),
    left('restored'),
  ]
  const table = formatTable(
    columns,
    rows.map((row) => [
      row.point,
      row.disk,
      row.mode,
      formatBytes(row.capacityBytes),
      formatBytes(row.readBytes),
      formatBytes(row.storedBytes),
      row.readBytes === 0 ? '–' : (row.storedBytes / row.readBytes).toFixed(2),
      formatDuration(row.elapsedMs),
      row.grade,
      row.freezeMs === null ? '–' : formatDuration(row.freezeMs),
      row.verified ? 'verified' : 'DIFFERENT',
    ]),
  )
  const here = relative(process.cwd(), folder) || '.'
  const verdict = ok
    ? `All ${rows.length} restored disks are what was frozen, byte for byte`
    : 'A RESTORED DISK DIFFERS from what was frozen'
  process.stdout.write(`\n${table}\n\n${verdict} (${formatDuration(elapsedMs)}).\n`)
  process.stdout.write(
    `Repository: ${here}/repository   state and logs: ${here}/home   restored disks: ${here}/restored   policy: ${here}/policy.yaml\n`,
  )
}
