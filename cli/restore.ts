// coldframe restore: writes disks of a restore point as raw sparse files, every chunk verified before it is written.

import { lstat, mkdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { openRawFileTarget } from '../lib/adapters/disk/raw-target.ts'
import { BackupError, quote } from '../lib/base/errors.ts'
import { formatBytes, formatDuration } from '../lib/base/text.ts'
import { findPoint } from '../lib/operate/find-point.ts'
import { proofOfPoint, readKnownPoints } from '../lib/operate/known-points.ts'
import { doubtWords, isProven, type PointProof } from '../lib/operate/point-proof.ts'
import type { StoredPoint } from '../lib/repository/point-object.ts'
import type { Repository } from '../lib/repository/repository.ts'
import { type RangeReaders, restoreDisk } from '../lib/restore/restore-disk.ts'
import { parseRestoreTarget } from '../lib/wire/restore-targets.ts'
import { type Answer, faultOf } from './answer.ts'
import { openRepository, restoreReaders } from './context.ts'
import { engineOf } from './open-engine.ts'
import { answerOfOperation } from './operation-answer.ts'
import { openProgress, type Progress } from './progress.ts'
import { readSettings } from './settings.ts'
import { printable } from './terminal.ts'
import type { World } from './world.ts'

export type RestoreOptions = {
  readonly point: string
  /** Device keys; empty: every disk of the point. */
  readonly disk: readonly number[]
  readonly to: string
  readonly overwrite: boolean
}

type WantedFile = {
  readonly key: number
  readonly label: string
  readonly capacityBytes: number
  readonly path: string
}

type RestoredFile = Omit<WantedFile, 'label'> & {
  /** Bytes that are not holes. */
  readonly writtenBytes: number
  readonly elapsedMs: number
}

export async function restore(options: RestoreOptions, world: World): Promise<Answer> {
  if (/^s3:/.test(options.to)) return restoreByTask(options, world)
  const settings = await readSettings(world, ['repository'])
  const repository = await openRepository(settings, world)
  const known = await readKnownPoints(repository, world)
  const point = findPoint(options.point, known)
  const proof = proofOfPoint(point, known)
  const files = await placeFiles(point, options, world.folder)
  if (!options.overwrite) await refuseExisting(files)
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  const { envelope, body } = point
  progress.say(
    `Restoring ${body.vmName}@${envelope.sequence} of ${envelope.capturedAt}, ${body.grade.reached}-consistent`,
  )
  const warning = isProven(proof) ? null : `${body.vmName}@${envelope.sequence} ${doubtWords(proof)}`
  if (warning !== null) progress.say(`WARNING: ${warning}`)
  const readers = restoreReaders(settings)
  const written: RestoredFile[] = []
  const faults: { readonly key: number; readonly error: BackupError }[] = []
  for (const file of files) {
    try {
      written.push(
        await restoreFile({ repository, readers, point, file, overwrite: options.overwrite, progress }, world),
      )
    } catch (error) {
      // Broken code and a cancel end the command; a disk that cannot be restored does not keep the others back.
      world.signal.throwIfAborted()
      if (!(error instanceof BackupError) && !(error instanceof AggregateError)) throw error
      faults.push({ key: file.key, error: faultOf(error) })
    }
  }
  const vm = body.vmName
  const described = {
    id: envelope.pointId,
    vm,
    vmId: envelope.vmId,
    sequence: envelope.sequence,
    grade: body.grade.reached,
    proven: isProven(proof),
    proof,
  }
  return {
    data: {
      point: described,
      files: written,
      failed: faults.map(({ key, error }) => ({ key, code: error.code, message: error.message })),
    },
    text: [...written.map(lineOf), ...(warning === null ? [] : [`${printable(`WARNING: ${warning}`)}\n`])].join(''),
    fault: worstOf(faults, files.length) ?? unreadFault(proof),
  }
}

/** Into a bucket a task restores, beside which this command only looks on. */
async function restoreByTask({ point, disk, to }: RestoreOptions, world: World): Promise<Answer> {
  const target = parseRestoreTarget(to)
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  const request = { kind: 'restore', point, disks: disk.length === 0 ? null : disk, target } as const
  return answerOfOperation(await engineOf(world).operate({ request, key: null }, progress))
}

type Restoring = {
  readonly repository: Repository
  readonly readers: RangeReaders
  readonly point: StoredPoint
  readonly file: WantedFile
  readonly overwrite: boolean
  readonly progress: Progress
}

async function restoreFile(restoring: Restoring, world: World): Promise<RestoredFile> {
  const { repository, readers, point, file, overwrite, progress } = restoring
  const { key, path, capacityBytes } = file
  const startMs = world.clock.monotonicMs()
  await using target = await openRawFileTarget({ path, capacityBytes, overwrite }, world)

  const title = `${point.body.vmName}, ${file.label}`
  const onProgress = (doneBytes: number) =>
    progress.show({ id: String(key), title, doneBytes, totalBytes: capacityBytes, note: '' })
  const { writtenBytes } = await restoreDisk({ repository, readers, point, diskKey: key, target, onProgress }, world)
  return { key, path, capacityBytes, writtenBytes, elapsedMs: Math.round(world.clock.monotonicMs() - startMs) }
}

/** Where each wanted disk goes; makes the folder that the operator named. */
async function placeFiles(
  point: StoredPoint,
  options: RestoreOptions,
  workingFolder: string,
): Promise<readonly WantedFile[]> {
  const disks = chooseDisks(point, options.disk)
  const { body, envelope } = point
  const path = resolve(workingFolder, options.to)
  const isFolder = /[/\\]$/.test(options.to) || disks.length > 1 || (await isExistingFolder(path))
  if (isFolder) await makeFolder(path)
  const stem = `${fileNameOf(body.vmName)}-${envelope.sequence}`
  return disks.map(({ key, capacityBytes }) => ({
    key,
    label: body.disks.find((disk) => disk.key === key)?.label ?? `disk ${key}`,
    capacityBytes,
    path: isFolder ? join(path, `${stem}-disk${key}.raw`) : path,
  }))
}

function chooseDisks({ envelope, body }: StoredPoint, keys: readonly number[]): StoredPoint['envelope']['disks'] {
  if (keys.length === 0) {
    if (envelope.disks.length > 0) return envelope.disks
    throw new BackupError(`Restore point ${quote(envelope.pointId)} has no disks`, {
      code: 'disk-not-found',
      kind: 'not-found',
    })
  }
  return [...new Set(keys)].map((key) => {
    const disk = envelope.disks.find((one) => one.key === key)
    if (disk !== undefined) return disk
    const listed = body.disks.map((one) => `${one.key} (${one.label})`).join(', ')
    throw new BackupError(`Cannot restore disk "${key}": restore point ${quote(envelope.pointId)} has no such disk`, {
      code: 'disk-not-found',
      kind: 'not-found',
      hint: `It has the disks ${listed}`,
      facts: { diskKey: key, point: envelope.pointId },
    })
  })
}

/** A VM's name as part of a file's: nothing that leads elsewhere or hides the file. */
export function fileNameOf(vmName: string): string {
  const plain = printable(vmName)
    .replaceAll(/[/\\:*?"<>|]/g, '_')
    .replace(/^\.+/, '_')
  return plain === '' ? 'vm' : plain.slice(0, 100)
}

async function isExistingFolder(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => null)
  return stats?.isDirectory() ?? false
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
  } catch (error) {
    throw new BackupError(`Cannot make the folder "${path}"`, {
      code: 'target-refused',
      kind: 'refused',
      hint: 'Several disks, or a path that ends in "/", need a folder: name one that this account may make or write',
      facts: { path },
      cause: error,
    })
  }
}

/** Before anything is read: a restore of hours must not end at the second disk's file. */
async function refuseExisting(files: readonly WantedFile[]): Promise<void> {
  for (const { path } of files) {
    if ((await lstat(path).catch(() => null)) === null) continue
    throw new BackupError(`Cannot write "${path}": it exists`, {
      code: 'target-exists',
      kind: 'refused',
      hint: `Name another file or folder, remove what lies in "${dirname(path)}", or add --overwrite`,
      facts: { path },
    })
  }
}

function lineOf({ key, path, capacityBytes, writtenBytes, elapsedMs }: RestoredFile): string {
  const size = `${formatBytes(capacityBytes)}, ${formatBytes(writtenBytes)} of it data`
  return `${printable(`disk ${key}: ${path} (${size}, ${formatDuration(elapsedMs)})`)}\n`
}

/** The bytes are those of the point; whether they are those of the VM is not known. */
function unreadFault({ state, reason }: PointProof): BackupError | null {
  if (state !== 'unknown') return null
  return new BackupError(
    `The disks were restored, and what is said about the restore point cannot be read: ${reason}`,
    {
      code: 'integrity',
      kind: 'integrity',
      hint: 'It may be marked as unproven: prefer another point; "coldframe points" tells them apart',
    },
  )
}

/** Damage is worse than a target that cannot be written. */
function worstOf(
  faults: readonly { readonly key: number; readonly error: BackupError }[],
  wanted: number,
): BackupError | null {
  const worst = faults.find(({ error }) => error.kind === 'integrity') ?? faults[0]
  if (worst === undefined) return null
  const { error } = worst
  if (wanted === 1) return error
  return new BackupError(`${faults.length} of ${wanted} disks were not restored; disk ${worst.key}: ${error.message}`, {
    code: error.code,
    kind: error.kind,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    facts: { ...error.facts, faults: faults.map((fault) => `disk ${fault.key}: ${fault.error.message}`) },
    cause: error,
  })
}
