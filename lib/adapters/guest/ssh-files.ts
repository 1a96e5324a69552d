// Carries files over SFTP: whole, in blocks of which several are on their way at once.

import type { SFTPWrapper } from 'ssh2'
import { forEachBounded } from '../../base/concurrency.ts'
import { type BackupError, messageOf } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { fileRefused, pathMissing, tooLarge } from './guest-path.ts'

/** How files are carried; each call names whole files, and nothing is renamed or checked here. */
export type FileDoor = {
  /** Makes or empties the file. A mode of null leaves its rights to its directory. */
  write(
    file: { readonly path: string; readonly bytes: Uint8Array; readonly mode: number | null },
    cancel: Cancel,
  ): Promise<void>
  read(file: { readonly path: string; readonly bytesMax: number }, cancel: Cancel): Promise<Uint8Array>
}

/** What OpenSSH carries in one packet without being asked for its limits. */
const BLOCK_BYTES = 32 * 1024
const BLOCKS_MAX = 64
const NO_SUCH_FILE = 2

/** @param toServer how the server writes a path of the guest */
export function sftpFiles(sftp: SFTPWrapper, toServer: (path: string) => string): FileDoor {
  return {
    write: async ({ path, bytes, mode }, { signal }) => {
      await using file = await openFile(sftp, { path, name: toServer(path), flags: 'w', mode })

      await forEachBounded(
        blocksOf(bytes.byteLength),
        ({ start, end }) =>
          answer(path, (done) =>
            sftp.write(file.handle, Buffer.from(bytes.subarray(start, end)), 0, end - start, start, done),
          ),
        { runningMax: BLOCKS_MAX, signal },
      )
      // The mode given when a file is opened counts only for new ones, and less the umask.
      if (mode !== null) await answer(path, (done) => sftp.fchmod(file.handle, mode, done))
    },
    read: async ({ path, bytesMax }, { signal }) => {
      await using file = await openFile(sftp, { path, name: toServer(path), flags: 'r', mode: null })

      const size = await sizeOf(sftp, { path, handle: file.handle })
      if (size > bytesMax) throw tooLarge(path, bytesMax)
      const bytes = Buffer.alloc(size)
      await forEachBounded(
        blocksOf(size),
        async ({ start, end }) => {
          for (let at = start; at < end; ) {
            const count = await readInto(sftp, { path, handle: file.handle, target: bytes.subarray(at, end), at })
            if (count === 0) throw fileRefused(path, 'it became shorter while it was read')
            at += count
          }
        },
        { runningMax: BLOCKS_MAX, signal },
      )
      return await withRest(bytes, { path, bytesMax, signal, sftp, handle: file.handle })
    },
  }
}

/** Files of /proc say they are empty, and a file may have grown. */
async function withRest(
  bytes: Buffer,
  options: Cancel & {
    readonly path: string
    readonly bytesMax: number
    readonly sftp: SFTPWrapper
    readonly handle: Buffer
  },
): Promise<Uint8Array> {
  const { path, bytesMax, signal, sftp, handle } = options
  const parts: Buffer[] = [bytes]
  for (let length = bytes.length; ; ) {
    signal.throwIfAborted()
    const block = Buffer.alloc(BLOCK_BYTES)
    const count = await readInto(sftp, { path, handle, target: block, at: length })
    if (count === 0) return Buffer.concat(parts)
    length += count
    if (length > bytesMax) throw tooLarge(path, bytesMax)
    parts.push(block.subarray(0, count))
  }
}

async function openFile(
  sftp: SFTPWrapper,
  file: { readonly path: string; readonly name: string; readonly flags: 'r' | 'w'; readonly mode: number | null },
): Promise<AsyncDisposable & { readonly handle: Buffer }> {
  const handle = await new Promise<Buffer>((resolve, reject) => {
    sftp.open(file.name, file.flags, file.mode === null ? {} : { mode: file.mode }, (error, opened) =>
      error === undefined ? resolve(opened) : reject(translate(file.path, error)),
    )
  })
  return { handle, [Symbol.asyncDispose]: () => new Promise((resolve) => sftp.close(handle, () => resolve())) }
}

function sizeOf(
  sftp: SFTPWrapper,
  { path, handle }: { readonly path: string; readonly handle: Buffer },
): Promise<number> {
  return new Promise((resolve, reject) => {
    sftp.fstat(handle, (error, stats) => {
      if (error !== undefined && error !== null) reject(translate(path, error))
      else if (stats.isDirectory()) reject(fileRefused(path, 'it is a directory'))
      else resolve(stats.size)
    })
  })
}

/** @returns 0 at the end of the file */
function readInto(
  sftp: SFTPWrapper,
  from: { readonly path: string; readonly handle: Buffer; readonly target: Buffer; readonly at: number },
): Promise<number> {
  const { path, handle, target, at } = from
  return new Promise((resolve, reject) => {
    sftp.read(handle, target, 0, target.length, at, (error, count) =>
      error === undefined || error === null
        ? resolve(count)
        : isEnd(error)
          ? resolve(0)
          : reject(translate(path, error)),
    )
  })
}

function isEnd(error: Error): boolean {
  return 'code' in error && error.code === 1
}

function answer(path: string, call: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error === undefined || error === null ? resolve() : reject(translate(path, error))))
  })
}

function translate(path: string, error: Error): BackupError {
  const code = 'code' in error ? error.code : null
  return code === NO_SUCH_FILE ? pathMissing(path, error) : fileRefused(path, messageOf(error))
}

function blocksOf(size: number): { readonly start: number; readonly end: number }[] {
  return Array.from({ length: Math.ceil(size / BLOCK_BYTES) }, (_, index) => ({
    start: index * BLOCK_BYTES,
    end: Math.min(size, (index + 1) * BLOCK_BYTES),
  }))
}
