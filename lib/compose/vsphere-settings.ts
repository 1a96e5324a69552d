// From settings, which hold no secret, to what the vSphere adapter logs in with.

import { readFile } from 'node:fs/promises'
import { localSecrets } from '../adapters/local/secrets.ts'
import type { Trust, VsphereSettings } from '../adapters/vsphere/vsphere.ts'
import type { Clock } from '../base/clock.ts'
import { BackupError, messageOf } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { AwsVcenter } from '../wire/aws-settings.ts'
import type { VcenterSettings, VcenterTrust } from '../wire/settings.ts'

export type Surroundings = {
  /** Where secrets given by variable are found. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
}

/** Plain data, on one machine or of a stack: structured clone carries it to a thread, which finds the secret by itself. */
export type VcenterAccess = VcenterSettings | AwsVcenter

/** No secret is read before a login. @throws BackupError `ca-file-unreadable` (kind usage) */
export async function vsphereSettingsOf(
  vcenter: VcenterAccess,
  around: Surroundings,
  cancel: Cancel,
): Promise<VsphereSettings> {
  if ('secret' in vcenter) {
    // Loaded only on AWS: a thread of one machine starts without AWS's client.
    const [{ awsSecrets }, { awsVsphereSettings }] = await Promise.all([
      import('../adapters/aws/secrets.ts'),
      import('./aws-vcenter.ts'),
    ])
    const { clock, random } = around
    return awsVsphereSettings(vcenter, { secrets: awsSecrets({ prefix: '' }, { clock, random }), clock, random })
  }
  const { environment, clock, random } = around
  const secrets = localSecrets({ references: { 'vcenter-password': vcenter.password }, environment })
  return {
    url: vcenter.url,
    account: async (within) => ({
      user: vcenter.user,
      password: await secrets.read('vcenter-password', within),
    }),
    trust: await trustOf(vcenter.trust, cancel),
    clock,
    random,
  }
}

async function trustOf(trust: VcenterTrust, { signal }: Cancel): Promise<Trust> {
  if (trust.kind !== 'ca-file') return trust
  try {
    return { kind: 'ca', pem: await readFile(trust.path, { encoding: 'utf8', signal }) }
  } catch (error) {
    signal.throwIfAborted()
    throw new BackupError(`Cannot read the CA file "${trust.path}": ${messageOf(error)}`, {
      code: 'ca-file-unreadable',
      kind: 'usage',
      hint: 'Correct COLDFRAME_VCENTER_CA_FILE',
      facts: { path: trust.path },
      cause: error,
    })
  }
}
