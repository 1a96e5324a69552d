// NTLM version 2 for a client (MS-NLMP), connection-oriented, with message integrity code and channel binding. It proves
// who we are and nothing more: no signing, no sealing, no key exchange, since TLS does that. NTLMv1 is never spoken.
//
//   NEGOTIATE 40 bytes → CHALLENGE → AUTHENTICATE, 88 bytes and then its fields
//    0 "NTLMSSP\0"   8 type   12 fields of 8 bytes (length, length, offset)   flags, version, code: see the layouts below

import { createHash, createHmac } from 'node:crypto'
import { malformed } from '../../base/errors.ts'
import { md4 } from './ntlm-md4.ts'

export type NtlmAccount = {
  readonly user: string
  /** "" for an account of the machine itself. */
  readonly domain: string
  readonly password: string
}

/** What is read of a CHALLENGE_MESSAGE (MS-NLMP 2.2.1.2). */
export type NtlmChallenge = {
  readonly flags: number
  readonly serverChallenge: Buffer
  /** AV pairs in their order, without the end mark. */
  readonly target: readonly AvPair[]
}

type AvPair = { readonly id: number; readonly value: Buffer }

const SIGNATURE = Buffer.from('NTLMSSP\0', 'latin1')
// MS-NLMP 2.2.2.5: Unicode, request target, NTLM, always sign, extended session security, target info, version, 128, 56.
const FLAGS = 0xa2888205
const UNICODE = 0x1
const TARGET_PAIRS = 0x800000
// MS-NLMP 2.2.2.1, ids of AV pairs.
const AV_END = 0
const AV_FLAGS = 6
const AV_TIMESTAMP = 7
const AV_TARGET_NAME = 9
const AV_CHANNEL_BINDINGS = 10
const AV_FLAG_CODE_PRESENT = 0x2
const HEAD_BYTES = 88
const CODE_OFFSET = 72
// 10.0, revision 15 (MS-NLMP 2.2.2.10).
const VERSION = Buffer.from([10, 0, 0, 0, 0, 0, 0, 15])

export function encodeNegotiate(): Uint8Array {
  const message = Buffer.alloc(40)
  SIGNATURE.copy(message)
  message.writeUInt32LE(1, 8)
  message.writeUInt32LE(FLAGS, 12)
  message.writeUInt32LE(40, 20)
  message.writeUInt32LE(40, 28)
  VERSION.copy(message, 32)
  return message
}

/** @throws BackupError `malformed` */
export function decodeChallenge(bytes: Uint8Array): NtlmChallenge {
  const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const broken = (needed: string) => malformed('NTLM challenge', message.subarray(0, 64).toString('hex'), needed)
  if (message.byteLength < 48 || !message.subarray(0, 8).equals(SIGNATURE) || message.readUInt32LE(8) !== 2)
    throw broken('must be a CHALLENGE_MESSAGE')
  const flags = message.readUInt32LE(20)
  if ((flags & UNICODE) === 0) throw broken('must speak Unicode')
  const length = message.readUInt16LE(40)
  const offset = message.readUInt32LE(44)
  if ((flags & TARGET_PAIRS) === 0 || length === 0) throw broken('must carry target information, which NTLMv2 needs')
  if (offset + length > message.byteLength) throw broken('ends inside its target information')
  const target = avPairsOf(message.subarray(offset, offset + length))
  if (target === null) throw broken('has broken target information')
  return { flags, serverChallenge: message.subarray(24, 32), target }
}

/**
 * The AUTHENTICATE_MESSAGE for a challenge.
 * @param options.negotiate and options.challenge the two messages before it, byte for byte: its integrity code covers them
 * @param options.channelBinding see channelBindingOf(); null where there is none
 * @param options.clientChallenge 8 bytes, never used before
 * @param options.nowMs used only when the server names no time of its own
 * @throws BackupError `malformed`
 */
export function encodeAuthenticate(options: {
  readonly account: NtlmAccount
  readonly negotiate: Uint8Array
  readonly challenge: Uint8Array
  readonly channelBinding: Uint8Array | null
  readonly clientChallenge: Uint8Array
  readonly nowMs: number
}): Uint8Array {
  const { account, negotiate, challenge, channelBinding, clientChallenge, nowMs } = options
  const { flags, serverChallenge, target } = decodeChallenge(challenge)
  const told = target.find(({ id }) => id === AV_TIMESTAMP)?.value
  const responses = computeResponses({
    key: responseKeyOf(account),
    serverChallenge,
    clientChallenge,
    timestamp: told ?? fileTimeOf(nowMs),
    target: encodeAvPairs(answeredTarget(target, channelBinding)),
  })
  const fields = [
    // MS-NLMP 3.1.5.1.2: an LMv2 response is left empty when the server names its time.
    told === undefined ? responses.lm : Buffer.alloc(24),
    responses.nt,
    utf16(account.domain),
    utf16(account.user),
    Buffer.alloc(0),
    Buffer.alloc(0),
  ]
  const head = Buffer.alloc(HEAD_BYTES)
  SIGNATURE.copy(head)
  head.writeUInt32LE(3, 8)
  let offset = HEAD_BYTES
  for (const [index, field] of fields.entries()) {
    head.writeUInt16LE(field.byteLength, 12 + index * 8)
    head.writeUInt16LE(field.byteLength, 14 + index * 8)
    head.writeUInt32LE(offset, 16 + index * 8)
    offset += field.byteLength
  }
  head.writeUInt32LE((FLAGS & flags) >>> 0, 60)
  VERSION.copy(head, 64)
  const message = Buffer.concat([head, ...fields])
  const code = createHmac('md5', responses.sessionKey).update(negotiate).update(challenge).update(message).digest()
  code.copy(message, CODE_OFFSET)
  return message
}

