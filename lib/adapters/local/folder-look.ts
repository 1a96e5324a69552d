// Whether a folder could be written to, and how much room there is, without writing anything.

import { constants } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { BackupError, messageOf } from '../../base/errors.ts'

export type FolderLook = {
  /** The folder itself, or the nearest one above it that is there. */
  readonly folder: string
  readonly exists: boolean
  readonly freeBytes: number
  readonly totalBytes: number
}

/** @throws BackupError `folder-unusable` when it is no folder, or this account may not write there */
export async function lookAtFolder(path: string): Promise<FolderLook> {
  let folder = path
  while (!(await isThere(folder)) && dirname(folder) !== folder) folder = dirname(folder)
  try {
    if (!(await stat(folder)).isDirectory()) throw new Error('it is no folder')
    await access(folder, constants.W_OK | constants.X_OK)
    const { bavail, blocks, bsize } = await statfs(folder)
    return { folder, exists: folder === path, freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  } catch (error) {
    throw new BackupError(`Cannot write to "${folder}": ${messageOf(error)}`, {
      code: 'folder-unusable',
      kind: 'refused',
      hint: 'Let the account that runs Coldframe write there, or name another folder',
      facts: { path, folder },
      cause: error,
    })
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return false
    // It is there and not ours to look at: what follows says so.
    return true
  }
}
