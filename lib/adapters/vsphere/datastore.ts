// Transport `datastore`: HTTPS ranges of a snapshot's flat disk files, without VDDK. The file is frozen as long as its
// snapshot stands; that it did stand is checked by whoever commits, since a range of a merged file reads as well.

import type { IncomingMessage } from 'node:http'
import { MiB } from '../../base/bytes.ts'
import { assert, BackupError, hasCode } from '../../base/errors.ts'
import { retry } from '../../base/retry.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { holdsObjects } from '../../model/site.ts'
import type { DiskSource } from '../../ports/disk.ts'
import type { DiskRequest, Transport } from '../../ports/transport.ts'
import { type FlatExtent, findFlatExtents } from './flat-extents.ts'
import { folderRefused, parseDatastorePath } from './folder.ts'
import { readObject, readObjects } from './properties.ts'
import type { VimSession, VsphereSettings } from './session.ts'
import { type SharedSession, shareSession } from './shared-session.ts'
import { isRecord, ref, refsOf, textAt } from './values.ts'

/** Larger requests fail through vCenter. */
const READ_BYTES_MAX = 2 * MiB
const READS_MAX = 8
const READ_LIMIT_MS = 60_000
const ATTEMPTS_MAX = 5

/** Disks opened by one transport share one session, which is logged out when the last of them is disposed. */
export function datastoreTransport(settings: VsphereSettings): Transport {
  const sessions = shareSession(settings)
  return {
    name: 'datastore',
    refusal: refusalOf,
    open: async (request, cancel) => {
      const reason = refusalOf(request)
      if (reason !== null) throw transportRefused(request, reason)
      const session = await sessions.take(cancel)
      try {
        await refuseObjectStores(session, request, cancel)
        const extents = await findFlatExtents(session, request, cancel)
        return sourceOf(session, { request, extents, sessions })
      } catch (error) {
        await sessions.giveBack()
        throw error
      }
    },
  }
}

function refusalOf({ disk }: DiskRequest): string | null {
  if (disk.encrypted) return 'it is encrypted, and its files hold cipher text'
  if (disk.backing !== 'flat') return `its backing is "${disk.backing}", not a flat file`
  if (disk.mode.startsWith('independent')) return 'it is independent, so no snapshot freezes it'
  if (disk.parents.length > 0) return `older snapshots stand below it: it is a delta of "${disk.parents[0]}"`
  return null
}

async function refuseObjectStores(session: VimSession, request: DiskRequest, cancel: Cancel): Promise<void> {
  const { datastore } = parseDatastorePath(request.disk.fileName)
  const what = `Cannot read the datastores of VM "${request.vm}"`
  const asked = { ref: ref('VirtualMachine', request.vm), paths: ['datastore'], what }
  const refs = refsOf((await readObject(session, asked, cancel)).get('datastore'))
  for (const { values } of await readObjects(session, { refs, wanted: { Datastore: ['summary'] }, what }, cancel)) {
    const summary = values.get('summary')
    if (!isRecord(summary) || textAt(summary, 'name') !== datastore) continue
    const type = textAt(summary, 'type') ?? ''
    if (holdsObjects({ type })) throw transportRefused(request, `its datastore "${datastore}" is of type "${type}"`)
  }
}

function sourceOf(
  session: VimSession,
  {
    request,
    extents,
    sessions,
  }: { readonly request: DiskRequest; readonly extents: readonly FlatExtent[]; readonly sessions: SharedSession },
): DiskSource {
  const { capacityBytes } = request.disk
  let open = true
  return {
    access: 'random',
    capacityBytes,
    readBytesMax: READ_BYTES_MAX,
    readsMax: READS_MAX,
    read: async ({ offsetBytes, target }, cancel) => {
      assert(open, 'a disk is read while it is open')
      assert(offsetBytes >= 0 && offsetBytes + target.byteLength <= capacityBytes, 'a read lies inside the disk')
      assert(target.byteLength <= READ_BYTES_MAX, 'a read is not larger than readBytesMax')
      for (const extent of extents) {
        const start = Math.max(offsetBytes, extent.startBytes)
        const end = Math.min(offsetBytes + target.byteLength, extent.startBytes + extent.lengthBytes)
        if (start >= end) continue
        const part = {
          offsetBytes: start - extent.startBytes + extent.fileOffsetBytes,
          target: target.subarray(start - offsetBytes, end - offsetBytes),
        }
        await readRange(session, { extent, ...part }, cancel)
      }
    },
    allocation: async ({ offsetBytes, lengthBytes }) => [{ offsetBytes, lengthBytes, kind: 'data' }],
    [Symbol.asyncDispose]: async () => {
      if (!open) return
      open = false
      await sessions.giveBack()
    },
  }
}

