// Files of a guest through VMware Tools: vCenter gives an address on the ESXi host, the bytes go over HTTPS.

import { BackupError, hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestFamily } from '../../model/guest.ts'
import type { HttpReply, HttpRequest } from './https.ts'
import { retryReading, type VimSession } from './session.ts'
import { isRecord, needed, numberAt, replyMalformed, textAt, typed, type VimRecord } from './values.ts'
import type { GuestCalls } from './vix-calls.ts'
import type { Transfer, TransferHosts } from './vix-host.ts'

export type GuestFilesNeed = {
  readonly session: VimSession
  readonly calls: GuestCalls
  readonly hosts: TransferHosts
  readonly family: GuestFamily
}

/** Each is one SOAP call and one HTTPS exchange. */
export interface GuestFiles {
  /** Replaces a file of the same name. @throws BackupError `guest-path-missing` when its directory does not exist */
  upload(
    file: { readonly path: string; readonly bytes: Uint8Array; readonly executable: boolean },
    cancel: Cancel,
  ): Promise<void>
  /** @throws BackupError `guest-path-missing`, `guest-file-large` beyond bytesMax, `guest-file-damaged` */
  download(file: { readonly path: string; readonly bytesMax: number }, cancel: Cancel): Promise<Uint8Array>
}

const ANSWER_BYTES_MAX = 65_536
/** A transfer that brings less than this a second is given up. */
const BYTES_A_SECOND = 65_536
const TRANSFER_LIMIT_MS = 30_000

export function guestFiles(need: GuestFilesNeed): GuestFiles {
  return {
    upload: (file, cancel) => retryReading(need.session.settings, () => upload(need, file, cancel), cancel),
    download: (file, cancel) => retryReading(need.session.settings, () => download(need, file, cancel), cancel),
  }
}

async function upload(
  { calls, hosts, family }: GuestFilesNeed,
  { path, bytes, executable }: { readonly path: string; readonly bytes: Uint8Array; readonly executable: boolean },
  cancel: Cancel,
): Promise<void> {
  const what = `Cannot write "${path}" in the guest`
  const args = {
    guestFilePath: path,
    fileAttributes: attributesOf(family, executable),
    fileSize: bytes.byteLength,
    overwrite: true,
  }
  const method = 'InitiateFileTransferToGuest'
  const url = await calls({ to: 'fileManager', method, args, what, repeat: 'caller' }, cancel)
  if (typeof url !== 'string') throw replyMalformed('it has no address for a file of the guest')
  const request = {
    method: 'PUT',
    headers: { 'Content-Type': 'application/octet-stream' },
    body: bytes,
    limitMs: limitFor(bytes.byteLength),
    bytesMax: ANSWER_BYTES_MAX,
  } as const
  await exchange({ hosts, transfer: await hosts.find(url, cancel), what }, request, cancel)
}

async function download(
  { calls, hosts }: GuestFilesNeed,
  { path, bytesMax }: { readonly path: string; readonly bytesMax: number },
  cancel: Cancel,
): Promise<Uint8Array> {
  const what = `Cannot read "${path}" in the guest`
  const args = { guestFilePath: path }
  const method = 'InitiateFileTransferFromGuest'
  const offer = await calls({ to: 'fileManager', method, args, what, repeat: 'caller' }, cancel)
  if (offer === null || !isRecord(offer)) throw replyMalformed('it offers no file of the guest')
  const sizeBytes = needed(numberAt(offer, 'size'), 'size')
  if (sizeBytes > bytesMax)
    throw new BackupError(`${what}: it has ${sizeBytes} bytes, and ${bytesMax} are allowed`, {
      code: 'guest-file-large',
      facts: { path, sizeBytes, bytesMax },
    })
  const transfer = await hosts.find(needed(textAt(offer, 'url'), 'url'), cancel)
  const request = { method: 'GET', headers: {}, limitMs: limitFor(sizeBytes), bytesMax: sizeBytes + 1 } as const
  const { body } = await exchange({ hosts, transfer, what }, request, cancel)
  if (body.byteLength !== sizeBytes)
    throw new BackupError(`${what}: its size was given as ${sizeBytes} bytes, and ${body.byteLength} came`, {
      code: 'guest-file-damaged',
      kind: 'integrity',
      retry: 'later',
      facts: { path, sizeBytes, readBytes: body.byteLength },
    })
  return new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
}

