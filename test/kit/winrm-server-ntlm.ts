// The accepting side of NTLM version 2 (MS-NLMP 3.2.5), strict: it checks the proof, the integrity code, the channel binding
// and that its own target information came back untouched. Nothing here is the client's code; MD4 comes from openssl.

import { spawnSync } from 'node:child_process'
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { requirePeer } from './peers.ts'

export type WinrmAccount = {
  readonly user: string
  /** Null for an account of the machine. */
  readonly domain: string | null
  readonly password: string
  /** Right or wrong password: the account is refused. */
  readonly expired?: boolean
}

export type ChannelBindingRule = 'none' | 'relaxed' | 'strict'

export type NtlmAcceptor = {
  /** Reads message 1, gives message 2. @throws when it is malformed */
  challenge(negotiate: Buffer): Buffer
  /** Reads message 3. @returns the account, or why not */
  accept(authenticate: Buffer): WinrmAccount | string
}

const MACHINE = 'WINTEST'
const F = { unicode: 1, oem: 2, target: 4, ntlm: 0x200, ess: 0x80000 }
const TARGET_IS_SERVER = 0x20000
const TARGET_PAIRS = 0x800000
const VERSION = 0x2000000
const KEY_EXCHANGE = 0x40000000
const SUPPORTED = 0xe2888235

export function ntlmAcceptor(options: {
  readonly accounts: readonly WinrmAccount[]
  readonly binding: ChannelBindingRule
  /** The listener's certificate, DER, and the hash of its signature. */
  readonly certificate: Buffer
  readonly hash: 'sha256' | 'sha384' | 'sha512'
}): NtlmAcceptor {
  const serverChallenge = randomBytes(8)
  const pairs: (readonly [number, Buffer])[] = [
    [2, utf16(MACHINE)],
    [1, utf16(MACHINE)],
    [4, utf16('wintest.example')],
    [3, utf16('wintest.example')],
    [7, fileTime(Date.now())],
  ]
  let first: Buffer = Buffer.alloc(0)
  let second: Buffer = Buffer.alloc(0)
  // MS-NLMP 3.2.5.1.1: names come in OEM characters from those who do not ask for Unicode.
  let unicode = true
  return {
    challenge: (negotiate) => {
      if (negotiate.toString('latin1', 0, 8) !== 'NTLMSSP\0' || negotiate.readUInt32LE(8) !== 1)
        throw new Error('not a NEGOTIATE_MESSAGE')
      const asked = negotiate.readUInt32LE(12)
      // ntlm-auth does not ask for the flag of NTLM itself.
      if ((asked & (F.unicode | F.oem)) === 0) throw new Error('speaks neither Unicode nor OEM')
      if ((asked & F.ess) === 0) throw new Error('lacks extended session security')
      unicode = (asked & F.unicode) !== 0
      first = negotiate
      second = challengeMessage({
        flags:
          ((asked & (unicode ? SUPPORTED : SUPPORTED ^ F.unicode ^ F.oem)) |
            F.target |
            F.ntlm |
            TARGET_PAIRS |
            TARGET_IS_SERVER) >>>
          0,
        serverChallenge,
        pairs,
      })
      return second
    },
    accept: (message) =>
      second.byteLength === 0
        ? 'no challenge was given on this connection'
        : judge(message, { ...options, first, second, serverChallenge, pairs, unicode }),
  }
}

type Context = Parameters<typeof ntlmAcceptor>[0] & {
  readonly first: Buffer
  readonly second: Buffer
  readonly serverChallenge: Buffer
  readonly pairs: readonly (readonly [number, Buffer])[]
  readonly unicode: boolean
}

function judge(message: Buffer, context: Context): WinrmAccount | string {
  const { first, second, serverChallenge, unicode } = context
  if (message.toString('latin1', 0, 8) !== 'NTLMSSP\0' || message.readUInt32LE(8) !== 3)
    return 'not an AUTHENTICATE_MESSAGE'
  const field = (at: number) =>
    message.subarray(message.readUInt32LE(at + 4), message.readUInt32LE(at + 4) + message.readUInt16LE(at))
  const [nt, domain, user, encryptedKey] = [field(20), field(28), field(36), field(52)]
  if (nt.byteLength < 48) return 'NTLM version 1'
  const [userName, domainName] = [user, domain].map((name) => name.toString(unicode ? 'utf16le' : 'latin1')) as [
    string,
    string,
  ]
  const account = context.accounts.find(
    (each) =>
      each.user.toLowerCase() === userName.toLowerCase() &&
      (each.domain === null
        ? ['', '.', MACHINE].includes(domainName.toUpperCase())
        : each.domain.toLowerCase() === domainName.toLowerCase()),
  )
  if (account === undefined) return `no account "${domainName}\\${userName}"`
  const key = hmac(md4(utf16(account.password)), utf16(userName.toUpperCase() + domainName))
  const [proof, proven] = [nt.subarray(0, 16), nt.subarray(16)]
  if (!timingSafeEqual(hmac(key, serverChallenge, proven), proof)) return 'the proof is wrong'
  if (account.expired === true) return 'the password has expired'
  const answered = readPairs(proven.subarray(28))
  const fault = targetFault(answered, { pairs: context.pairs, time: proven.subarray(8, 16) })
  if (fault !== null) return fault
  if (!field(12).equals(Buffer.alloc(field(12).byteLength))) return 'an LM response, and our time was given'
  const baseKey = hmac(key, proof)
  const flags = message.readUInt32LE(60)
  const sessionKey = (flags & KEY_EXCHANGE) === 0 ? baseKey : rc4(baseKey, encryptedKey)
  const blank = Buffer.from(message)
  const code = Buffer.from(blank.subarray(72, 88))
  blank.fill(0, 72, 88)
  if (!timingSafeEqual(hmac(sessionKey, first, second, blank), code)) return 'the integrity code is wrong'
  return bindingFault(answered.get(10), context) ?? account
}

