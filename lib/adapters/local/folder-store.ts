// An object store in a folder: one file an object, written aside, made durable, then linked to its name if that is free.

import type { Stats } from 'node:fs'
import { link, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { hexOf } from '../../base/bytes.ts'
import { BackupError, messageOf } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { ObjectFacts, ObjectStore } from '../../ports/object-store.ts'
import { checkObjectKey, checkObjectPrefix, objectMissing, objectShort } from '../../wire/repository/object-key.ts'

/** Unfinished files; "~" is in no object's key. */
const asideName = '~tmp'
/** An unfinished file this much older than one just written belongs to nobody any more. */
const leftoverMs = 24 * 3_600_000

export type FolderStoreOptions = {
  /** Absolute; made with the first object. Must be on one file system that has hard links. */
  readonly path: string
}

export function folderStore({ path: root }: FolderStoreOptions): ObjectStore {
  let swept = false
  const pathOf = (key: string) => join(root, ...checkObjectKey(key).split('/'))
  return {
    async putIfAbsent({ key, bytes }, { signal }) {
      const target = pathOf(key)
      signal.throwIfAborted()
      if ((await statOf(target, key))?.isFile() === true) return await existsDurably(target, { root, key })
      const aside = join(root, asideName, hexOf(systemRandom.bytes(16)))
      try {
        await makeFolder(dirname(aside))
        const writtenMs = await writeDurably(aside, bytes)
        if (!swept) await removeLeftovers(dirname(aside), writtenMs)
        swept = true
        signal.throwIfAborted()
        return await linkIfFree(aside, target)
      } catch (cause) {
        signal.throwIfAborted()
        throw storeError(`Cannot store object "${key}" in "${root}"`, { key, cause })
      } finally {
        await unlink(aside).catch(() => undefined)
      }
    },
    async get(key, { signal }) {
      const path = pathOf(key)
      try {
        return await readFile(path, { signal })
      } catch (cause) {
        signal.throwIfAborted()
        if (isAbsence(cause)) return null
        throw storeError(`Cannot read object "${key}" in "${root}"`, { key, cause })
      }
    },
    async getRange({ key, offsetBytes, target }, cancel) {
      await readRange({ path: pathOf(key), key, offsetBytes, target }, cancel)
    },
    async head(key, { signal }) {
      signal.throwIfAborted()
      const stats = await statOf(pathOf(key), key)
      return stats === null || !stats.isFile() ? null : factsOf(key, stats)
    },
    async *list(prefix, { signal }) {
      const folder = checkObjectPrefix(prefix).slice(0, prefix.lastIndexOf('/') + 1)
      yield* walk({ root, folder, prefix, signal })
    },
  }
}

/** @returns the file's own time of modification */
async function writeDurably(path: string, bytes: Uint8Array): Promise<number> {
  await using file = await open(path, 'wx')

  await file.writeFile(bytes)
  await file.sync()
  return (await file.stat()).mtimeMs
}

async function linkIfFree(aside: string, target: string): Promise<'stored' | 'exists'> {
  await makeFolder(dirname(target))
  try {
    await link(aside, target)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    await syncFolder(dirname(target))
    return 'exists'
  }
  await syncFolder(dirname(target))
  return 'stored'
}

/** Whoever linked the name may have died, or may still be, before it is durable: it is when this resolves. */
async function existsDurably(
  target: string,
  { root, key }: { readonly root: string; readonly key: string },
): Promise<'exists'> {
  try {
    for (let folder = dirname(target); folder.length >= root.length; folder = dirname(folder)) await syncFolder(folder)
  } catch (cause) {
    throw storeError(`Cannot store object "${key}" in "${root}"`, { key, cause })
  }
  return 'exists'
}

/** Makes the folder and all above it, and makes their names durable. */
async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')

  await folder.sync()
}

async function removeLeftovers(folder: string, nowMs: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const stats = await stat(path).catch(() => null)
    if (stats !== null && stats.mtimeMs < nowMs - leftoverMs) await unlink(path).catch(() => undefined)
  }
}

type Range = { readonly path: string; readonly key: string; readonly offsetBytes: number; readonly target: Uint8Array }

async function readRange({ path, key, offsetBytes, target }: Range, { signal }: Cancel): Promise<void> {
  signal.throwIfAborted()
  try {
    await using file = await open(path, 'r')

    for (let filled = 0; filled < target.byteLength; ) {
      signal.throwIfAborted()
      const { bytesRead } = await file.read(target, filled, target.byteLength - filled, offsetBytes + filled)
      if (bytesRead === 0) {
        const { size } = await file.stat()
        throw objectShort({ key, offsetBytes, lengthBytes: target.byteLength, sizeBytes: size })
      }
      filled += bytesRead
    }
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof BackupError) throw cause
    if (isAbsence(cause)) throw objectMissing(key)
    throw storeError(`Cannot read object "${key}"`, { key, cause })
  }
}

type Walk = { readonly root: string; readonly folder: string; readonly prefix: string; readonly signal: AbortSignal }

async function* walk({ root, folder, prefix, signal }: Walk): AsyncGenerator<ObjectFacts> {
  signal.throwIfAborted()
  const names = await entriesOf(root, folder)
  for (const name of names) {
    const key = `${folder}${name}`
    // A folder's name ends in "/" here: so the order of names is the order of keys.
    if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue
    if (name.endsWith('/')) {
      yield* walk({ root, folder: key, prefix, signal })
      continue
    }
    signal.throwIfAborted()
    const stats = await statOf(join(root, key), key)
    if (stats !== null && key.startsWith(prefix)) yield factsOf(key, stats)
  }
}

/** Ascending; folders with "/" at the end; what cannot be an object's name is left out. */
async function entriesOf(root: string, folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(join(root, folder), { withFileTypes: true })
    return entries
      .filter((entry) => (entry.isFile() || entry.isDirectory()) && /^[a-zA-Z0-9._#-]+$/.test(entry.name))
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      .toSorted((left, right) => (left < right ? -1 : 1))
  } catch (cause) {
    if (isAbsence(cause)) return []
    throw storeError(`Cannot list "${join(root, folder)}"`, { key: folder, cause })
  }
}

async function statOf(path: string, key: string): Promise<Stats | null> {
  try {
    return await stat(path)
  } catch (cause) {
    if (isAbsence(cause)) return null
    throw storeError(`Cannot look at object "${key}"`, { key, cause })
  }
}

function factsOf(key: string, stats: Stats): ObjectFacts {
  return { key, sizeBytes: stats.size, modifiedAt: stats.mtime.toISOString() }
}

/** The file system's words for "there is none": no such name, or the way to it goes through a file. */
function isAbsence(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'EISDIR'
}

function errnoOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}

function storeError(doing: string, { key, cause }: { readonly key: string; readonly cause: unknown }): BackupError {
  const errno = errnoOf(cause)
  const facts = { key, errno }
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new BackupError(`${doing}: no space is left there`, {
        code: 'store-full',
        retry: 'later',
        hint: 'Free space or raise the quota; earlier restore points are not touched',
        facts,
        cause,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new BackupError(`${doing}: it is not allowed (${errno})`, {
        code: 'store-refused',
        kind: 'refused',
        hint: "Check the folder's owner and mode, that it is mounted for writing, and that its file system has hard links",
        facts,
        cause,
      })
    default:
      return new BackupError(`${doing}: ${messageOf(cause)}`, { code: 'store-failed', retry: 'later', facts, cause })
  }
}
