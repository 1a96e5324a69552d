// The secret of an alarm door: what may sign, and what may be shown, several of each at once so that they can be changed one after the
// other. JSON text: {"hmac": ["…"], "bearer": ["…"], "basic": [{"user": "…", "password": "…"}]}.

import * as z from 'zod'
import { BackupError } from '../../base/errors.ts'
import type { DoorKeys } from '../../model/door-keys.ts'
import { parseJson } from '../scalars.ts'

/** Long enough not to be guessed, and not a sentence that somebody forgot to replace. */
const secret = z.string().min(16, 'a secret has 16 characters or more').max(1024)

const doorSecret = z.strictObject({
  hmac: z.array(secret).max(10).default([]),
  bearer: z.array(secret).max(10).default([]),
  basic: z
    .array(z.strictObject({ user: z.string().min(1).max(256), password: secret }))
    .max(10)
    .default([]),
}) satisfies z.ZodType<DoorKeys>

/** @throws BackupError `door-secret-malformed` (kind usage), never with the text */
export function parseDoorSecret(text: string, name: string): DoorKeys {
  return parseJson(text, {
    schema: doorSecret,
    refuse: (reason) =>
      new BackupError(`Cannot use secret "${name}": ${/^not JSON/.test(reason) ? 'it is not JSON' : reason}`, {
        code: 'door-secret-malformed',
        kind: 'usage',
        hint: 'Store {"hmac": ["…"]}, {"bearer": ["…"]} or {"basic": [{"user": "…", "password": "…"}]} in it',
      }),
  })
}
