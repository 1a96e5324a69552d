// Which repositories this home has used, and where: so that a folder that is not mounted is not taken for a new place.
// One small file a place; nothing in them is needed to restore.

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BackupError, messageOf } from '../../base/errors.ts'

export interface KnownRepositories {
  /** The file that says so, and the repository's id; null for a place that was never used. */
  find(place: string): { readonly file: string; readonly repositoryId: string } | null
  /** The first id counts. */
  remember(place: string, repositoryId: string): void
}

/** @param folder made when something is remembered. Both calls throw BackupError `state-unwritable`. */
export function knownRepositories(folder: string): KnownRepositories {
  const fileOf = (place: string) => join(folder, createHash('sha256').update(place).digest('hex').slice(0, 32))
  return {
    find: (place) => {
      const file = fileOf(place)
      const text = translated(file, 'ENOENT', () => readFileSync(file, 'utf8'))
      return text === null ? null : { file, repositoryId: text.split('\n')[0] ?? '' }
    },
    remember: (place, repositoryId) => {
      const file = fileOf(place)
      translated(file, 'EEXIST', () => {
        mkdirSync(folder, { recursive: true, mode: 0o700 })
        writeFileSync(file, `${repositoryId}\n${place}\n`, { flag: 'wx', mode: 0o600, flush: true })
      })
    },
  }
}

/** @returns null when the file system says `expected` */
function translated<Result>(file: string, expected: string, action: () => Result): Result | null {
  try {
    return action()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === expected) return null
    throw new BackupError(`Cannot use "${file}": ${messageOf(error)}`, {
      code: 'state-unwritable',
      kind: 'refused',
      hint: 'Set COLDFRAME_HOME to a folder that this account may write',
      cause: error,
    })
  }
}
