// The account for a vCenter as a secret of the stack holds it: {"user", "password"}. Faults name keys, never values.

import * as z from 'zod'
import { BackupError } from '../base/errors.ts'

export type VcenterAccount = { readonly user: string; readonly password: string }

const account = z.object({ user: z.string().min(1), password: z.string().min(1) })

/**
 * @param name of the secret, for errors
 * @throws BackupError `credentials-malformed` (kind usage)
 */
export function parseVcenterAccount(text: string, name: string): VcenterAccount {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformedAccount(name, 'it is not JSON')
  }
  const parsed = account.safeParse(value)
  if (parsed.success) return { user: parsed.data.user, password: parsed.data.password }
  const keys = parsed.error.issues.map(({ path }) => path.join('.')).filter((key) => key !== '')
  throw malformedAccount(name, keys.length === 0 ? 'it is no object' : `it lacks "${keys.join('" and "')}"`)
}

function malformedAccount(name: string, reason: string): BackupError {
  return new BackupError(`Cannot log in to vCenter by secret "${name}": ${reason}`, {
    code: 'credentials-malformed',
    kind: 'usage',
    hint: 'Store {"user": "…", "password": "…"} in the secret that COLDFRAME_VCENTER_SECRET names',
    facts: { secret: name },
  })
}
