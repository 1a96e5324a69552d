// A raw image file as a DiskTarget: sparse, and under its own name only when it is whole.

import { type FileHandle, link, lstat, open, rename, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { assert, BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { DiskTarget } from '../../ports/disk.ts'
import { errnoOf, targetError } from './file-errors.ts'

export type RawTargetOptions = {
  readonly path: string
  readonly capacityBytes: number
  /** Whether an existing file of this name, and an unfinished one of an earlier run, may be replaced. */
  readonly overwrite: boolean
}

/**
 * Writes `<path>.part` and gives it its name on commit, after it is on stable storage.
 * @throws BackupError `target-exists`, or one of those of targetError()
 */
export async function openRawFileTarget(options: RawTargetOptions, { signal }: Cancel): Promise<DiskTarget> {
  const path = resolve(options.path)
  const partPath = `${path}.part`
  const { capacityBytes, overwrite } = options
  assert(Number.isSafeInteger(capacityBytes) && capacityBytes >= 0, 'a disk has a size')
  signal.throwIfAborted()
  await refuseOther(path)
  if (!overwrite && (await exists(path))) throw existsError(path)
  if (overwrite) await unlinkIfThere(partPath)
  let file: FileHandle
  try {
    file = await open(partPath, 'wx')
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw targetError(`Cannot create "${partPath}"`, { path, cause: error })
    throw new BackupError(`Cannot write "${path}": the unfinished file "${partPath}" is in the way`, {
      code: 'target-exists',
      kind: 'refused',
      hint: 'Another restore may be writing it. If none is, remove it, or ask for overwriting',
      facts: { path, partPath },
      cause: error,
    })
  }
  const target = rawTarget(file, { path, partPath, capacityBytes, overwrite })
  try {
    await file.truncate(capacityBytes)
    signal.throwIfAborted()
    return target
  } catch (error) {
    await target[Symbol.asyncDispose]()
    signal.throwIfAborted()
    throw targetError(`Cannot make "${partPath}" ${capacityBytes} bytes large`, { path, cause: error })
  }
}

type Place = Required<RawTargetOptions> & { readonly partPath: string }

function rawTarget(file: FileHandle, place: Place): DiskTarget {
  const { path, partPath, capacityBytes } = place
  let state: 'open' | 'committing' | 'done' = 'open'
  let closing: Promise<void> | null = null
  return {
    capacityBytes,
    write: async ({ offsetBytes, bytes }, { signal }) => {
      assert(state === 'open' && closing === null, 'a finished target is not written')
      const inside = Number.isSafeInteger(offsetBytes) && offsetBytes >= 0
      assert(inside && offsetBytes + bytes.byteLength <= capacityBytes, 'a range lies inside the disk')
      signal.throwIfAborted()
      for (let done = 0; done < bytes.byteLength; ) {
        const { bytesWritten } = await file
          .write(bytes, done, bytes.byteLength - done, offsetBytes + done)
          .catch((cause: unknown) => {
            throw targetError(`Cannot write ${bytes.byteLength} bytes at ${offsetBytes} of "${path}"`, { path, cause })
          })
        done += bytesWritten
        signal.throwIfAborted()
      }
    },
    commit: async ({ signal }) => {
      assert(state === 'open' && closing === null, 'a target is committed once')
      signal.throwIfAborted()
      state = 'committing'
      try {
        await file.sync()
        await giveName(file, place)
        state = 'done'
        await syncFolder(path)
      } catch (cause) {
        if (cause instanceof BackupError) throw cause
        throw targetError(`Cannot finish "${path}"`, { path, cause })
      }
    },
    [Symbol.asyncDispose]: () => {
      closing ??= state === 'done' ? file.close() : discard(file, partPath)
      return closing
    },
  }
}

/** The name is taken only if it is free (or may be replaced), even when somebody takes it at this moment. */
async function giveName(file: FileHandle, { path, partPath, overwrite }: Place): Promise<void> {
  if (!(await isOurs(file, partPath))) {
    throw new BackupError(`Cannot finish "${path}": somebody replaced "${partPath}" while it was written`, {
      code: 'target-write-failed',
      hint: 'Two restores into one file at the same time cannot both succeed: start again',
      facts: { path, partPath },
    })
  }
  if (overwrite) return rename(partPath, path)
  try {
    await link(partPath, path)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') throw existsError(path)
    // A file system without hard links: the check and the rename are then two steps.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(errnoOf(error) ?? '')) throw error
    if (await exists(path)) throw existsError(path)
    return rename(partPath, path)
  }
  await unlink(partPath)
}

/** Removes our unfinished file, not one that another run put there since. */
async function discard(file: FileHandle, partPath: string): Promise<void> {
  try {
    if (await isOurs(file, partPath)) await unlinkIfThere(partPath)
  } finally {
    await file.close()
  }
}

async function isOurs(file: FileHandle, partPath: string): Promise<boolean> {
  const held = await file.stat({ bigint: true })
  try {
    const named = await lstat(partPath, { bigint: true })
    return named.ino === held.ino && named.dev === held.dev
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Overwriting is for files: a device or a link of this name stays as it is. */
async function refuseOther(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => null)
  if (stats === null || stats.isFile()) return
  throw new BackupError(`Cannot write the disk to "${path}": it is there already, and is not a regular file`, {
    code: 'target-exists',
    kind: 'refused',
    hint: 'Name a file that does not exist',
    facts: { path },
  })
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw targetError(`Cannot look for "${path}"`, { path, cause: error })
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw targetError(`Cannot remove "${path}"`, { path, cause: error })
  }
}

function existsError(path: string): BackupError {
  return new BackupError(`Cannot write "${path}": it exists`, {
    code: 'target-exists',
    kind: 'refused',
    hint: 'Name another file, or ask for overwriting',
    facts: { path },
  })
}
