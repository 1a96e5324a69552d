// From a stack's settings to what the vSphere adapter logs in with: the account is a secret in Secrets Manager.

import type { VsphereSettings } from '../adapters/vsphere/vsphere.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { withTimeLimit } from '../base/time-limit.ts'
import type { Secrets } from '../ports/secrets.ts'
import type { AwsVcenter } from '../wire/aws-settings.ts'
import { parseVcenterAccount } from '../wire/vcenter-account.ts'

/** The longest that a login waits for its secret. */
const LOGIN_MS = 30_000

/** The account is read at every login, and only then: a password that was changed is taken up without a deployment. */
export function awsVsphereSettings(
  { url, secret, trust }: AwsVcenter,
  { secrets, clock, random }: { readonly secrets: Secrets; readonly clock: Clock; readonly random: Random },
): VsphereSettings {
  return {
    ...{ url, trust, clock, random },
    account: async ({ signal }) =>
      parseVcenterAccount(await secrets.read(secret, { signal: withTimeLimit(signal, LOGIN_MS) }), secret),
  }
}
