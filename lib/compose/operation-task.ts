// The task of an operation: what runOperation() acts through, built from a repository and the records of state.

import { mkdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { openRawFileTarget } from '../adapters/disk/raw-target.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { OperationTarget } from '../model/operation.ts'
import { pointEntryFrom } from '../model/point-entry.ts'
import { findPoint } from '../operate/find-point.ts'
import { proofOfPoint, readKnownPoints } from '../operate/known-points.ts'
import { doubtWords, isProven } from '../operate/point-proof.ts'
import type { DiskTarget } from '../ports/disk.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import type { Repository } from '../repository/repository.ts'
import { OPERATION_TIMES, type OperationTimes } from '../restore/operation-hold.ts'
import type { RangeReaders } from '../restore/restore-disk.ts'
import type { MeantPoint, OperationDeps } from '../restore/run-operation.ts'
import type { RepositoryPlace } from '../wire/repository-place.ts'
import { parseAllowedTargets, refuseOtherTargets, refuseRepository, targetText } from '../wire/restore-targets.ts'
import { type BucketImage, bucketImages } from './bucket-image.ts'
import { threadReaders } from './restore-threads.ts'
import type { Surroundings } from './vsphere-settings.ts'

export type OperationTask = {
  readonly jobStore: Pick<JobStore, 'operations' | 'points'>
  readonly repository: Repository
  /** Where the repository lies: nothing is written there. */
  readonly place: RepositoryPlace
  /** Below these alone anything is written. */
  readonly targets: readonly OperationTarget[]
  readonly openBucketImage: (image: BucketImage, cancel: Cancel) => Promise<DiskTarget>
  readonly readers?: RangeReaders
  readonly around: Pick<Surroundings, 'clock'>
  readonly log: Log
  readonly times?: OperationTimes
}

/** Of a program of its own: into buckets and folders that its environment allows, read in threads that its entry starts. */
export function programOperationDeps(
  program: Pick<OperationTask, 'jobStore' | 'repository' | 'place' | 'log'> & {
    readonly around: Surroundings
    readonly readerEntry: URL
  },
): OperationDeps {
  const { readerEntry, ...task } = program
  const { around, place } = task
  return operationDeps({
    ...task,
    targets: parseAllowedTargets(around.environment['COLDFRAME_RESTORE_TARGETS']),
    openBucketImage: bucketImages(around),
    readers: threadReaders(readerEntry, { store: place, count: Math.min(4, availableParallelism()) }),
  })
}

export function operationDeps(task: OperationTask): OperationDeps {
  const { repository, jobStore, around, log, readers, times } = task
  const refuse = (target: OperationTarget): void => {
    refuseOtherTargets(target, task.targets)
    refuseRepository(target, task.place)
  }
  return {
    operations: jobStore.operations,
    repository,
    findPoint: (text, cancel) => meantPoint(text, repository, cancel),
    listPoints: (cancel) => readKnownPoints(repository, cancel),
    notePoints: (points, cancel) => notePoints(points, jobStore, cancel),
    nameOf: (target, name) => {
      refuse(target)
      return `${targetText(target)}${name}`
    },
    openTarget: async ({ target, name, capacityBytes }, cancel) => {
      refuse(target)
      if (target.kind === 'bucket') {
        const key = `${target.prefix}${name}`
        return { disk: await task.openBucketImage({ bucket: target.bucket, key, capacityBytes }, cancel) }
      }
      const path = join(target.folder, name)
      await makeFolder(dirname(path))
      // The folder is this operation's own: what lies in it is of an attempt that ended half-way.
      return { disk: await openRawFileTarget({ path, capacityBytes, overwrite: true }, cancel) }
    },
    ...(readers === undefined ? {} : { readers }),
    clock: around.clock,
    log,
    times: times ?? OPERATION_TIMES,
  }
}

async function meantPoint(text: string, repository: Repository, cancel: Cancel): Promise<MeantPoint> {
  const known = await readKnownPoints(repository, cancel)
  const point = findPoint(text, known)
  const proof = proofOfPoint(point, known)
  return { point, doubt: isProven(proof) ? null : doubtWords(proof) }
}

/** What is noted already stays as it is. */
async function notePoints(
  points: readonly StoredPoint[],
  jobStore: OperationTask['jobStore'],
  cancel: Cancel,
): Promise<number> {
  let noted = 0
  for (const entry of points.map(pointEntryFrom))
    if ((await jobStore.points.create(entry.pointId, entry, cancel)) === 'created') noted++
  return noted
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new BackupError(`Cannot make the folder "${path}"`, {
      code: 'target-refused',
      kind: 'refused',
      hint: 'Name a folder that the task may make or write',
      facts: { path },
      cause: error,
    })
  }
}
