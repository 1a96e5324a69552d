// The opaque words by which a client asks for the next page: a place in a list that is newest first.

import * as z from 'zod'
import { BackupError } from '../../base/errors.ts'
import { parseJson } from '../scalars.ts'

/** A place as lists of state know it. */
export type Place = { readonly at: string; readonly id: string }

const place = z.tuple([z.string().max(64), z.string().max(128)])

export function encodeCursor({ at, id }: Place): string {
  return Buffer.from(JSON.stringify([at, id])).toString('base64url')
}

/** @throws BackupError `cursor-malformed` (usage) */
export function parseCursor(text: string): Place {
  const refuse = () =>
    new BackupError('Cannot go on in the list: the cursor is not one that this API gave', {
      code: 'cursor-malformed',
      kind: 'usage',
      hint: 'Give "next" of the page before as it is, or begin without a cursor',
    })
  if (!/^[A-Za-z0-9_-]+$/.test(text)) throw refuse()
  const [at, id] = parseJson(Buffer.from(text, 'base64url').toString('utf8'), { schema: place, refuse })
  return { at, id }
}