/** NTOWFv2 (MS-NLMP 3.3.2). */
export function responseKeyOf({ user, domain, password }: NtlmAccount): Buffer {
  return createHmac('md5', md4(utf16(password)))
    .update(utf16(upperCase(user) + domain))
    .digest()
}

/** ComputeResponse of NTLMv2 (MS-NLMP 3.3.2). `target` is the encoded AV pairs, end mark included. */
export function computeResponses(input: {
  readonly key: Uint8Array
  readonly serverChallenge: Uint8Array
  readonly clientChallenge: Uint8Array
  readonly timestamp: Uint8Array
  readonly target: Uint8Array
}): { readonly nt: Buffer; readonly lm: Buffer; readonly sessionKey: Buffer } {
  const { key, serverChallenge, clientChallenge, timestamp, target } = input
  const hmac = (...parts: readonly Uint8Array[]) => {
    const mac = createHmac('md5', key)
    for (const part of parts) mac.update(part)
    return mac.digest()
  }
  const versions = Buffer.from([1, 1, 0, 0, 0, 0, 0, 0])
  const proven = Buffer.concat([versions, timestamp, clientChallenge, Buffer.alloc(4), target, Buffer.alloc(4)])
  const proof = hmac(serverChallenge, proven)
  return {
    nt: Buffer.concat([proof, proven]),
    lm: Buffer.concat([hmac(serverChallenge, clientChallenge), clientChallenge]),
    sessionKey: hmac(proof),
  }
}

/**
 * What MsvAvChannelBindings holds: MD5 over gss_channel_bindings_struct (RFC 2744, 3.11; MS-NLMP 2.2.2.1) with only the
 * application data filled.
 * @param data for TLS "tls-server-end-point:" and the certificate's hash (RFC 5929, 4)
 */
export function channelBindingOf(data: Uint8Array): Uint8Array {
  const head = Buffer.alloc(20)
  head.writeUInt32LE(data.byteLength, 16)
  return createHash('md5').update(head).update(data).digest()
}

/** Windows raises each character by itself: "ß" stays, where toUpperCase() makes two letters of it. */
function upperCase(text: string): string {
  return [...text]
    .map((letter) => (letter.toUpperCase().length === letter.length ? letter.toUpperCase() : letter))
    .join('')
}

/** The server's pairs with what a client adds (MS-NLMP 3.1.5.1.2). */
function answeredTarget(target: readonly AvPair[], channelBinding: Uint8Array | null): readonly AvPair[] {
  const ours = [AV_FLAGS, AV_TARGET_NAME, AV_CHANNEL_BINDINGS]
  const flags = Buffer.alloc(4)
  const given = target.find(({ id }) => id === AV_FLAGS)?.value
  flags.writeUInt32LE(((given?.byteLength === 4 ? given.readUInt32LE() : 0) | AV_FLAG_CODE_PRESENT) >>> 0)
  return [
    ...target.filter(({ id }) => !ours.includes(id)),
    { id: AV_FLAGS, value: flags },
    { id: AV_CHANNEL_BINDINGS, value: Buffer.from(channelBinding ?? new Uint8Array(16)) },
    { id: AV_TARGET_NAME, value: Buffer.alloc(0) },
  ]
}

function avPairsOf(bytes: Buffer): readonly AvPair[] | null {
  const pairs: AvPair[] = []
  for (let offset = 0; offset + 4 <= bytes.byteLength; ) {
    const id = bytes.readUInt16LE(offset)
    const length = bytes.readUInt16LE(offset + 2)
    if (id === AV_END) return pairs
    if (offset + 4 + length > bytes.byteLength) return null
    pairs.push({ id, value: bytes.subarray(offset + 4, offset + 4 + length) })
    offset += 4 + length
  }
  return null
}

function encodeAvPairs(pairs: readonly AvPair[]): Buffer {
  const encoded = pairs.flatMap(({ id, value }) => {
    const head = Buffer.alloc(4)
    head.writeUInt16LE(id)
    head.writeUInt16LE(value.byteLength, 2)
    return [head, value]
  })
  return Buffer.concat([...encoded, Buffer.alloc(4)])
}

/** FILETIME: tenths of microseconds since 1601-01-01T00:00:00Z. */
function fileTimeOf(ms: number): Buffer {
  const time = Buffer.alloc(8)
  time.writeBigUInt64LE((BigInt(Math.trunc(ms)) + 11_644_473_600_000n) * 10_000n)
  return time
}

function utf16(text: string): Buffer {
  return Buffer.from(text, 'utf16le')
}
