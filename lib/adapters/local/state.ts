// The one SQLite file that holds state and queues of one machine. Opens it, runs transactions, translates its errors.
// Several processes use it at once: an engine, its movers, commands.

import { chmodSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Clock } from '../../base/clock.ts'
import { BackupError, messageOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { retry } from '../../base/retry.ts'
import type { Cancel } from '../../base/time-limit.ts'

/** Raised with every change of SCHEMA; a program refuses a file of a newer one. */
const SCHEMA_VERSION = 7
/** "CFst": tells our file from another program's (SQLite's header, offset 68). */
const APPLICATION_ID = 0x43467374
/** How long a transaction waits for another process's; each holds the file for milliseconds. */
const BUSY_MS = 10_000

/** What each version has and the one before it had not, from version 2 on. */
const ADDED = [
  'CREATE TABLE guests (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;',
  'CREATE TABLE vms (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;',
  `CREATE TABLE policies (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
   CREATE TABLE doors (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
   CREATE TABLE operations (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;
   CREATE INDEX operations_by_age ON operations (created_at);
   CREATE TABLE alarms (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;
   CREATE INDEX alarms_by_age ON alarms (created_at);`,
  // Nothing wrote operations or alarms before.
  `ALTER TABLE runs ADD COLUMN wake_at_ms REAL;
   ALTER TABLE operations ADD COLUMN wake_at_ms REAL;
   ALTER TABLE alarms ADD COLUMN wake_at_ms REAL;
   UPDATE runs SET wake_at_ms = coalesce(json_extract(body, '$.value.wakeAtMs'), 0)
     WHERE json_extract(body, '$.value.state') = 'requested';
   CREATE INDEX runs_by_wake ON runs (wake_at_ms) WHERE wake_at_ms IS NOT NULL;
   CREATE INDEX operations_by_wake ON operations (wake_at_ms) WHERE wake_at_ms IS NOT NULL;
   CREATE INDEX alarms_by_wake ON alarms (wake_at_ms) WHERE wake_at_ms IS NOT NULL;`,
  `CREATE TABLE points (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL, created_at TEXT NOT NULL,
                        vm_id TEXT NOT NULL) STRICT;
   CREATE INDEX points_by_age ON points (created_at);
   CREATE INDEX points_by_vm ON points (vm_id, created_at);`,
  `CREATE TABLE schedules (policy TEXT PRIMARY KEY, body TEXT NOT NULL, anchor_ms REAL NOT NULL, done_ms REAL NOT NULL) STRICT;`,
]

const SCHEMA = `
  CREATE TABLE runs (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;
  CREATE TABLE jobs (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL, created_at TEXT NOT NULL,
                     run_id TEXT NOT NULL, wake_at_ms REAL) STRICT;
  CREATE INDEX jobs_by_run ON jobs (run_id);
  CREATE INDEX jobs_by_wake ON jobs (wake_at_ms) WHERE wake_at_ms IS NOT NULL;
  CREATE INDEX jobs_by_age ON jobs (created_at);
  CREATE TABLE attempts (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE resources (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, body TEXT NOT NULL,
                         visible_at_ms REAL NOT NULL, receive_count INTEGER NOT NULL) STRICT;
  CREATE INDEX messages_by_queue ON messages (queue, visible_at_ms);
  CREATE TABLE tasks (id TEXT PRIMARY KEY, owner TEXT NOT NULL, pid INTEGER, started TEXT,
                      exit_code INTEGER, ended INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;
  ${ADDED.join('\n')}
`

/** The open file. Statements are prepared once. */
export interface State extends Disposable {
  readonly path: string
  /** Reads that need to agree with each other go into one call. */
  read<Result>(action: (sql: Sql) => Result): Result
  /** One transaction: durable and visible to every process when it returns, or nothing happened. */
  write<Result>(action: (sql: Sql) => Result): Result
}

/** @returns the prepared statement of this text */
export type Sql = (text: string) => StatementSync

/**
 * Opens or creates the file and the folder that holds it, readable by this account alone.
 * @throws BackupError `state-newer` when a newer program wrote it, `state-foreign`, `state-damaged`, `state-unwritable`,
 *   `state-busy`, `disk-full`
 */
export async function openState(
  options: { readonly path: string; readonly clock: Clock; readonly random: Random },
  cancel: Cancel,
): Promise<State> {
  const { path, clock, random } = options
  // Two processes that turn a new file into a WAL file at once may be told "busy" without a wait.
  return await retry(async () => openOnce(path), {
    attemptsMax: 20,
    firstMs: 20,
    mostMs: 500,
    clock,
    random,
    signal: cancel.signal,
    retryable: (error) => error instanceof BackupError && error.code === 'state-busy',
  })
}

function openOnce(path: string): State {
  const database = translated(path, () => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return new DatabaseSync(path, { timeout: BUSY_MS })
  })
  try {
    translated(path, () => prepareFile(database, path))
  } catch (error) {
    database.close()
    throw error
  }
  const statements = new Map<string, StatementSync>()
  const sql: Sql = (text) => {
    const known = statements.get(text)
    if (known !== undefined) return known
    const statement = database.prepare(text)
    statements.set(text, statement)
    return statement
  }
  return {
    path,
    read: (action) => translated(path, () => transaction(database, { begin: 'BEGIN', action: () => action(sql) })),
    write: (action) =>
      translated(path, () => transaction(database, { begin: 'BEGIN IMMEDIATE', action: () => action(sql) })),
    [Symbol.dispose]: () => {
      if (database.isOpen) database.close()
    },
  }
}

