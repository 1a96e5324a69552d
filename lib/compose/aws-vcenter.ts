// From a stack's settings to what the vSphere adapter logs in with: the account is a secret in Secrets Manager.

import { awsSecrets } from '../adapters/aws/secrets.ts'
import type { VsphereSettings } from '../adapters/vsphere/vsphere.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { AwsVcenter } from '../wire/aws-settings.ts'
import { parseVcenterAccount } from '../wire/vcenter-account.ts'

/** Reads the secret now for the user, and at each login for the password: a password that was changed meanwhile is the right one. */
export async function awsVsphereSettings(
  { url, secret, trust }: AwsVcenter,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  cancel: Cancel,
): Promise<VsphereSettings> {
  const secrets = awsSecrets({ prefix: '' }, { clock, random })
  const account = async (within: Cancel) => parseVcenterAccount(await secrets.read(secret, within), secret)
  const { user } = await account(cancel)
  return {
    ...{ url, user, trust, clock, random },
    // Asked for at a login of its own time: the signal of whoever opened the first session may be over by then.
    password: async () => (await account({ signal: new AbortController().signal })).password,
  }
}
