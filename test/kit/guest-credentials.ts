// Credentials of guests for tests: an account, and of the rest only what a test names.

import type { GuestCredentials } from '../../lib/ports/guest.ts'

export function credentialsOf(user: string, more: Partial<GuestCredentials> = {}): GuestCredentials {
  const nothing = { password: null, privateKey: null, passphrase: null, domain: null, vix: null }
  return { user, ...nothing, hostKeys: [], certificates: [], sshPort: 22, winrmPort: 5986, ...more }
}
