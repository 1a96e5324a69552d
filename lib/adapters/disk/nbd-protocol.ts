// The numbers of the NBD protocol and its fixed-size messages. No input or output, no state.
//
// Source: "The NBD protocol" (NetworkBlockDevice/nbd, doc/proto.md), sections "Newstyle negotiation",
// "Transmission" and "Values". Every number on the wire is big-endian.

import { BackupError, type Facts } from '../../base/errors.ts'

export const NBD_MAGIC = Buffer.from('NBDMAGIC', 'latin1')
export const OPTION_MAGIC = Buffer.from('IHAVEOPT', 'latin1')
export const OLDSTYLE_MAGIC = Buffer.from('0000420281861253', 'hex')
export const OPTION_REPLY_MAGIC = Buffer.from('0003e889045565a9', 'hex')

export const REQUEST_MAGIC = 0x25609513
export const SIMPLE_REPLY_MAGIC = 0x67446698
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef

export const REQUEST_BYTES = 28
export const SIMPLE_REPLY_BYTES = 16
export const STRUCTURED_REPLY_BYTES = 20

/** Flags of the greeting; the client answers with the same two bits. */
export const GREETING = { fixedNewstyle: 1, noZeroes: 2 } as const

export const OPTION = { abort: 2, startTls: 5, go: 7, structuredReply: 8, setMetaContext: 10 } as const

/** Types of option replies; errors have the top bit set. */
export const ANSWER = { ack: 1, facts: 3, metaContext: 4 } as const
export const ANSWER_ERROR_BIT = 0x8000_0000
export const ANSWER_TLS_REQUIRED = 0x8000_0005
export const ANSWER_UNKNOWN_EXPORT = 0x8000_0006

/** Types of the facts that answer OPTION.go ("NBD_INFO_…"). */
export const EXPORT_FACT = { export: 0, blockSize: 3 } as const

export const TRANSMISSION = { hasFlags: 1, canMultiConn: 1 << 8 } as const

export const COMMAND = { read: 0, disconnect: 2, blockStatus: 7 } as const

export const CHUNK_DONE_BIT = 1
export const CHUNK = { none: 0, offsetData: 1, offsetHole: 2, blockStatus: 5 } as const
export const CHUNK_ERROR_BIT = 0x8000
export const CHUNK_ERROR = 0x8001
export const CHUNK_ERROR_OFFSET = 0x8002

/** base:allocation, bit 1: the range reads as zero ("NBD_STATE_ZERO"). */
export const STATE_ZERO = 2

/** The largest payload any server must accept or send when it announces no maximum. */
export const PAYLOAD_BYTES_DEFAULT = 32 * 1024 * 1024
/** A block status request has a 32-bit length; this stays below it and is a multiple of every block size. */
export const STATUS_BYTES_MAX = 2 * 1024 * 1024 * 1024
/** Longest string the protocol allows (export names, messages). */
export const STRING_BYTES_MAX = 4096

const ANSWER_ERRORS: Readonly<Record<number, string>> = {
  0x8000_0001: 'NBD_REP_ERR_UNSUP',
  0x8000_0002: 'NBD_REP_ERR_POLICY',
  0x8000_0003: 'NBD_REP_ERR_INVALID',
  0x8000_0004: 'NBD_REP_ERR_PLATFORM',
  0x8000_0005: 'NBD_REP_ERR_TLS_REQD',
  0x8000_0006: 'NBD_REP_ERR_UNKNOWN',
  0x8000_0007: 'NBD_REP_ERR_SHUTDOWN',
  0x8000_0008: 'NBD_REP_ERR_BLOCK_SIZE_REQD',
  0x8000_0009: 'NBD_REP_ERR_TOO_BIG',
}

const ERRNO: Readonly<Record<number, string>> = {
  1: 'EPERM',
  5: 'EIO',
  12: 'ENOMEM',
  22: 'EINVAL',
  28: 'ENOSPC',
  75: 'EOVERFLOW',
  95: 'ENOTSUP',
  108: 'ESHUTDOWN',
}

/** For example "EIO"; "errno 99" for a number the protocol does not name. */
export function errnoName(errno: number): string {
  return ERRNO[errno] ?? `errno ${errno}`
}

/** For example "NBD_REP_ERR_UNKNOWN"; "error 77" for a number the protocol does not name. */
export function answerErrorName(type: number): string {
  return ANSWER_ERRORS[type] ?? `error ${type - ANSWER_ERROR_BIT}`
}

export type NbdRequest = {
  readonly command: number
  readonly handle: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/**
 * | at | bytes | what               |
 * |  0 |     4 | request magic      |
 * |  4 |     2 | flags, none        |
 * |  6 |     2 | command            |
 * |  8 |     8 | handle             |
 * | 16 |     8 | offset, in bytes   |
 * | 24 |     4 | length, in bytes   |
 */
export function encodeRequest(request: NbdRequest): Uint8Array {
  const bytes = Buffer.allocUnsafe(REQUEST_BYTES)
  bytes.writeUInt32BE(REQUEST_MAGIC, 0)
  bytes.writeUInt32BE(request.command, 4)
  writeSafe64(bytes, { at: 8, value: request.handle })
  writeSafe64(bytes, { at: 16, value: request.offsetBytes })
  bytes.writeUInt32BE(request.lengthBytes, 24)
  return bytes
}

/** "IHAVEOPT", 32-bit option, 32-bit length, data. */
export function encodeOption(option: number, data: Uint8Array): Uint8Array {
  const head = Buffer.allocUnsafe(16)
  OPTION_MAGIC.copy(head)
  head.writeUInt32BE(option, 8)
  head.writeUInt32BE(data.byteLength, 12)
  return Buffer.concat([head, data])
}

/** 32-bit length of the export name, the name, 16-bit count, then that many 16-bit types of facts. */
export function encodeGo(exportName: string, wanted: readonly number[]): Uint8Array {
  const tail = Buffer.alloc(2 + 2 * wanted.length)
  tail.writeUInt16BE(wanted.length, 0)
  for (const [index, type] of wanted.entries()) tail.writeUInt16BE(type, 2 + 2 * index)
  return Buffer.concat([encodeString(exportName), tail])
}

/** Length and bytes of the export name, 32-bit count, then length and bytes of every context's name. */
export function encodeMetaContext(exportName: string, contexts: readonly string[]): Uint8Array {
  const count = Buffer.alloc(4)
  count.writeUInt32BE(contexts.length, 0)
  return Buffer.concat([encodeString(exportName), count, ...contexts.map(encodeString)])
}

/** @returns the value, or NaN when it is above Number.MAX_SAFE_INTEGER */
export function readSafe64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
  return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN
}

/** The server said something the protocol does not allow. The connection is of no further use. */
export function protocolError(what: string, facts: Facts = {}): BackupError {
  return new BackupError(`Cannot go on with the NBD server: ${what}`, {
    code: 'nbd-protocol',
    hint: 'The server breaks the NBD protocol: check that the address is an NBD server, and its version',
    facts,
  })
}

function writeSafe64(bytes: Buffer, { at, value }: { readonly at: number; readonly value: number }): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  bytes.writeUInt32BE(value % 2 ** 32, at + 4)
}

function encodeString(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'utf8')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.byteLength, 0)
  return Buffer.concat([length, bytes])
}
