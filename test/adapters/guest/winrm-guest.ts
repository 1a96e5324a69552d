// What tests of the winrm channel say to the listener of test/kit/winrm-server.ts.

import type { GuestCredentials } from '../../../lib/ports/guest.ts'
import { credentialsOf as accountOf } from '../../kit/guest-credentials.ts'
import { defaults } from '../../kit/winrm-server.ts'

export const cancel = { signal: new AbortController().signal }

/** The first account of the listener. */
export function credentialsOf(changes: Partial<GuestCredentials> = {}): GuestCredentials {
  const { user = '', password = '' } = defaults.accounts[0] ?? {}
  return accountOf(user, { password, ...changes })
}
