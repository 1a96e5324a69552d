// What a task does that carries out an operation: takes it, restores or checks, and writes how it ended. A failure that may pass is left to
// another attempt, which goes on after the disks that were finished.

import type { Clock } from '../base/clock.ts'
import { BackupError, messageOf } from '../base/errors.ts'
import { formatBytes } from '../base/text.ts'
import type { Cancel } from '../base/time-limit.ts'
import { nameOfOperation, OPERATION_ATTEMPTS_MAX, type Operation, type OperationTarget } from '../model/operation.ts'
import type { Outcome } from '../model/outcome.ts'
import type { DiskTarget } from '../ports/disk.ts'
import type { Records } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'
import type { PointRef } from '../repository/object-keys.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import type { Repository } from '../repository/repository.ts'
import { verifyPoint } from '../repository/verify.ts'
import { type HoldOperation, holdOperation, type OperationHold, type OperationTimes } from './operation-hold.ts'
import { type RangeReaders, restoreDisk } from './restore-disk.ts'

/** A restore point and what speaks against it; null: nothing. */
export type MeantPoint = { readonly point: StoredPoint; readonly doubt: string | null }

/** Every point of the repository; what cannot be read has no name. */
export type ListedPoints = {
  readonly points: readonly StoredPoint[]
  readonly unreadable: readonly { readonly ref: PointRef }[]
}

type CheckedPoint = { readonly ref: PointRef; readonly title: string }

export type OperationDeps = {
  readonly operations: Records<Operation['id'], Operation>
  readonly repository: Repository
  /** @throws BackupError `point-not-found`, `point-ambiguous`, `point-malformed`, `integrity` */
  readonly findPoint: (text: string, cancel: Cancel) => Promise<MeantPoint>
  readonly listPoints: (cancel: Cancel) => Promise<ListedPoints>
  /** Notes points in the state that are not noted there. @returns how many */
  readonly notePoints: (points: readonly StoredPoint[], cancel: Cancel) => Promise<number>
  /** Refuses what may not be written. @returns the target, and its name for people, the same each time */
  readonly openTarget: (
    file: { readonly target: OperationTarget; readonly name: string; readonly capacityBytes: number },
    cancel: Cancel,
  ) => Promise<{ readonly disk: DiskTarget }>
  /** What openTarget() would call it. @throws BackupError `target-not-allowed` */
  readonly nameOf: (target: OperationTarget, name: string) => string
  readonly readers?: RangeReaders
  readonly clock: Clock
  readonly log: Log
  readonly times: OperationTimes
}

type End = { readonly outcome: Outcome; readonly result: readonly string[] }

/**
 * @returns the end that was written, or null when it is left to another attempt
 * @throws BackupError `operation-over`, `operation-held`, `operation-lost`: then nothing was written
 */
export async function runOperation(
  request: HoldOperation,
  deps: OperationDeps,
  cancel: Cancel,
): Promise<Outcome | null> {
  const log = deps.log.with({ operation: request.operationId, attempt: request.attempt })
  await using hold = await holdOperation(request, { ...deps, log }, cancel)

  let end: End
  try {
    end = await carryOut(hold, deps)
  } catch (error) {
    const reason: unknown = hold.signal.aborted ? hold.signal.reason : error
    log.error('operation.failed', reason)
    if (reason instanceof BackupError && reason.code === 'operation-lost') throw reason
    const outcome = outcomeOf(reason, hold.operation())
    if (mayPass(reason) && request.attempt < OPERATION_ATTEMPTS_MAX) {
      await hold.update((operation) => ({ ...operation, failure: outcome })).catch(() => undefined)
      return null
    }
    end = { outcome, result: hold.operation().result }
  }
  await hold.finish(end)
  log.info('operation.ended', { outcome: end.outcome.kind, code: end.outcome.code })
  return end.outcome
}

