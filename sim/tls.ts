// A self-signed certificate made at start: X.509 version 3 in DER, ECDSA on P-256. Only what a server on loopback needs.

import { createHash, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { concatBytes, utf8Encode } from '../lib/base/bytes.ts'
import type { Random } from '../lib/base/random.ts'

export type ServerIdentity = {
  /** PEM. */
  readonly key: string
  /** PEM. */
  readonly certificate: string
}

const VALID_MS = 397 * 24 * 3_600_000
const OID = {
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  commonName: [0x55, 0x04, 0x03],
  subjectAltName: [0x55, 0x1d, 0x11],
  basicConstraints: [0x55, 0x1d, 0x13],
  keyUsage: [0x55, 0x1d, 0x0f],
  extendedKeyUsage: [0x55, 0x1d, 0x25],
  serverAuth: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
}

/** A new key and a certificate for "localhost", 127.0.0.1 and ::1, valid from an hour ago for a year. */
export function selfSigned(options: { readonly nowMs: number; readonly random: Random }): ServerIdentity {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = certificateOf({ publicKey, privateKey, ...options })
  const base64 = Buffer.from(der).toString('base64').replaceAll(/.{64}/g, '$&\n')
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate: `-----BEGIN CERTIFICATE-----\n${base64.trimEnd()}\n-----END CERTIFICATE-----\n`,
  }
}

/** Upper-case hex pairs with colons, as browsers and VMware's tools print fingerprints. */
export function thumbprints(certificate: string): { readonly sha256: string; readonly sha1: string } {
  const { raw } = new X509Certificate(certificate)
  const shown = (algorithm: string) =>
    createHash(algorithm)
      .update(raw)
      .digest('hex')
      .toUpperCase()
      .replaceAll(/..(?!$)/g, '$&:')
  return { sha256: shown('sha256'), sha1: shown('sha1') }
}

type Subject = {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
  readonly nowMs: number
  readonly random: Random
}

function certificateOf({ publicKey, privateKey, nowMs, random }: Subject): Uint8Array {
  const algorithm = sequence(objectId(OID.ecdsaWithSha256))
  const name = sequence(set(sequence(objectId(OID.commonName), tagged(0x0c, utf8Encode('localhost')))))
  const serial = random.bytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const body = sequence(
    tagged(0xa0, tagged(0x02, Uint8Array.of(2))),
    tagged(0x02, serial),
    algorithm,
    name,
    sequence(time(nowMs - 3_600_000), time(nowMs + VALID_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions())),
  )
  const signature = sign('sha256', body, privateKey)
  return sequence(body, algorithm, tagged(0x03, concatBytes([Uint8Array.of(0), signature])))
}

function extensions(): readonly Uint8Array[] {
  const names = sequence(
    tagged(0x82, utf8Encode('localhost')),
    tagged(0x87, Uint8Array.of(127, 0, 0, 1)),
    tagged(0x87, Uint8Array.of(...new Array<number>(15).fill(0), 1)),
  )
  return [
    extension(OID.subjectAltName, names),
    // A client may also put it into its store of authorities.
    extension(OID.basicConstraints, sequence(tagged(0x01, Uint8Array.of(0xff)))),
    // digitalSignature and keyCertSign.
    extension(OID.keyUsage, tagged(0x03, Uint8Array.of(2, 0x84))),
    extension(OID.extendedKeyUsage, sequence(objectId(OID.serverAuth))),
  ]
}

function extension(id: readonly number[], content: Uint8Array): Uint8Array {
  return sequence(objectId(id), tagged(0x04, content))
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return tagged(0x30, concatBytes(parts))
}

function set(...parts: readonly Uint8Array[]): Uint8Array {
  return tagged(0x31, concatBytes(parts))
}

function objectId(bytes: readonly number[]): Uint8Array {
  return tagged(0x06, Uint8Array.from(bytes))
}

/** UTCTime: two digits of the year, as X.509 wants before 2050. */
function time(ms: number): Uint8Array {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)
  return tagged(0x17, utf8Encode(`${digits}Z`))
}

function tagged(tag: number, content: Uint8Array): Uint8Array {
  const { byteLength } = content
  const size =
    byteLength < 0x80
      ? [byteLength]
      : byteLength < 0x100
        ? [0x81, byteLength]
        : [0x82, byteLength >> 8, byteLength & 0xff]
  return concatBytes([Uint8Array.of(tag, ...size), content])
}
