// The start of a session (s/<sessionId>/start): written before anything else, so that a sweep counts its parents as alive.

import { type Clock, isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { SessionId } from '../model/ids.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { pageRefToJson } from '../wire/repository/page-ref.ts'
import type { StoredEnvelope } from '../wire/repository/point.ts'
import { type SessionStart, sessionStartJson } from '../wire/repository/settings.ts'
import { authenticJson, sealJson } from './authentic-json.ts'
import { startKey } from './object-keys.ts'
import type { Repository } from './repository.ts'
import { checkMayWrite } from './settings-documents.ts'

/**
 * Writes the session's start, or finds the one that is there.
 * @param start.parents points (and candidates) whose chunks the session may refer to
 * @returns what is stored: after a restart the first start counts, and its parents
 * @throws BackupError `repository-version` when a writer must know what this one does not
 */
export async function startSession(
  start: {
    readonly repository: Repository
    readonly sessionId: SessionId
    readonly parents: readonly StoredEnvelope[]
    readonly clock: Clock
  },
  cancel: Cancel,
): Promise<SessionStart> {
  const { repository, sessionId } = start
  await checkMayWrite(repository, cancel)
  const { kid } = repository.keys
  const value = {
    document: 'session-start',
    repositoryId: repository.id,
    kid,
    sessionId,
    startedAt: isoTime(start.clock.nowMs()),
    parents: start.parents.map(({ vmId, sequence, packSet }) => ({
      vmId,
      sequence,
      packSet: packSet.map(pageRefToJson),
    })),
  }
  const bytes = sealJson(repository.keys, { kid, value })
  await repository.store.putIfAbsent({ key: startKey(sessionId), bytes }, cancel)
  const found = await readSessionStart({ repository, sessionId }, cancel)
  if (found === null) throw corrupt(`Cannot start session "${sessionId}": its start was written and is gone`)
  return found
}

/** @returns null when the session has not started */
export async function readSessionStart(
  read: { readonly repository: Repository; readonly sessionId: SessionId },
  cancel: Cancel,
): Promise<SessionStart | null> {
  const { repository, sessionId } = read
  const what = `the start of session "${sessionId}"`
  const bytes = await repository.store.get(startKey(sessionId), cancel)
  if (bytes === null) return null
  const json = sessionStartJson.safeParse(authenticJson(repository.keys, { bytes, kind: 'session-start', what }))
  if (!json.success) throw corrupt(`Cannot read ${what}: ${json.error.issues[0]?.message ?? 'a member is missing'}`)
  if (json.data.sessionId !== sessionId || json.data.repositoryId !== repository.id) {
    throw corrupt(`Cannot read ${what}: it is of another session`)
  }
  return json.data
}
