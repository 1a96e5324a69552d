// S3's XML <-> model: errors, listings, the documents of a multipart upload (Amazon S3 API Reference).

import sax from 'sax'
import * as z from 'zod'
import { BackupError } from '../base/errors.ts'

/** Listings of 1,000 keys are a few hundred KB. */
export const S3_DOCUMENT_BYTES_MAX = 8 * 1024 * 1024
const DEPTH_MAX = 16

export type S3ErrorDocument = { readonly code: string; readonly message: string; readonly region: string | null }

/** One version of a key, or the mark that it was deleted. */
export type ListedVersion = {
  readonly key: string
  readonly versionId: string | null
  readonly kind: 'object' | 'marker'
  readonly sizeBytes: number
  /** ISO 8601 in UTC. */
  readonly modifiedAt: string
}

export type ListedPage = {
  readonly versions: readonly ListedVersion[]
  /** What the request for the next page must add to its query; null on the last page. */
  readonly next: Readonly<Record<string, string>> | null
}

type Element = { readonly name: string; readonly children: Element[]; text: string }

/** @returns null for what is no error document: a proxy's page, an empty body */
export function parseS3Error(bytes: Uint8Array): S3ErrorDocument | null {
  try {
    const root = readXml(bytes)
    if (root.name !== 'Error') return null
    const region = textOf(root, 'Region')
    return { code: textOf(root, 'Code'), message: textOf(root, 'Message'), region: region === '' ? null : region }
  } catch {
    return null
  }
}

/** A page of ListObjectsV2 or of ListObjectVersions that was asked for with encoding-type=url. @throws BackupError `s3-reply-malformed` */
export function parseListing(bytes: Uint8Array): ListedPage {
  const root = readXml(bytes)
  if (root.name !== 'ListBucketResult' && root.name !== 'ListVersionsResult') {
    throw odd(`it is a "${root.name}", not a listing`)
  }
  const versions = root.children.flatMap((child) => {
    if (!['Contents', 'Version', 'DeleteMarker'].includes(child.name)) return []
    return [versionOf(child)]
  })
  if (textOf(root, 'IsTruncated') !== 'true') return { versions, next: null }
  if (root.name === 'ListBucketResult') {
    const token = textOf(root, 'NextContinuationToken')
    if (token === '') throw odd('it is not the last page and does not say how to go on')
    return { versions, next: { 'continuation-token': token } }
  }
  const key = decoded(textOf(root, 'NextKeyMarker'))
  const version = textOf(root, 'NextVersionIdMarker')
  if (key === '') throw odd('it is not the last page and does not say how to go on')
  return { versions, next: { 'key-marker': key, ...(version === '' ? {} : { 'version-id-marker': version }) } }
}

/** The text of an element right below the root, of any document. @throws BackupError `s3-reply-malformed` */
export function parseS3Field(bytes: Uint8Array, name: string): string | null {
  const root = readXml(bytes)
  return root.children.find((child) => child.name === name)?.text ?? null
}

/** Whether a bucket policy has a statement that denies everybody everything without TLS. Other forms are not recognized. */
export function deniesPlainHttp(bytes: Uint8Array): boolean {
  const parsed = policyJson.safeParse(jsonOf(new TextDecoder().decode(bytes)))
  if (!parsed.success) return false
  return [parsed.data.Statement].flat().some(({ Effect, Condition }) => {
    const value = Condition?.Bool?.['aws:SecureTransport']
    return Effect === 'Deny' && (value === 'false' || value === false)
  })
}

const statementJson = z.object({
  Effect: z.string(),
  Condition: z.optional(z.object({ Bool: z.optional(z.record(z.string(), z.unknown())) })),
})
const policyJson = z.object({ Statement: z.union([statementJson, z.array(statementJson)]) })

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export function encodeParts(
  parts: readonly { readonly number: number; readonly etag: string; readonly crc32: string }[],
): Uint8Array {
  const rows = parts.map(
    ({ number, etag, crc32 }) =>
      `<Part><PartNumber>${number}</PartNumber><ETag>${escaped(etag)}</ETag><ChecksumCRC32>${escaped(crc32)}</ChecksumCRC32></Part>`,
  )
  const text = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${rows.join('')}</CompleteMultipartUpload>`
  return new TextEncoder().encode(text)
}

function versionOf(element: Element): ListedVersion {
  const sizeBytes = Number(textOf(element, 'Size'))
  const modified = Date.parse(textOf(element, 'LastModified'))
  const key = decoded(textOf(element, 'Key'))
  const marker = element.name === 'DeleteMarker'
  if (key === '' || Number.isNaN(modified) || (!marker && !(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0))) {
    throw odd(`an entry of it has no key, time or size ("${key}")`)
  }
  const versionId = textOf(element, 'VersionId')
  return {
    key,
    versionId: versionId === '' ? null : versionId,
    kind: marker ? 'marker' : 'object',
    sizeBytes: marker ? 0 : sizeBytes,
    modifiedAt: new Date(modified).toISOString(),
  }
}

function textOf(element: Element, name: string): string {
  return element.children.find((child) => child.name === name)?.text ?? ''
}

/** encoding-type=url: as in a form, a space is "+". */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw odd(`the key "${text}" in it is not encoded as asked for`)
  }
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function readXml(bytes: Uint8Array): Element {
  const root: Element = { name: '', children: [], text: '' }
  const stack = [root]
  const parser = sax.parser(true, { trim: false })
  parser.onopentag = ({ name }) => {
    const element = { name, children: [], text: '' }
    stack.at(-1)?.children.push(element)
    stack.push(element)
    if (stack.length > DEPTH_MAX) throw odd('its elements lie too deep')
  }
  parser.onclosetag = () => void stack.pop()
  parser.ontext = (text) => {
    const top = stack.at(-1)
    if (top !== undefined) top.text += text
  }
  parser.onerror = (error) => {
    throw odd(error.message.split('\n')[0] ?? 'it is no XML')
  }
  parser.write(new TextDecoder().decode(bytes)).close()
  const first = root.children[0]
  if (first === undefined) throw odd('it has no element')
  return first
}

function odd(why: string): BackupError {
  return new BackupError(`Cannot read a document of S3: ${why}`, {
    code: 's3-reply-malformed',
    hint: 'Check that the endpoint is S3 or speaks as S3 does',
  })
}
