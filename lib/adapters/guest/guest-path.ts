// Words for paths in guests that are absent, too large, refused or not to be removed.

import { BackupError } from '../../base/errors.ts'

export function pathMissing(path: string, cause?: unknown): BackupError {
  return new BackupError(`Cannot find "${path}" in the guest`, { code: 'guest-path-missing', facts: { path }, cause })
}

export function tooLarge(path: string, bytesMax: number): BackupError {
  return new BackupError(`Cannot fetch "${path}" from the guest: it is larger than ${bytesMax} bytes`, {
    code: 'guest-file-large',
    facts: { path, bytesMax },
  })
}

export function fileRefused(path: string, reason: string): BackupError {
  return new BackupError(`Cannot use "${path}" in the guest: ${reason}`, {
    code: 'guest-path-refused',
    kind: 'refused',
    facts: { path },
  })
}

export function damaged(
  path: string,
  { needed, found }: { readonly needed: string; readonly found: string },
): BackupError {
  return new BackupError(`Cannot trust "${path}" in the guest: its SHA-256 is "${found}", needed is "${needed}"`, {
    code: 'guest-file-damaged',
    kind: 'integrity',
    retry: 'later',
    facts: { path, needed, found },
  })
}

/** @throws BackupError `guest-path-refused` for a path whose removal would take more than what is meant */
export function refuseRemoval(path: string, family: 'linux' | 'windows'): void {
  const parts = path.split(family === 'windows' ? /[\\/]/ : '/')
  const rooted = family === 'windows' ? /^[A-Za-z]:$/.test(parts[0] ?? '') : parts[0] === ''
  const below = parts.slice(1).filter((part) => part !== '' && part !== '.')
  if (rooted && below.length > 0 && !below.includes('..')) return
  throw fileRefused(path, 'only an absolute path below the root, without "..", is ever removed')
}
