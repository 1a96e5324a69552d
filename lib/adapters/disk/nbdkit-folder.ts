// The private folder of one nbdkit: its socket and its TMPDIR. Its name says whose it is, so that what a process that died
// left behind is known and removed by the next, and nothing else is.

import { createHash } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hexOf } from '../../base/bytes.ts'
import { BackupError, messageOf } from '../../base/errors.ts'
import { processStart } from '../../base/process-identity.ts'
import type { Random } from '../../base/random.ts'
import { errnoOf } from './file-errors.ts'

export type NbdkitFolder = AsyncDisposable & {
  readonly socket: string
  readonly temporary: string
}

/** sun_path of unix(7), with its closing zero. */
const SOCKET_BYTES_MAX = 107

/**
 * Makes a folder that only this user may enter. Disposing removes it with all that nbdkit and VDDK left in it.
 * @param options.base default the system's folder for temporary files
 * @throws BackupError `nbdkit-folder`
 */
export async function makeNbdkitFolder(options: {
  readonly random: Random
  readonly base?: string
}): Promise<NbdkitFolder> {
  const base = options.base ?? tmpdir()
  const path = join(base, `${ownPrefix()}${hexOf(options.random.bytes(6))}`)
  const socket = join(path, 'nbd.sock')
  if (Buffer.byteLength(socket) > SOCKET_BYTES_MAX) {
    throw new BackupError(
      `Cannot let nbdkit listen on "${socket}": the path is longer than ${SOCKET_BYTES_MAX} bytes`,
      {
        code: 'nbdkit-folder',
        kind: 'usage',
        hint: 'Set TMPDIR to a folder with a shorter path',
      },
    )
  }
  const temporary = join(path, 'tmp')
  try {
    // Not recursive: a folder that is there already is not ours.
    await mkdir(path, { mode: 0o700 })
    await mkdir(temporary, { mode: 0o700 })
  } catch (cause) {
    throw new BackupError(`Cannot make the folder "${path}" for nbdkit: ${messageOf(cause)}`, {
      code: 'nbdkit-folder',
      hint: 'Check the folder for temporary files (TMPDIR)',
      cause,
    })
  }
  return {
    socket,
    temporary,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  }
}

/**
 * Removes the folders of processes that ended without disposing: this user's, made in this pid namespace by a process that no
 * longer runs. What cannot be judged or removed stays.
 * @returns the names of the folders that were removed
 */
export async function sweepNbdkitFolders(base: string = tmpdir()): Promise<readonly string[]> {
  const removed: string[] = []
  for (const name of await readdir(base).catch(() => [])) {
    const owner = ownerOf(name)
    if (owner === null || owner.space !== pidSpace() || startMark(owner.pid) === owner.start) continue
    const path = join(base, name)
    try {
      const found = await lstat(path)
      if (!found.isDirectory() || found.uid !== process.getuid?.()) continue
      await rm(path, { recursive: true, force: true })
      removed.push(name)
    } catch (error) {
      // Somebody else sweeps, too.
      if (errnoOf(error) === null) throw error
    }
  }
  return removed
}

function ownPrefix(): string {
  return `coldframe-nbdkit-${pidSpace()}-${process.pid}-${startMark(process.pid)}-`
}

function ownerOf(name: string): { readonly space: string; readonly pid: number; readonly start: string } | null {
  const match = /^coldframe-nbdkit-([0-9a-z]+)-(\d+)-([0-9a-f]{8})-[0-9a-f]{12}$/.exec(name)
  const [, space = '', pid = '', start = ''] = match ?? []
  return match === null ? null : { space, pid: Number(pid), start }
}

/** Containers that share a folder for temporary files do not share their pids. */
function pidSpace(): string {
  try {
    return /\[(\d+)\]/.exec(readlinkSync('/proc/self/ns/pid'))?.[1] ?? '0'
  } catch {
    return '0'
  }
}

/** Short, for the path of a socket is. @returns null when no such process runs */
function startMark(pid: number): string | null {
  const start = processStart(pid)
  return start === null ? null : createHash('sha256').update(start).digest('hex').slice(0, 8)
}
