// Small stored documents: JSON that anybody can read and only a holder of the master key can write.

import { hexOf, utf8Decode, utf8Encode } from '../base/bytes.ts'
import { BackupError } from '../base/errors.ts'
import { canonicalJson } from '../wire/repository/canonical-json.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { bytesOfHexExactly } from '../wire/repository/record-ref.ts'
import { formatClaim, formatName, formatVersion, kidClaim } from '../wire/repository/settings.ts'
import { metaMac, type RepositoryKeys, sameMac } from './keys.ts'

const macDigits = 64

/** Canonical JSON whose last member is `name`: hex of 32 bytes over the text without that member. */
export function withCheck(
  value: object,
  check: { readonly name: string; readonly of: (text: Uint8Array) => Uint8Array },
): Uint8Array {
  const text = canonicalJson({ format: formatName, version: formatVersion, required: [], ...value })
  return utf8Encode(`${text.slice(0, -1)},"${check.name}":"${hexOf(check.of(utf8Encode(text)))}"}`)
}

/** @returns the text that the check covers, and the check; null when the bytes do not end with one */
export function splitCheck(
  bytes: Uint8Array,
  name: string,
): { readonly covered: Uint8Array; readonly check: Uint8Array } | null {
  const text = textOf(bytes)
  const suffix = text?.slice(-(macDigits + name.length + 7)) ?? ''
  const match = new RegExp(`^,"${name}":"([0-9a-f]{${macDigits}})"}$`).exec(suffix)
  if (text === null || match === null) return null
  return { covered: utf8Encode(`${text.slice(0, -suffix.length)}}`), check: bytesOfHexExactly(match[1] ?? '', 32) }
}

/** The document as JSON, of which nothing may be believed yet. @throws BackupError `integrity` for bytes that are no JSON */
export function unprovenJson(bytes: Uint8Array, what: string): unknown {
  const text = textOf(bytes)
  const json = text === null ? undefined : jsonOf(text)
  if (json === undefined) throw corrupt(`Cannot read ${what}: it is not a document of this format`)
  return json
}

export type DocumentKind = 'settings' | 'keys' | 'session-start' | 'point' | 'annotation'

/**
 * Only of a document that is authentic: else anybody could say that a repository needs a newer program.
 * @throws BackupError `repository-version` for a newer format; `integrity` for another kind of document
 */
export function checkDocument(json: unknown, document: { readonly kind: DocumentKind; readonly what: string }): void {
  const { kind, what } = document
  const claim = formatClaim.safeParse(json)
  if (!claim.success) throw corrupt(`Cannot read ${what}: it is not a document of this format`)
  if (claim.data.document !== kind) throw corrupt(`Cannot trust ${what}: it is of kind "${claim.data.document}"`)
  checkClaim(claim.data, what)
}

/**
 * A whole document under a MAC: authentic first, then known.
 * @throws BackupError `integrity`, `repository-key`, `repository-version`
 */
export function authenticJson(
  keys: RepositoryKeys,
  document: { readonly bytes: Uint8Array; readonly kind: DocumentKind; readonly what: string },
): unknown {
  const { bytes, what } = document
  const json = unprovenJson(bytes, what)
  checkMac(keys, { kid: kidOf(json, what), bytes, what })
  checkDocument(json, document)
  return json
}

/** @throws BackupError `repository-version` */
export function checkClaim(
  claim: { readonly version: number; readonly required: readonly string[] },
  what: string,
): void {
  const unknown = claim.required[0]
  if (claim.version === formatVersion && unknown === undefined) return
  const needs = claim.version === formatVersion ? `feature "${unknown}"` : `version "${claim.version}"`
  throw new BackupError(
    `Cannot read ${what}: it needs ${needs}, this program knows version "${formatVersion}" without it`,
    {
      code: 'repository-version',
      kind: 'refused',
      hint: 'Use a newer version of Coldframe; the stored data is not touched',
      facts: { version: claim.version, required: claim.required },
    },
  )
}

/** Which key's MAC to check before anything else of the document is used. @throws BackupError `integrity` */
export function kidOf(json: unknown, what: string): string {
  const named = kidClaim.safeParse(json)
  if (!named.success) throw corrupt(`Cannot read ${what}: it names no key`)
  return named.data.kid
}

/** A document under K_meta of `kid`. */
export function sealJson(keys: RepositoryKeys, document: { readonly kid: string; readonly value: object }): Uint8Array {
  return withCheck(document.value, { name: 'mac', of: (bytes) => metaMac(keys, { kid: document.kid, bytes }) })
}

/** @throws BackupError `integrity` unless the document's MAC under `kid` is right */
export function checkMac(
  keys: RepositoryKeys,
  document: { readonly kid: string; readonly bytes: Uint8Array; readonly what: string },
): void {
  const parts = splitCheck(document.bytes, 'mac')
  if (parts !== null && sameMac(parts.check, metaMac(keys, { kid: document.kid, bytes: parts.covered }))) return
  throw corrupt(`Cannot trust ${document.what}: its MAC does not fit its text`)
}

function textOf(bytes: Uint8Array): string | null {
  try {
    return utf8Decode(bytes)
  } catch {
    return null
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
