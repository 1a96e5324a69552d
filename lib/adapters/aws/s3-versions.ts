// Listings of a bucket by version: of each key the oldest version counts, as if nothing had been put on top of it. What was
// put over a key, or hides it as deleted, is remembered when it is seen, so that reads ask for the version below.

import type { IncomingMessage } from 'node:http'
import { BackupError, messageOf } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { ObjectFacts } from '../../ports/object-store.ts'
import { isObjectKey } from '../../wire/repository/object-key.ts'
import { type ListedPage, type ListedVersion, parseListing, S3_DOCUMENT_BYTES_MAX } from '../../wire/s3-documents.ts'
import type { S3Client } from './s3-client.ts'
import { BadAnswer, readUpTo } from './s3-connection.ts'

export interface OldestVersions {
  /** The version to read of a key; null: the one that S3 gives by itself. */
  of(key: string): string | null
  /** Looks for a version of a key that is hidden. @returns whether there is one; of() knows it then */
  find(key: string, cancel: Cancel): Promise<boolean>
  forget(key: string): void
  /** Ascending; a key whose every version is a mark of deletion is not there. */
  list(prefix: string, cancel: Cancel): AsyncGenerator<ObjectFacts>
}

export function oldestVersions(of: { readonly client: S3Client; readonly base: string }): OldestVersions {
  const { client, base } = of
  /** As many as keys that somebody overwrote or deleted: none in a bucket that is left alone. */
  const hidden = new Map<string, string>()
  let byVersion = true
  async function* rows(prefix: string, cancel: Cancel): AsyncGenerator<ListedVersion> {
    const started = byVersion
    try {
      yield* pages(client, { prefix, byVersion: started }, cancel)
    } catch (error) {
      // Stores that keep no versions and know no listing of them have only one of each key. The first page tells.
      if (!started || !(error instanceof BackupError) || error.code !== 's3-not-supported') throw error
      byVersion = false
      yield* pages(client, { prefix, byVersion: false }, cancel)
    }
  }
  const remember = (key: string, { oldest, count }: Seen) => {
    if (oldest?.versionId != null && count > 1) hidden.set(key, oldest.versionId)
    else hidden.delete(key)
  }
  return {
    of: (key) => hidden.get(key) ?? null,
    forget: (key) => void hidden.delete(key),
    find: async (key, cancel) => {
      const seen: Seen = { oldest: null, count: 0 }
      for await (const row of rows(`${base}${key}`, cancel)) {
        if (row.key !== `${base}${key}`) break
        add(seen, row)
      }
      remember(key, seen)
      return hidden.has(key)
    },
    async *list(prefix, cancel) {
      let current = { name: '', seen: newSeen() }
      const finished = (): ObjectFacts[] => {
        const { name, seen } = current
        const key = name.slice(base.length)
        if (name === '' || !isObjectKey(key)) return []
        remember(key, seen)
        const { oldest } = seen
        return oldest === null ? [] : [{ key, sizeBytes: oldest.sizeBytes, modifiedAt: oldest.modifiedAt }]
      }
      for await (const row of rows(`${base}${prefix}`, cancel)) {
        if (row.key !== current.name) {
          if (Buffer.compare(Buffer.from(row.key), Buffer.from(current.name)) < 0) throw outOfOrder(client.bucket)
          yield* finished()
          current = { name: row.key, seen: newSeen() }
        }
        add(current.seen, row)
      }
      yield* finished()
    },
  }
}

type Seen = { oldest: ListedVersion | null; count: number }

function newSeen(): Seen {
  return { oldest: null, count: 0 }
}

/** Rows of a key come newest first: the last object is the oldest. */
function add(seen: Seen, row: ListedVersion): void {
  seen.count++
  if (row.kind === 'object') seen.oldest = row
}

async function* pages(
  client: S3Client,
  of: { readonly prefix: string; readonly byVersion: boolean },
  cancel: Cancel,
): AsyncGenerator<ListedVersion> {
  const first: Readonly<Record<string, string>> = of.byVersion ? { versions: '' } : { 'list-type': '2' }
  for (let next: Readonly<Record<string, string>> | null = {}; next !== null; ) {
    const query: Readonly<Record<string, string>> = { ...first, prefix: of.prefix, 'encoding-type': 'url', ...next }
    const page: ListedPage = await client.ask(
      { method: 'GET', key: null, query, headers: {}, body: null },
      { doing: `Cannot list "${of.prefix}" of bucket "${client.bucket}"`, read: readPage },
      cancel,
    )
    yield* page.versions
    next = page.next
  }
}

/** A page that cannot be read is as good as none: it is asked for again. */
async function readPage(reply: IncomingMessage): Promise<ListedPage> {
  const bytes = await readUpTo(reply, S3_DOCUMENT_BYTES_MAX)
  try {
    return parseListing(bytes)
  } catch (error) {
    throw new BadAnswer(messageOf(error), { cause: error })
  }
}

function outOfOrder(bucket: string): BackupError {
  return new BackupError(`Cannot list bucket "${bucket}": it does not give its keys in ascending order`, {
    code: 's3-not-supported',
    hint: 'Directory buckets cannot hold a repository: use a general purpose bucket',
    facts: { bucket },
  })
}
