// Where restores may write: the words of a request, and the list that whoever runs the stack allows.

import { BackupError, quote } from '../base/errors.ts'
import type { OperationTarget } from '../model/operation.ts'

/** Prefixes end in '/': everything below them is meant, nothing beside them. */
export type AllowedTarget = { readonly bucket: string; readonly prefix: string }

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const PREFIX_MAX = 400

/**
 * @param text s3://BUCKET/PREFIX/
 * @throws BackupError `target-malformed` (usage)
 */
export function parseRestoreTarget(text: string): Extract<OperationTarget, { kind: 'bucket' }> {
  const [, bucket = '', rest = ''] = /^s3:\/\/([^/]*)(?:\/(.*))?$/s.exec(text) ?? []
  const prefix = rest === '' || rest.endsWith('/') ? rest : `${rest}/`
  const parts = prefix.split('/').slice(0, -1)
  const isPlain = parts.every((part) => /^[A-Za-z0-9._=@+-]+$/.test(part) && part !== '.' && part !== '..')
  if (BUCKET.test(bucket) && isPlain && prefix.length <= PREFIX_MAX) return { kind: 'bucket', bucket, prefix }
  throw new BackupError(`Cannot restore to ${quote(text)}: it must be s3://BUCKET/PREFIX/`, {
    code: 'target-malformed',
    kind: 'usage',
    hint: 'A prefix is of letters, digits and ".", "_", "=", "@", "+", "-", parted by "/"',
  })
}

/**
 * The setting COLDFRAME_RESTORE_TARGETS: s3://BUCKET[/PREFIX/], several between commas. Nothing is allowed where it is not set.
 * @throws BackupError `target-malformed` (usage)
 */
export function parseAllowedTargets(text: string | undefined): readonly AllowedTarget[] {
  const words = (text ?? '').split(',').map((word) => word.trim())
  return words.filter((word) => word !== '').map(parseRestoreTarget)
}

/** @throws BackupError `target-not-allowed` (refused) */
export function refuseOtherTargets(
  target: Extract<OperationTarget, { kind: 'bucket' }>,
  allowed: readonly AllowedTarget[],
): void {
  if (allowed.some(({ bucket, prefix }) => bucket === target.bucket && target.prefix.startsWith(prefix))) return
  const names = allowed.map(({ bucket, prefix }) => `s3://${bucket}/${prefix}`)
  throw new BackupError(`Cannot restore to "s3://${target.bucket}/${target.prefix}": restores may not write there`, {
    code: 'target-not-allowed',
    kind: 'refused',
    hint:
      names.length === 0
        ? 'No place is allowed yet: whoever runs the stack names some in COLDFRAME_RESTORE_TARGETS'
        : `They may write below ${names.join(', ')}`,
  })
}
