// Files of a datastore over HTTPS: /folder paths, and whole small files. Large ranges are datastore.ts's.

import { BackupError, malformed } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { retryReading, type VimSession } from './session.ts'

export type DatastorePath = { readonly datastore: string; readonly path: string }

export type Place = { readonly datacenter: string }

const LIMIT_MS = 60_000
/** vCenter then writes "Out of HTTP sessions: Limited to …" into vpxd's log (virt-v2v-input-vmware(1)). */
const OUT_OF_SESSIONS =
  "vCenter or the host is busy, or out of HTTP sessions: end unused ones, or raise maxSessionCount in vpxd's settings"

/** Reads "[datastore] folder/file". @throws BackupError `malformed` */
export function parseDatastorePath(text: string): DatastorePath {
  const match = /^\[([^\]]+)\]\s*(.*)$/s.exec(text)
  if (match === null) throw malformed('datastore path', text, 'must be "[datastore] folder/file"')
  return { datastore: match[1] ?? '', path: match[2] ?? '' }
}

/**
 * The path and query of a datastore's file.
 * A lone ESXi host has one datacenter, which it calls "ha-datacenter".
 */
export function folderPath({ datastore, path }: DatastorePath, { datacenter }: Place): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/')
  const dcPath = encodeURIComponent(datacenter === '' ? 'ha-datacenter' : datacenter)
  return `/folder/${encoded}?dcPath=${dcPath}&dsName=${encodeURIComponent(datastore)}`
}

/** @returns null when the server says that there is no such file (404) */
export function readSmallFile(
  session: VimSession,
  { file, place, bytesMax }: { readonly file: DatastorePath; readonly place: Place; readonly bytesMax: number },
  cancel: Cancel,
): Promise<Buffer | null> {
  const call = { method: 'GET', path: folderPath(file, place), headers: {}, limitMs: LIMIT_MS, bytesMax } as const
  const read = async () => {
    const reply = await session.loggedIn(() => session.exchange(call, cancel), cancel)
    if (reply.status === 404) return null
    if (reply.status !== 200) throw folderRefused(reply.status, { doing: 'read', file })
    return reply.body
  }
  return retryReading(session.settings, read, cancel)
}

export async function writeSmallFile(
  session: VimSession,
  { file, place, bytes }: { readonly file: DatastorePath; readonly place: Place; readonly bytes: Uint8Array },
  cancel: Cancel,
): Promise<void> {
  const headers = { 'Content-Type': 'application/octet-stream' }
  const call = {
    method: 'PUT',
    path: folderPath(file, place),
    headers,
    body: bytes,
    limitMs: LIMIT_MS,
    bytesMax: 65_536,
  } as const
  const { status } = await session.loggedIn(() => session.exchange(call, cancel), cancel)
  if (status !== 200 && status !== 201 && status !== 204) throw folderRefused(status, { doing: 'write', file })
}

/** What the server says when it does not give or take a file of a datastore. */
export function folderRefused(
  status: number,
  { doing, file }: { readonly doing: 'read' | 'write'; readonly file: DatastorePath },
): BackupError {
  const name = `[${file.datastore}] ${file.path}`
  const facts = { status, file: name }
  const message = `Cannot ${doing} "${name}": the server answers HTTP status ${status}`
  if (status === 403) {
    const hint = `The user may lack Datastore.${doing === 'read' ? 'Browse' : 'FileManagement'}, or the file is locked by a running VM`
    return new BackupError(message, { code: 'datastore-refused', kind: 'refused', hint, facts })
  }
  if (status === 423 || status === 500) {
    const hint =
      'The file is locked by a running VM or another task, or its host has no memory left for reads (NFC error 5)'
    return new BackupError(message, { code: 'datastore-locked', retry: 'later', hint, facts })
  }
  return new BackupError(message, {
    code: 'vcenter-http-status',
    retry: status === 429 || status > 500 ? 'later' : 'no',
    ...(status === 503 ? { hint: OUT_OF_SESSIONS } : {}),
    facts,
  })
}
