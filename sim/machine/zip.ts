// Writes a ZIP archive of a few small files (PKWARE's APPNOTE 6.3: local headers, central directory, its end). Deflated.

import { crc32, deflateRawSync } from 'node:zlib'
import { concatBytes, utf8Encode } from '../../lib/base/bytes.ts'

export type ZipMember = { readonly name: string; readonly bytes: Uint8Array }

const VERSION = 20
const NAMES_ARE_UTF8 = 0x0800
const DEFLATED = 8

export function zipArchive(members: readonly ZipMember[], options: { readonly modifiedMs: number }): Uint8Array {
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let offsetBytes = 0
  for (const { name, bytes } of members) {
    const packed = deflateRawSync(bytes)
    const shared = sharedHeader({ name, bytes, packed, modifiedMs: options.modifiedMs })
    const local = concatBytes([signed(0x04034b50, shared), utf8Encode(name), packed])
    directory.push(centralHeader(shared, offsetBytes), utf8Encode(name))
    parts.push(local)
    offsetBytes += local.byteLength
  }
  const central = concatBytes(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(members.length, 8)
  end.writeUInt16LE(members.length, 10)
  end.writeUInt32LE(central.byteLength, 12)
  end.writeUInt32LE(offsetBytes, 16)
  return concatBytes([...parts, central, end])
}

/** The 26 bytes that a local header and a central one have in common, from "version needed" to "extra field length". */
function sharedHeader(member: ZipMember & { readonly packed: Uint8Array; readonly modifiedMs: number }): Buffer {
  const header = Buffer.alloc(26)
  const { date, time } = dosTime(member.modifiedMs)
  header.writeUInt16LE(VERSION, 0)
  header.writeUInt16LE(NAMES_ARE_UTF8, 2)
  header.writeUInt16LE(DEFLATED, 4)
  header.writeUInt16LE(time, 6)
  header.writeUInt16LE(date, 8)
  header.writeUInt32LE(crc32(member.bytes), 10)
  header.writeUInt32LE(member.packed.byteLength, 14)
  header.writeUInt32LE(member.bytes.byteLength, 18)
  header.writeUInt16LE(utf8Encode(member.name).byteLength, 22)
  return header
}

function centralHeader(shared: Uint8Array, offsetBytes: number): Uint8Array {
  const version = Buffer.alloc(2)
  version.writeUInt16LE(VERSION)
  const rest = Buffer.alloc(14)
  rest.writeUInt32LE(offsetBytes, 10)
  return concatBytes([signed(0x02014b50, concatBytes([version, shared])), rest])
}

function signed(signature: number, rest: Uint8Array): Uint8Array {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(signature)
  return concatBytes([head, rest])
}

/** Two seconds a step, from 1980 on; here in UTC. */
function dosTime(ms: number): { readonly date: number; readonly time: number } {
  const at = new Date(ms)
  return {
    date: ((Math.max(1980, at.getUTCFullYear()) - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate(),
    time: (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1),
  }
}
