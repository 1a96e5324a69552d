// Secrets of one machine: from an environment variable or a file, read when asked for.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BackupError, messageOf } from '../../base/errors.ts'
import type { Secrets } from '../../ports/secrets.ts'
import type { SecretReference } from '../../wire/settings.ts'

/** The largest secret file that is read. */
const SECRET_BYTES_MAX = 64 * 1024

/**
 * A name that `references` does not know is one that a policy gives: the variable COLDFRAME_SECRET_NAME ('-' is '_'), else the
 * file of that name in `folder`.
 */
export function localSecrets(options: {
  readonly references: Readonly<Record<string, SecretReference>>
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly folder?: string | null
}): Secrets {
  const { references, environment } = options
  return {
    async read(name, cancel) {
      cancel.signal.throwIfAborted()
      const reference = Object.hasOwn(references, name) ? references[name] : named(name, options)
      if (reference === undefined) throw missing(name, 'nothing says where it is')
      if (reference.kind === 'file') return await fromFile(name, reference.path, cancel.signal)
      const value = environment[reference.name]
      if (value === undefined || value === '') throw missing(name, `the variable "${reference.name}" is not set`)
      return value
    },
  }
}

function named(name: string, { environment, folder }: Parameters<typeof localSecrets>[0]): SecretReference | undefined {
  // Part of a path below.
  if (!/^[a-z0-9-]{1,63}$/.test(name)) return undefined
  const variable = `COLDFRAME_SECRET_${name.toUpperCase().replaceAll('-', '_')}`
  if ((environment[variable] ?? '') !== '') return { kind: 'environment', name: variable }
  if (folder === undefined || folder === null) {
    const where = `neither the variable "${variable}" nor COLDFRAME_SECRETS (a folder with a file for each secret) is set`
    throw missing(name, where)
  }
  return { kind: 'file', path: join(folder, name) }
}

/** One line break at the end, as editors leave it, is not part of the secret. */
async function fromFile(name: string, path: string, signal: AbortSignal): Promise<string> {
  let text: string
  try {
    text = await readFile(path, { encoding: 'utf8', signal })
  } catch (error) {
    signal.throwIfAborted()
    throw missing(name, `the file "${path}" cannot be read (${messageOf(error)})`, error)
  }
  const secret = text.replace(/\r?\n$/, '')
  if (secret === '') throw missing(name, `the file "${path}" is empty`)
  if (text.length > SECRET_BYTES_MAX) throw missing(name, `the file "${path}" is larger than ${SECRET_BYTES_MAX} bytes`)
  return secret
}

function missing(name: string, why: string, cause?: unknown): BackupError {
  return new BackupError(`Cannot read secret "${name}": ${why}`, {
    code: 'secret-missing',
    kind: 'usage',
    hint: 'Set the variable or correct the file; secrets are never kept by Coldframe itself',
    facts: { name },
    ...(cause === undefined ? {} : { cause }),
  })
}