/** The account alone may read it; on Windows the directory's rights are inherited. */
function attributesOf(family: GuestFamily, executable: boolean): VimRecord {
  if (family === 'windows') return typed('GuestWindowsFileAttributes', {})
  return typed('GuestPosixFileAttributes', { permissions: executable ? 0o700 : 0o600 })
}

function limitFor(sizeBytes: number): number {
  return TRANSFER_LIMIT_MS + Math.ceil((sizeBytes / BYTES_A_SECOND) * 1000)
}

/** A connection of its own: an address serves one transfer. */
async function exchange(
  { hosts, transfer, what }: { readonly hosts: TransferHosts; readonly transfer: Transfer; readonly what: string },
  request: Omit<HttpRequest, 'path'> & { readonly bytesMax: number },
  cancel: Cancel,
): Promise<HttpReply> {
  const { place, path } = transfer
  const server = `${place.endpoint.host}:${place.endpoint.port}`
  try {
    const reply = await place.exchange({ ...request, path, fresh: true }, cancel)
    if (reply.status !== 200 && reply.status !== 201 && reply.status !== 204)
      throw statusRefused(reply.status, { what, server })
    return reply
  } catch (error) {
    if (hasCode(error, 'host-certificate') || hasCode(error, 'vcenter-unreachable')) hosts.forget(place)
    throw translated(error, { what, server })
  }
}

type Where = { readonly what: string; readonly server: string }

/** The host speaks as a vCenter would; for the caller it is a part of the guest. Its certificate keeps its own code. */
function translated(error: unknown, where: Where): unknown {
  if (hasCode(error, 'vcenter-unreachable')) return hostUnreachable(error, where)
  if (hasCode(error, 'vcenter-reply-malformed')) return tooLong(error, where)
  if (hasCode(error, 'vcenter-connection-lost')) return brokenOff(error, { ...where, why: 'lost the connection' })
  if (hasCode(error, 'vcenter-timeout')) return brokenOff(error, { ...where, why: 'did not finish in time' })
  if (!(error instanceof BackupError) || error.code !== 'vcenter-http-status') return error
  if (error.retry === 'later')
    return brokenOff(error, { ...where, why: `answers HTTP status ${String(error.facts['status'])}` })
  return new BackupError(error.message, { code: 'guest-failed', facts: error.facts, cause: error })
}

function statusRefused(status: number, { what, server }: Where): BackupError {
  return new BackupError(`${what}: "${server}", which carries files of the guest, answers HTTP status ${status}`, {
    code: 'vcenter-http-status',
    // 503 and the like come from a busy host; everything else stays as it is: an address serves once, and never moves.
    retry: status === 429 || status >= 500 ? 'later' : 'no',
    facts: { status, server },
  })
}

function brokenOff(cause: unknown, { what, server, why }: Where & { readonly why: string }): BackupError {
  const message = `${what}: "${server}", which carries files of the guest, ${why}`
  const status = cause instanceof BackupError ? cause.facts['status'] : undefined
  return new BackupError(message, {
    code: 'guest-unreachable',
    retry: 'later',
    facts: { server, ...(status === undefined ? {} : { status }) },
    cause,
  })
}

function hostUnreachable(error: unknown, { what, server }: Where): BackupError {
  return new BackupError(`${what}: "${server}", which carries files of the guest, cannot be reached`, {
    code: 'guest-unreachable',
    retry: 'later',
    hint: 'Files of guests go straight to the ESXi host: allow connections from here to port 443 of the ESXi hosts',
    facts: { server },
    cause: error,
  })
}

function tooLong(error: unknown, { what, server }: Where): BackupError {
  return new BackupError(`${what}: "${server}" sends more than it announced`, {
    code: 'guest-file-damaged',
    kind: 'integrity',
    retry: 'later',
    facts: { server },
    cause: error,
  })
}