/** What is said of an error of the world; broken code is told as little of as can be. */
function outcomeOf(error: unknown, operation: Operation): Outcome {
  const known = error instanceof AggregateError ? error.errors.find((one) => one instanceof BackupError) : error
  if (known instanceof BackupError)
    return { kind: 'failed', code: known.code, message: known.message, hint: known.hint ?? null }
  const message = `${nameOfOperation(operation)} failed: ${messageOf(error)}`
  return { kind: 'failed', code: 'failed', message, hint: 'The log of its task tells more' }
}

/** Told to stop is no failure of the work; broken code may have been struck by chance: attempts bound it. */
function mayPass(error: unknown): boolean {
  const known = error instanceof AggregateError ? error.errors.find((one) => one instanceof BackupError) : error
  if (!(known instanceof BackupError)) return true
  return known.code !== 'cancelled' && (known.retry === 'later' || known.kind === 'interrupted')
}

async function carryOut(hold: OperationHold, deps: OperationDeps): Promise<End> {
  const { request } = hold.operation()
  if (request.kind === 'restore') return restorePoint(request, hold, deps)
  return check(request, hold, deps)
}

type RestoreRequest = Extract<Operation['request'], { kind: 'restore' }>
type CheckRequest = Extract<Operation['request'], { kind: 'verify' }>

async function restorePoint(request: RestoreRequest, hold: OperationHold, deps: OperationDeps): Promise<End> {
  const cancel = { signal: hold.signal }
  const { point, doubt } = await meantPoint(request.point, hold, deps)
  const { body, envelope } = point
  const disks = chosenDisks(point, request.disks)
  const folder = `${fileNameOf(body.vmName)}-${envelope.sequence}-${hold.operation().id.slice(0, 12)}`
  const files = disks.map(({ key, capacityBytes }) => {
    const name = `${folder}/disk-${key}.raw`
    const label = body.disks.find((disk) => disk.key === key)?.label ?? `disk ${key}`
    return { key, capacityBytes, name, label, place: deps.nameOf(request.target, name) }
  })
  const done = new Map<number, number>()
  const tell = () =>
    hold.report(
      files.map(({ key, label, capacityBytes }) => ({
        label,
        totalBytes: capacityBytes,
        doneBytes: done.get(key) ?? 0,
      })),
    )
  for (const file of files) {
    const { key, name, capacityBytes, place } = file
    const onProgress = (doneBytes: number) => {
      done.set(key, doneBytes)
      tell()
    }
    if (!hold.operation().result.includes(place)) {
      await using disk = (await deps.openTarget({ target: request.target, name, capacityBytes }, cancel)).disk

      await restoreDisk({ ...deps, point, diskKey: key, target: disk, onProgress }, cancel)
      await hold.update((operation) => ({ ...operation, result: [...operation.result, place] }))
    }
    onProgress(capacityBytes)
  }
  const title = `${body.vmName}@${envelope.sequence}`
  const bytes = formatBytes(files.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0))
  const message = `${files.length === 1 ? '1 disk' : `${files.length} disks`} of "${title}" restored, ${bytes}`
  const outcome: Outcome =
    doubt === null
      ? { kind: 'success', code: 'ok', message, hint: null }
      : {
          kind: 'warning',
          code: 'point-unproven',
          message: `${message}; it ${doubt}`,
          hint: 'Prefer another point if there is one',
        }
  return { outcome, result: hold.operation().result }
}

/** The first task that looks decides which point is meant: "latest" does not move between attempts. */
async function meantPoint(text: string, hold: OperationHold, deps: OperationDeps): Promise<MeantPoint> {
  const known = hold.operation().point
  const meant = await deps.findPoint(known?.pointId ?? text, { signal: hold.signal })
  const { vmId, sequence, pointId } = meant.point.envelope
  if (known === null) await hold.update((operation) => ({ ...operation, point: { vmId, sequence, pointId } }))
  return meant
}

