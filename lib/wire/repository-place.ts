// Where a repository lies: "file:DIR" or "s3:BUCKET[/PREFIX]". Plain data that says all that is needed to reach it but no secret.

import { resolve } from 'node:path'
import { quote } from '../base/errors.ts'

export type FolderPlace = { readonly kind: 'folder'; readonly folder: string }

export type BucketPlace = {
  readonly kind: 's3'
  readonly bucket: string
  /** What the keys of one repository in it start with: '' or ending in '/'. */
  readonly prefix: string
  readonly region: string
  /** "http[s]://host[:port]" of a store that speaks as S3 does; null: Amazon's. */
  readonly endpoint: string | null
  /** Object Lock of what is put, from when it is put; null: as the bucket does by default. */
  readonly lock: { readonly mode: 'GOVERNANCE' | 'COMPLIANCE'; readonly days: number } | null
  /** ARN of the KMS key that objects are encrypted with by S3; null: as the bucket does by default. */
  readonly objectKey: string | null
}

export type RepositoryPlace = FolderPlace | BucketPlace

/** A value and the name an operator knows it by. */
export type Given = { readonly name: string; readonly text: string }

/** The variables that belong to a bucket, beside its own name. */
export const BUCKET_VARIABLES = {
  region: ['AWS_REGION', 'AWS_DEFAULT_REGION'],
  endpoint: ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'],
  lock: ['COLDFRAME_OBJECT_LOCK'],
  objectKey: ['COLDFRAME_OBJECT_KEY'],
} as const

type Environment = Readonly<Record<string, string | undefined>>
type Reading = { readonly environment: Environment; readonly folder: string; readonly faults: string[] }

const LOCK_DAYS_MAX = 36_500

/** @returns null with a fault, or several, when it cannot be read */
export function repositoryPlaceOf(
  { name, text }: Given,
  { environment, folder, faults }: Reading,
): RepositoryPlace | null {
  const match = /^file:(?:\/\/(?=\/))?(.+)$/.exec(text)
  if (match?.[1] !== undefined) return { kind: 'folder', folder: resolve(folder, match[1]) }
  if (/^s3:/.test(text)) return bucketPlaceOf({ name, text }, { environment, faults })
  faults.push(`${name} is ${quote(text)}: must be file:DIR or s3:BUCKET[/PREFIX]`)
  return null
}

/** @returns null with a fault, or several, when it cannot be read */
export function bucketPlaceOf(
  { name, text }: Given,
  { environment, faults }: Omit<Reading, 'folder'>,
): BucketPlace | null {
  const match = /^s3:(?:\/\/)?([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([A-Za-z0-9._/-]{0,400}?)\/?)?$/.exec(text)
  const [, bucket, path = ''] = match ?? []
  const isPath = path === '' || path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  if (bucket === undefined || !isPath) {
    faults.push(`${name} is ${quote(text)}: must be s3:BUCKET[/PREFIX]`)
    return null
  }
  const first = faults.length
  const region = firstOf(environment, BUCKET_VARIABLES.region)
  if (region === null) faults.push(`AWS_REGION is not set: the region of the bucket in ${name}`)
  else if (!/^[a-z0-9-]{1,40}$/.test(region.text))
    faults.push(`${region.name} is ${quote(region.text)}: must be a region`)
  const endpoint = endpointOf(firstOf(environment, BUCKET_VARIABLES.endpoint), faults)
  const lock = lockOf(firstOf(environment, BUCKET_VARIABLES.lock), faults)
  const objectKey = firstOf(environment, BUCKET_VARIABLES.objectKey)
  if (objectKey !== null && !/^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)\/\S+$/.test(objectKey.text)) {
    faults.push(`${objectKey.name} is ${quote(objectKey.text)}: must be the ARN of a KMS key`)
  }
  if (faults.length > first || region === null) return null
  const prefix = path === '' ? '' : `${path}/`
  return { kind: 's3', bucket, prefix, region: region.text, endpoint, lock, objectKey: objectKey?.text ?? null }
}

/** As COLDFRAME_REPOSITORY names it. */
export function placeName(place: RepositoryPlace): string {
  if (place.kind === 'folder') return `file:${place.folder}`
  return `s3:${place.bucket}${place.prefix === '' ? '' : `/${place.prefix.slice(0, -1)}`}`
}

/** The variables from which repositoryPlaceOf() makes this place in another process. */
export function placeVariables(place: RepositoryPlace): Readonly<Record<string, string>> {
  const named = { COLDFRAME_REPOSITORY: placeName(place) }
  if (place.kind === 'folder') return named
  return {
    ...named,
    AWS_REGION: place.region,
    ...(place.endpoint === null ? {} : { AWS_ENDPOINT_URL_S3: place.endpoint }),
    ...(place.lock === null ? {} : { COLDFRAME_OBJECT_LOCK: `${place.lock.mode.toLowerCase()}:${place.lock.days}` }),
    ...(place.objectKey === null ? {} : { COLDFRAME_OBJECT_KEY: place.objectKey }),
  }
}

function endpointOf(given: Given | null, faults: string[]): string | null {
  if (given === null) return null
  const url = URL.parse(given.text)
  const plain = url !== null && url.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
  if (plain && (url.protocol === 'https:' || url.protocol === 'http:')) return url.origin
  faults.push(`${given.name} is ${quote(given.text)}: must be http[s]://host[:port]`)
  return null
}

/** "compliance:30": mode and days. */
function lockOf(given: Given | null, faults: string[]): BucketPlace['lock'] {
  if (given === null) return null
  const match = /^(governance|compliance):([1-9][0-9]{0,4})$/.exec(given.text)
  const days = Number(match?.[2])
  if (match !== null && days <= LOCK_DAYS_MAX) {
    return { mode: match[1] === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE', days }
  }
  faults.push(
    `${given.name} is ${quote(given.text)}: must be governance:DAYS or compliance:DAYS (1 to ${LOCK_DAYS_MAX})`,
  )
  return null
}

function firstOf(environment: Environment, names: readonly string[]): Given | null {
  for (const name of names) {
    const text = environment[name]?.trim()
    if (text !== undefined && text !== '') return { name, text }
  }
  return null
}
