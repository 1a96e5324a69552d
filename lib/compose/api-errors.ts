// Errors that several routes of the HTTP API answer with.

import { BackupError, quote } from '../base/errors.ts'
import type { ApiCall } from './api-call.ts'

/** What is no id is the id of nothing. @throws BackupError `<what>-not-found` */
export function knownId<Id>({ named }: Pick<ApiCall, 'named'>, what: string, parse: (text: string) => Id): Id {
  const { id = '' } = named
  try {
    return parse(id)
  } catch {
    throw notFound(what, id)
  }
}

export function notFound(what: string, id: string): BackupError {
  return new BackupError(`Cannot find ${what} ${quote(id)}`, {
    code: `${what}-not-found`,
    kind: 'not-found',
    hint: 'The list of them tells which there are; an id has 32 hex digits',
    facts: { [what]: id },
  })
}

export function keyReused(key: string): BackupError {
  return new BackupError(
    `Cannot start this under the Idempotency-Key ${quote(key)}: it asked for something else before`,
    {
      code: 'idempotency-key-reused',
      kind: 'refused',
      hint: 'Nothing new was started; give each request a key of its own',
    },
  )
}