function chosenDisks({ envelope }: StoredPoint, keys: readonly number[] | null): StoredPoint['envelope']['disks'] {
  const wanted = new Set(keys ?? envelope.disks.map(({ key }) => key))
  const chosen = envelope.disks.filter(({ key }) => wanted.has(key))
  if (chosen.length === wanted.size && chosen.length > 0) return chosen
  const missing = [...wanted].filter((key) => !envelope.disks.some((disk) => disk.key === key))
  throw new BackupError(`Cannot restore disk ${missing.join(', ')}: the restore point has no such disk`, {
    code: 'disk-not-found',
    kind: 'not-found',
    hint: `It has the disks ${envelope.disks.map(({ key }) => key).join(', ')}`,
  })
}

/** A VM's name as part of an object's key or a folder's name: nothing that leads elsewhere, hides, or must be escaped. */
function fileNameOf(vmName: string): string {
  const plain = vmName.replaceAll(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+/, '_')
  return plain === '' ? 'vm' : plain.slice(0, 80)
}

async function check({ point, deep }: CheckRequest, hold: OperationHold, deps: OperationDeps): Promise<End> {
  const cancel = { signal: hold.signal }
  const targets =
    point === null ? await everyPoint(deps, cancel) : [checkedOf((await meantPoint(point, hold, deps)).point)]
  const lines: string[] = []
  let damaged = 0
  for (const { ref, title } of targets) {
    const report = await verifyPoint(
      {
        repository: deps.repository,
        ref,
        level: deep ? 'chunks' : 'pages',
        onProgress: ({ diskKey, doneBytes, totalBytes }) =>
          hold.report([{ label: `${title}, disk ${diskKey}`, doneBytes, totalBytes }]),
      },
      cancel,
    )
    if (report.faultCount > 0) damaged++
    lines.push(...linesOf(title, report))
  }
  const count = targets.length === 1 ? '1 restore point' : `${targets.length} restore points`
  const outcome: Outcome =
    damaged === 0
      ? { kind: 'success', code: 'ok', message: `${count} checked, nothing is damaged`, hint: null }
      : {
          kind: 'failed',
          code: 'integrity',
          message: `${damaged} of ${count} ${damaged === 1 ? 'is' : 'are'} damaged`,
          hint: 'Look at the storage that holds the repository; what is not named as lost can still be restored',
        }
  // What is damaged comes first: the list is cut.
  return { outcome, result: lines.toSorted((a, b) => Number(b.includes('DAMAGED')) - Number(a.includes('DAMAGED'))) }
}

/** Also what cannot be read is checked: that it is damaged is what the check is to say. */
async function everyPoint(deps: OperationDeps, cancel: Cancel): Promise<readonly CheckedPoint[]> {
  const { points, unreadable } = await deps.listPoints(cancel)
  await noteMissing(points, deps, cancel)
  const damaged = unreadable.map(({ ref }) => ({ ref, title: `${ref.vmId}@${ref.sequence}` }))
  return [...points.map(checkedOf), ...damaged]
}

/** Whoever sees every point can mend the list of them; a list that cannot be mended keeps no check from its work. */
async function noteMissing(
  points: readonly StoredPoint[],
  { notePoints, log }: OperationDeps,
  cancel: Cancel,
): Promise<void> {
  try {
    log.info('points.noted', { count: await notePoints(points, cancel) })
  } catch (error) {
    cancel.signal.throwIfAborted()
    log.warn('points.not-noted', { reason: messageOf(error) })
  }
}

function checkedOf({ envelope, body }: StoredPoint): CheckedPoint {
  const ref = { vmId: envelope.vmId, sequence: envelope.sequence }
  return { ref, title: `${body.vmName}@${envelope.sequence}` }
}

const FAULTS_TOLD_MAX = 10

function linesOf(title: string, report: Awaited<ReturnType<typeof verifyPoint>>): readonly string[] {
  if (report.faultCount === 0) return [`${title}: whole, ${report.chunks} chunks, ${formatBytes(report.plainBytes)}`]
  const told = report.faults
    .slice(0, FAULTS_TOLD_MAX)
    .map(({ place, message }) => `${title}: DAMAGED: ${place}: ${message}`)
  const more = report.faultCount - told.length
  return more > 0 ? [...told, `${title}: DAMAGED: and ${more} more faults`] : told
}