function targetFault(
  answered: ReadonlyMap<number, Buffer>,
  { pairs, time }: Pick<Context, 'pairs'> & { readonly time: Buffer },
): string | null {
  const missing = pairs.find(([id, value]) => answered.get(id)?.equals(value) !== true)
  if (missing !== undefined) return `target information ${missing[0]} did not come back as it was sent`
  if (!time.equals(answered.get(7) ?? Buffer.alloc(0))) return 'the time is not ours'
  return ((answered.get(6)?.readUInt32LE() ?? 0) & 2) === 0 ? 'no integrity code, and our time was given' : null
}

function bindingFault(
  given: Buffer | undefined,
  { binding, certificate, hash }: Parameters<typeof ntlmAcceptor>[0],
): string | null {
  const none = given === undefined || given.equals(Buffer.alloc(16))
  if (binding === 'none') return null
  if (none) return binding === 'strict' ? 'no channel binding' : null
  const data = Buffer.concat([Buffer.from('tls-server-end-point:'), createHash(hash).update(certificate).digest()])
  const length = Buffer.alloc(4)
  length.writeUInt32LE(data.byteLength)
  const wanted = createHash('md5')
    .update(Buffer.concat([Buffer.alloc(16), length, data]))
    .digest()
  return given.equals(wanted) ? null : 'the channel binding is of another connection'
}

function challengeMessage(parts: {
  readonly flags: number
  readonly serverChallenge: Buffer
  readonly pairs: readonly (readonly [number, Buffer])[]
}): Buffer {
  const name = utf16(MACHINE)
  const target = Buffer.concat([
    ...parts.pairs.map(([id, value]) => {
      const head = Buffer.alloc(4)
      head.writeUInt16LE(id)
      head.writeUInt16LE(value.byteLength, 2)
      return Buffer.concat([head, value])
    }),
    Buffer.alloc(4),
  ])
  const head = Buffer.alloc(56)
  head.write('NTLMSSP\0', 'latin1')
  head.writeUInt32LE(2, 8)
  for (const [at, length, offset] of [
    [12, name.byteLength, 56],
    [40, target.byteLength, 56 + name.byteLength],
  ] as const) {
    head.writeUInt16LE(length, at)
    head.writeUInt16LE(length, at + 2)
    head.writeUInt32LE(offset, at + 4)
  }
  head.writeUInt32LE((parts.flags | VERSION) >>> 0, 20)
  parts.serverChallenge.copy(head, 24)
  Buffer.from([10, 0, 0x61, 0x4a, 0, 0, 0, 15]).copy(head, 48)
  return Buffer.concat([head, name, target])
}

function readPairs(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (let at = 0; at + 4 <= bytes.byteLength; ) {
    const [id, length] = [bytes.readUInt16LE(at), bytes.readUInt16LE(at + 2)]
    if (id === 0) return found
    found.set(id, bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  throw new Error('AV pairs without an end')
}

function md4(message: Buffer): Buffer {
  const args = ['dgst', '-provider', 'legacy', '-provider', 'default', '-md4', '-binary']
  const { status, stdout, stderr } = spawnSync(requirePeer('openssl'), args, { input: message })
  if (status !== 0) throw new Error(`openssl dgst -md4: ${stderr}`)
  return stdout
}

function rc4(key: Buffer, data: Buffer): Buffer {
  const box = Uint8Array.from({ length: 256 }, (_, index) => index)
  const at = (index: number) => box[index & 255] ?? 0
  const swap = (left: number, right: number) => {
    const kept = at(left)
    box[left & 255] = at(right)
    box[right & 255] = kept
  }
  for (let i = 0, j = 0; i < 256; i++) {
    j = (j + at(i) + (key[i % key.byteLength] ?? 0)) & 255
    swap(i, j)
  }
  let [i, j] = [0, 0]
  return Buffer.from(
    data.map((byte) => {
      i = (i + 1) & 255
      j = (j + at(i)) & 255
      swap(i, j)
      return byte ^ at(at(i) + at(j))
    }),
  )
}

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  return createHmac('md5', key).update(Buffer.concat(parts)).digest()
}

function fileTime(ms: number): Buffer {
  const time = Buffer.alloc(8)
  time.writeBigUInt64LE((BigInt(ms) + 11_644_473_600_000n) * 10_000n)
  return time
}

function utf16(text: string): Buffer {
  return Buffer.from(text, 'utf16le')
}
