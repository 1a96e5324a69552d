// Where restores may write: the words of a request, and the list that whoever runs the stack allows.

import { BackupError, quote } from '../base/errors.ts'
import type { OperationTarget } from '../model/operation.ts'
import type { RepositoryPlace } from './repository-place.ts'

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const PATH_MAX = 400

/**
 * @param text s3://BUCKET/PREFIX/, or file:///FOLDER/ on a machine of one's own
 * @returns with a prefix or folder that ends in '/': everything below it is meant, nothing beside it
 * @throws BackupError `target-malformed` (usage)
 */
export function parseRestoreTarget(text: string): OperationTarget {
  const [, bucket = '', rest = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/s.exec(text) ?? []
  if (BUCKET.test(bucket) && isPlainPath(rest)) return { kind: 'bucket', bucket, prefix: ended(rest) }
  const [, path = ''] = /^file:\/\/\/(.+)$/s.exec(text) ?? []
  if (path !== '' && isPlainPath(path)) return { kind: 'folder', folder: `/${ended(path)}` }
  throw new BackupError(`Cannot restore to ${quote(text)}: it must be s3://BUCKET/PREFIX/`, {
    code: 'target-malformed',
    kind: 'usage',
    hint: 'A prefix is of letters, digits and ".", "_", "=", "@", "+", "-", parted by "/"; file:///FOLDER/ needs a machine of one\'s own',
  })
}

function isPlainPath(path: string): boolean {
  const parts = ended(path).split('/').slice(0, -1)
  return path.length <= PATH_MAX && parts.every((part) => /^[A-Za-z0-9._=@+-]+$/.test(part) && !/^\.+$/.test(part))
}

function ended(path: string): string {
  return path === '' || path.endsWith('/') ? path : `${path}/`
}

/**
 * The setting COLDFRAME_RESTORE_TARGETS: several between commas. Nothing is allowed where it is not set.
 * @throws BackupError `target-malformed` (usage)
 */
export function parseAllowedTargets(text: string | undefined): readonly OperationTarget[] {
  const words = (text ?? '').split(',').map((word) => word.trim())
  return words.filter((word) => word !== '').map(parseRestoreTarget)
}

/** @throws BackupError `target-not-allowed` (refused) */
export function refuseOtherTargets(target: OperationTarget, allowed: readonly OperationTarget[]): void {
  if (allowed.some((one) => isBelow(target, one))) return
  throw new BackupError(`Cannot restore to "${targetText(target)}": restores may not write there`, {
    code: 'target-not-allowed',
    kind: 'refused',
    hint:
      allowed.length === 0
        ? 'No place is allowed yet: whoever runs the stack names some in COLDFRAME_RESTORE_TARGETS'
        : `They may write below ${allowed.map(targetText).join(', ')}`,
  })
}

/**
 * Images beside packs would be taken for damage, and keep rules might let them go.
 * @throws BackupError `target-is-repository` (refused) where the repository holds the place
 */
export function refuseRepository(target: OperationTarget, place: RepositoryPlace): void {
  const own: OperationTarget =
    place.kind === 's3'
      ? { kind: 'bucket', bucket: place.bucket, prefix: place.prefix }
      : { kind: 'folder', folder: ended(place.folder) }
  if (!isBelow(target, own)) return
  throw new BackupError(`Cannot restore to "${targetText(target)}": the repository lies there`, {
    code: 'target-is-repository',
    kind: 'refused',
    hint: 'Name a place that does not lie in the repository',
  })
}

export function targetText(target: OperationTarget): string {
  return target.kind === 'bucket' ? `s3://${target.bucket}/${target.prefix}` : `file://${target.folder}`
}

function isBelow(target: OperationTarget, allowed: OperationTarget): boolean {
  if (target.kind === 'folder') return allowed.kind === 'folder' && target.folder.startsWith(allowed.folder)
  return allowed.kind === 'bucket' && target.bucket === allowed.bucket && target.prefix.startsWith(allowed.prefix)
}
