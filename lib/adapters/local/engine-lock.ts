// One engine per COLDFRAME_HOME: an exclusive transaction on a file of its own. The kernel drops the lock with the process,
// however it ends, so that no stale lock is ever left.

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BackupError, messageOf } from '../../base/errors.ts'

/** SQLITE_BUSY (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5

/** An open database that nothing refers to is closed by the garbage collector, and its lock with it. */
const held = new Set<DatabaseSync>()

/**
 * Takes the lock at once or not at all; disposing gives it back.
 * @returns null while another process, or another holder in this one, has it
 * @throws BackupError `state-unwritable` when the file cannot be made or locked
 */
export function takeEngineLock(path: string): Disposable | null {
  let database: DatabaseSync | undefined
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    database = new DatabaseSync(path, { timeout: 0 })
    // Not WAL: there an exclusive transaction keeps out writers only through shared memory.
    database.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE')
    return holding(database)
  } catch (error) {
    database?.close()
    if (error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY) return null
    throw new BackupError(`Cannot lock "${path}": ${messageOf(error)}`, {
      code: 'state-unwritable',
      kind: 'refused',
      hint: 'Set COLDFRAME_HOME to a folder that this account may write',
      facts: { path },
      cause: error,
    })
  }
}

function holding(database: DatabaseSync): Disposable {
  held.add(database)
  return {
    [Symbol.dispose]: () => {
      held.delete(database)
      if (database.isOpen) database.close()
    },
  }
}