function prepareFile(database: DatabaseSync, path: string): void {
  // What is owed is written before it is made: a snapshot must not be forgotten by a power cut, so every commit is synced.
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
  if (versionOf(database, path) === SCHEMA_VERSION) return
  transaction(database, {
    begin: 'BEGIN IMMEDIATE',
    action: () => {
      // Another process may have been faster.
      const version = versionOf(database, path)
      if (version === SCHEMA_VERSION) return
      database.exec(version === 0 ? SCHEMA : ADDED.slice(version - 1).join('\n'))
      database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}; PRAGMA application_id = ${APPLICATION_ID}`)
      chmodSync(path, 0o600)
    },
  })
}

/** @returns 0 for a file that nothing was written to yet */
function versionOf(database: DatabaseSync, path: string): number {
  const version = pragma(database, 'user_version')
  const application = pragma(database, 'application_id')
  if (version === 0 && application === 0 && pragma(database, 'schema_version') === 0) return 0
  if (application !== APPLICATION_ID) {
    throw new BackupError(`Cannot use "${path}" as state: it is a database of another program`, {
      code: 'state-foreign',
      kind: 'refused',
      hint: 'Set COLDFRAME_HOME to another folder',
    })
  }
  if (version > SCHEMA_VERSION) {
    throw new BackupError(
      `Cannot use state "${path}": it has version ${version}, this program knows ${SCHEMA_VERSION}`,
      {
        code: 'state-newer',
        kind: 'refused',
        hint: 'A newer Coldframe wrote it; use that one, or another COLDFRAME_HOME',
        facts: { version, known: SCHEMA_VERSION },
      },
    )
  }
  return version
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name])
}

function transaction<Result>(
  database: DatabaseSync,
  work: { readonly begin: string; readonly action: () => Result },
): Result {
  database.exec(work.begin)
  try {
    const result = work.action()
    database.exec('COMMIT')
    return result
  } catch (error) {
    // A full disk may have rolled back already.
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

type Verdict = Pick<BackupError, 'code' | 'kind' | 'retry'> & { readonly what: string; readonly hint: string }

// SQLite's primary result codes (sqlite.org/rescode.html); extended ones hold them in the low byte.
const VERDICTS: Readonly<Record<number, Verdict>> = {
  3: unwritable('access is not allowed'),
  5: { code: 'state-busy', kind: 'failed', retry: 'later', what: 'another process holds it', hint: 'Try again' },
  6: { code: 'state-busy', kind: 'failed', retry: 'later', what: 'another process holds it', hint: 'Try again' },
  8: unwritable('it may only be read'),
  10: {
    code: 'state-io',
    kind: 'failed',
    retry: 'later',
    what: 'the disk did not read or write',
    hint: 'Look at the disk that holds COLDFRAME_HOME and at its free space',
  },
  11: damaged(),
  13: {
    code: 'disk-full',
    kind: 'failed',
    retry: 'later',
    what: 'no space is left',
    hint: 'Free space on the disk that holds COLDFRAME_HOME; nothing was lost, jobs go on',
  },
  14: unwritable('it cannot be opened'),
  26: damaged(),
}

function damaged(): Verdict {
  return {
    code: 'state-damaged',
    kind: 'integrity',
    retry: 'no',
    what: 'it is damaged or is no database',
    hint: 'Move it away and start anew: restore points need only the repository',
  }
}

function unwritable(what: string): Verdict {
  return {
    code: 'state-unwritable',
    kind: 'refused',
    retry: 'no',
    what,
    hint: 'Set COLDFRAME_HOME to a folder that this account may write',
  }
}

function translated<Result>(path: string, action: () => Result): Result {
  try {
    return action()
  } catch (error) {
    throw stateError(path, error)
  }
}

function stateError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error
  const verdict =
    error.code === 'ERR_SQLITE_ERROR' && 'errcode' in error
      ? VERDICTS[Number(error.errcode) & 0xff]
      : fileVerdict(String(error.code))
  if (verdict === undefined) return error
  const { what, ...rest } = verdict
  return new BackupError(`Cannot use state "${path}": ${what} (${messageOf(error)})`, {
    ...rest,
    facts: { path },
    cause: error,
  })
}

function fileVerdict(code: string): Verdict | undefined {
  if (code === 'ENOSPC') return VERDICTS[13]
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'].includes(code)) return unwritable('its folder cannot be made')
  return undefined
}
