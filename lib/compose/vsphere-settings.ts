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

/** @throws BackupError `ca-file-unreadable` (kind usage); what the stack's secrets throw */
export async function vsphereSettingsOf(
  vcenter: VcenterAccess,
  around: Surroundings,
  cancel: Cancel,
): Promise<VsphereSettings> {
  if ('secret' in vcenter) {
    // Loaded only on AWS: a thread of one machine starts without AWS's client.
    const { awsVsphereSettings } = await import('./aws-vcenter.ts')
    return awsVsphereSettings(vcenter, around, cancel)
  }
  const { environment, clock, random } = around
  const secrets = localSecrets({ references: { 'vcenter-password': vcenter.password }, environment })
  return {
    url: vcenter.url,
    user: vcenter.user,
    // Asked for at a login of its own time: the signal of whoever opened the first session may be over by then.
    password: () => secrets.read('vcenter-password', { signal: new AbortController().signal }),
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