type Range = { readonly extent: FlatExtent; readonly offsetBytes: number; readonly target: Uint8Array }

async function readRange(session: VimSession, range: Range, cancel: Cancel): Promise<void> {
  const { extent, offsetBytes, target } = range
  const last = offsetBytes + target.byteLength - 1
  const call = {
    method: 'GET',
    path: extent.path,
    headers: { Range: `bytes=${offsetBytes}-${last}` },
    limitMs: READ_LIMIT_MS,
  } as const
  const once = () => session.stream(call, (reply) => receive(reply, range), cancel)
  const { clock, random } = session.settings
  try {
    await retry(() => session.loggedIn(once, cancel), {
      attemptsMax: ATTEMPTS_MAX,
      firstMs: 200,
      mostMs: 5_000,
      clock,
      random,
      signal: cancel.signal,
      retryable: (error) =>
        error instanceof BackupError && error.retry === 'later' && error.code !== 'vcenter-not-authenticated',
    })
  } catch (error) {
    cancel.signal.throwIfAborted()
    throw hasCode(error, 'disk-read-failed')
      ? error
      : readFailed(range, { reason: reasonOf(error), retry: 'later', cause: error })
  }
}

/** Takes the body straight into the caller's buffer; anything but exactly the asked bytes is refused. */
async function receive(reply: IncomingMessage, range: Range): Promise<void> {
  const { extent, offsetBytes, target } = range
  const status = reply.statusCode ?? 0
  if (status === 200)
    throw readFailed(range, { reason: 'the server ignores ranges: it answers 200 with the whole file', retry: 'no' })
  if (status === 416)
    throw readFailed(range, { reason: 'the server says that the range is outside the file (416)', retry: 'no' })
  if (status === 404)
    throw readFailed(range, { reason: 'the file is gone (404): the snapshot may have been removed', retry: 'no' })
  if (status !== 206) throw folderRefused(status, { doing: 'read', file: extent.file })
  checkContentRange(reply.headers['content-range'], range)
  let filled = 0
  for await (const part of reply) {
    const bytes: Uint8Array = part
    if (filled + bytes.byteLength > target.byteLength) {
      throw readFailed(range, {
        reason: `the body is longer than the ${target.byteLength} bytes asked for`,
        retry: 'later',
      })
    }
    target.set(bytes, filled)
    filled += bytes.byteLength
  }
  if (filled < target.byteLength) {
    throw readFailed(range, {
      reason: `the body ended after ${filled} of ${target.byteLength} bytes from byte ${offsetBytes}`,
      retry: 'later',
    })
  }
}

function checkContentRange(header: string | undefined, range: Range): void {
  const { offsetBytes, target, extent } = range
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header ?? '')
  const [, first = '', last = '', total = ''] = match ?? []
  const asked = Number(first) === offsetBytes && Number(last) === offsetBytes + target.byteLength - 1
  if (match === null || !asked) {
    throw readFailed(range, { reason: `the server answers the range "${header ?? 'none'}"`, retry: 'later' })
  }
  if (total !== '*' && Number(total) < extent.fileOffsetBytes + extent.lengthBytes) {
    throw readFailed(range, { reason: `the file has shrunk to ${total} bytes`, retry: 'no' })
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function readFailed(
  { extent, offsetBytes, target }: Range,
  {
    reason,
    retry: again,
    cause,
  }: { readonly reason: string; readonly retry: 'no' | 'later'; readonly cause?: unknown },
): BackupError {
  const file = `[${extent.file.datastore}] ${extent.file.path}`
  return new BackupError(`Cannot read ${target.byteLength} bytes from byte ${offsetBytes} of "${file}": ${reason}`, {
    code: 'disk-read-failed',
    retry: again,
    ...(cause instanceof BackupError && cause.hint !== undefined ? { hint: cause.hint } : {}),
    facts: { file, offsetBytes, lengthBytes: target.byteLength },
    cause,
  })
}

function transportRefused({ disk }: DiskRequest, reason: string): BackupError {
  return new BackupError(`Cannot read "${disk.label}" ("${disk.fileName}") over the datastore: ${reason}`, {
    code: 'transport-refused',
    hint: 'Add another transport to the policy for this disk',
    facts: { fileName: disk.fileName, reason },
  })
}
