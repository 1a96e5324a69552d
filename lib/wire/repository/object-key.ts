// The names that an object store takes, and what every store says about an object that is not there.

import { BackupError, malformed } from '../../base/errors.ts'

const form = 'must be 1 to 512 of a-z, A-Z, 0-9, ".", "_", "-", "#" and "/" without an empty, "." or ".." part'

export function isObjectKey(key: string): boolean {
  const parts = key.split('/')
  const whole = /^[a-zA-Z0-9._#/-]{1,512}$/.test(key)
  return whole && !parts.some((part) => part === '' || part === '.' || part === '..')
}

/** @throws BackupError `malformed` */
export function checkObjectKey(key: string): string {
  if (!isObjectKey(key)) throw malformed('object key', key, form)
  return key
}

/** The beginning of a key: empty, or up to anywhere in it. @throws BackupError `malformed` */
export function checkObjectPrefix(prefix: string): string {
  const parts = prefix.split('/').slice(0, -1)
  const whole = /^[a-zA-Z0-9._#/-]{0,512}$/.test(prefix)
  if (!whole || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw malformed('object key prefix', prefix, form)
  }
  return prefix
}

export function objectMissing(key: string): BackupError {
  return new BackupError(`Cannot read object "${key}": there is none`, {
    code: 'object-missing',
    kind: 'integrity',
    hint: 'Something outside removed it, or this is another repository than the one that was written',
    facts: { key },
  })
}

export function objectShort(range: {
  readonly key: string
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly sizeBytes: number | null
}): BackupError {
  const { key, offsetBytes, lengthBytes, sizeBytes } = range
  const size = sizeBytes === null ? 'fewer' : `only ${sizeBytes}`
  return new BackupError(
    `Cannot read ${lengthBytes} bytes at ${offsetBytes} of object "${key}": it has ${size} bytes`,
    {
      code: 'object-short',
      kind: 'integrity',
      facts: { key, offsetBytes, lengthBytes, sizeBytes },
    },
  )
}
