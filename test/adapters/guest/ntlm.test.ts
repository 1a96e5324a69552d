// NTLM's keys and responses against the published examples: RFC 1320 (A.5) and MS-NLMP 4.2.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  channelBindingOf,
  computeResponses,
  decodeChallenge,
  encodeAuthenticate,
  encodeNegotiate,
  responseKeyOf,
} from '../../../lib/adapters/guest/ntlm.ts'
import { md4 } from '../../../lib/adapters/guest/ntlm-md4.ts'
import { hexOf, utf8Encode } from '../../../lib/base/bytes.ts'

const account = { user: 'User', domain: 'Domain', password: 'Password' }
const serverChallenge = Buffer.from('0123456789abcdef', 'hex')
const clientChallenge = Buffer.alloc(8, 0xaa)

function pair(id: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16LE(id)
  head.writeUInt16LE(value.byteLength, 2)
  return Buffer.concat([head, value])
}

const target = Buffer.concat([
  pair(2, Buffer.from('Domain', 'utf16le')),
  pair(1, Buffer.from('Server', 'utf16le')),
  Buffer.alloc(4),
])

function challengeWith(pairs: Buffer, flags = 0xe28a8215): Buffer {
  const head = Buffer.alloc(56)
  head.write('NTLMSSP\0', 'latin1')
  head.writeUInt32LE(2, 8)
  head.writeUInt32LE(flags, 20)
  serverChallenge.copy(head, 24)
  head.writeUInt16LE(pairs.byteLength, 40)
  head.writeUInt16LE(pairs.byteLength, 42)
  head.writeUInt32LE(56, 44)
  return Buffer.concat([head, pairs])
}

const request = {
  account,
  negotiate: encodeNegotiate(),
  channelBinding: null,
  clientChallenge,
  nowMs: 1_760_000_000_000,
}

describe('NTLM', () => {
  it('md4() gives the digests of RFC 1320', () => {
    const cases = [
      ['', '31d6cfe0d16ae931b73c59d7e0c089c0'],
      ['a', 'bde52cb31de33e46245e05fbdbd6fb24'],
      ['abc', 'a448017aaf21d8525fc10ae87aa6729d'],
      ['message digest', 'd9130a8164549fe818874806e1c7014b'],
      ['abcdefghijklmnopqrstuvwxyz', 'd79e1c308aa5bbcdeea8ed63df412da9'],
      ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', '043f8582f241db351ce627e153e7f0e4'],
      ['1234567890'.repeat(8), 'e33b4ddc9c38f2199c3e7b164fcc0536'],
    ] as const
    expect(cases.map(([text]) => hexOf(md4(utf8Encode(text))))).toEqual(cases.map(([, digest]) => digest))
  })

  it('keys and responses of version 2 are those of MS-NLMP 4.2.2.1.2 and 4.2.4', () => {
    expect(hexOf(md4(Buffer.from('Password', 'utf16le')))).toBe('a4f49c406510bdcab6824ee7c30fd852')
    const key = responseKeyOf(account)
    expect(hexOf(key)).toBe('0c868a403bfd7a93a3001ef22ef02e3f')
    const { nt, lm, sessionKey } = computeResponses({
      key,
      serverChallenge,
      clientChallenge,
      timestamp: Buffer.alloc(8),
      target,
    })
    expect(hexOf(lm)).toBe('86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa')
    expect(hexOf(nt.subarray(0, 16))).toBe('68cd0ab851e51c96aabc927bebef6a1c')
    expect(hexOf(sessionKey)).toBe('8de40ccadbc14a82f15cb0ad0de95ca3')
  })

  it('upper case goes letter by letter, so "ß" is kept', () => {
    const keyOf = (user: string) => hexOf(responseKeyOf({ ...account, user }))
    expect(keyOf('jürgen')).toBe(keyOf('JÜRGEN'))
    expect(keyOf('groß')).toBe(keyOf('GROß'))
    expect(keyOf('groß')).not.toBe(keyOf('GROSS'))
  })

  it('a channel binding hashes the whole structure of RFC 2744', () => {
    // Computed by Python: hashlib.md5(16 zero bytes of addresses + length, little endian + data).
    const data = utf8Encode('tls-server-end-point:0123')
    expect(hexOf(channelBindingOf(data))).toBe('c917854cec381e133949cc1766cc20a8')
  })

  it('says that an integrity code is there, and leaves the LM response empty where the server names its time', () => {
    const time = Buffer.from('0090d336b734c301', 'hex')
    const pairs = Buffer.concat([pair(2, Buffer.from('D', 'utf16le')), pair(7, time), Buffer.alloc(4)])
    const message = Buffer.from(encodeAuthenticate({ ...request, challenge: challengeWith(pairs) }))
    const fieldAt = (at: number) =>
      message.subarray(message.readUInt32LE(at + 4), message.readUInt32LE(at + 4) + message.readUInt16LE(at))
    expect(fieldAt(12)).toEqual(Buffer.alloc(24))
    expect(fieldAt(20).subarray(24, 32)).toEqual(time)
    expect(fieldAt(20).includes(pair(6, Buffer.from([2, 0, 0, 0])))).toBe(true)
    expect(fieldAt(28).toString('utf16le')).toBe('Domain')
    expect(fieldAt(36).toString('utf16le')).toBe('User')
    expect(message.subarray(72, 88)).not.toEqual(Buffer.alloc(16))
  })

  it('a challenge that is none, or lacks what version 2 needs, is refused', () => {
    expect(() => decodeChallenge(Buffer.from('hello'))).toThrow(/must be a CHALLENGE_MESSAGE/)
    expect(() => decodeChallenge(challengeWith(target, 0xe20a8215))).toThrow(/target information/)
    expect(() => decodeChallenge(challengeWith(target, 0xe28a8214))).toThrow(/Unicode/)
    expect(() => decodeChallenge(challengeWith(target).subarray(0, 60))).toThrow(/ends inside/)
    expect(() => decodeChallenge(challengeWith(target.subarray(0, target.byteLength - 4)))).toThrow(/broken/)
  })

  it('no bytes at all make the reader of challenges throw anything but its own error', () => {
    const valid = challengeWith(target)
    const spoilt = fc
      .array(fc.tuple(fc.nat(valid.byteLength - 1), fc.nat(255)), { maxLength: 6 })
      .map((changes) => changes.reduce((bytes, [at, value]) => bytes.with(at, value), new Uint8Array(valid)))
    fc.assert(
      fc.property(fc.oneof(spoilt, fc.uint8Array({ maxLength: 120 })), (bytes) => {
        try {
          decodeChallenge(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'malformed' })
        }
      }),
    )
  })
})
