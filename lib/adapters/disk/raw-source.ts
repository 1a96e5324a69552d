// A raw image file as a DiskSource.

import { type FileHandle, open } from 'node:fs/promises'
import { MiB } from '../../base/bytes.ts'
import { assert, BackupError, messageOf } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { DiskSource } from '../../ports/disk.ts'
import { errnoOf } from './file-errors.ts'

/**
 * @param options.path a regular file, which must not change while it is open
 * @throws BackupError `disk-not-found` or `disk-read-failed`
 */
export async function openRawFileSource({ path }: { readonly path: string }, { signal }: Cancel): Promise<DiskSource> {
  signal.throwIfAborted()
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw readFailed(`Cannot open the disk image "${path}"`, error)
    throw new BackupError(`Cannot open the disk image "${path}": there is no such file`, {
      code: 'disk-not-found',
      kind: 'not-found',
      facts: { path },
      cause: error,
    })
  }
  try {
    const stats = await file.stat()
    if (!stats.isFile()) throw readFailed(`Cannot read "${path}" as a disk image: it is not a regular file`, null)
    return rawSource(file, { path, capacityBytes: stats.size })
  } catch (error) {
    await file.close()
    throw error
  }
}

function rawSource(
  file: FileHandle,
  { path, capacityBytes }: { readonly path: string; readonly capacityBytes: number },
): DiskSource {
  const readBytesMax = 32 * MiB
  let closing: Promise<void> | null = null
  const check = (offsetBytes: number, lengthBytes: number) => {
    assert(closing === null, 'a disposed source is not read')
    const whole = Number.isSafeInteger(offsetBytes) && offsetBytes >= 0 && lengthBytes >= 0
    assert(whole && offsetBytes + lengthBytes <= capacityBytes, 'a range lies inside the disk')
  }
  return {
    access: 'random',
    capacityBytes,
    readBytesMax,
    readsMax: 16,
    read: async ({ offsetBytes, target }, { signal }) => {
      check(offsetBytes, target.byteLength)
      assert(target.byteLength <= readBytesMax, 'a read is no longer than readBytesMax')
      signal.throwIfAborted()
      for (let done = 0; done < target.byteLength; ) {
        const doing = `Cannot read ${target.byteLength - done} bytes at ${offsetBytes + done} of "${path}"`
        const { bytesRead } = await file
          .read(target, done, target.byteLength - done, offsetBytes + done)
          .catch((error: unknown) => {
            throw readFailed(doing, error)
          })
        if (bytesRead === 0) throw readFailed(`${doing}: the file has become shorter`, null)
        done += bytesRead
        signal.throwIfAborted()
      }
    },
    allocation: async ({ offsetBytes, lengthBytes }, { signal }) => {
      check(offsetBytes, lengthBytes)
      signal.throwIfAborted()
      return lengthBytes === 0 ? [] : [{ offsetBytes, lengthBytes, kind: 'data' }]
    },
    [Symbol.asyncDispose]: () => {
      closing ??= file.close()
      return closing
    },
  }
}

function readFailed(doing: string, cause: unknown): BackupError {
  const message = cause === null ? doing : `${doing}: ${messageOf(cause)}`
  const errno = errnoOf(cause)
  return new BackupError(message, {
    code: 'disk-read-failed',
    facts: errno === null ? {} : { errno },
    ...(cause === null ? {} : { cause }),
  })
}
