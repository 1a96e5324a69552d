// What the operating system said about a file we write, in an operator's words.

import { BackupError, messageOf } from '../../base/errors.ts'

/** For example "ENOENT"; null for what is not an error of the operating system. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}

/**
 * @param doing the beginning of the sentence, for example `Cannot write 4096 bytes at 0 of "/restore/disk.raw"`
 * @returns `target-full`, `target-too-large`, `target-missing-folder`, `target-refused` or `target-write-failed`
 */
export function targetError(
  doing: string,
  { path, cause }: { readonly path: string; readonly cause: unknown },
): BackupError {
  const errno = errnoOf(cause)
  const facts = { path, errno }
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new BackupError(`${doing}: no space is left there`, {
        code: 'target-full',
        retry: 'later',
        hint: 'Free space, raise the quota, or choose another place',
        facts,
        cause,
      })
    case 'EFBIG':
      return new BackupError(`${doing}: the file system does not take a file this large`, {
        code: 'target-too-large',
        hint: 'Choose a file system without this limit',
        facts,
        cause,
      })
    case 'ENOENT':
    case 'ENOTDIR':
      return new BackupError(`${doing}: its folder does not exist`, {
        code: 'target-missing-folder',
        kind: 'usage',
        hint: 'Make the folder first, or correct the path',
        facts,
        cause,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new BackupError(`${doing}: writing there is not allowed`, {
        code: 'target-refused',
        kind: 'refused',
        hint: 'Check the owner and the mode of the folder, and that the file system is mounted for writing',
        facts,
        cause,
      })
    default:
      return new BackupError(`${doing}: ${messageOf(cause)}`, { code: 'target-write-failed', facts, cause })
  }
}
