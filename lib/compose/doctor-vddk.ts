// What the doctor looks at of nbdkit and VDDK, where a policy names a transport that needs them.

import { askNbdkit, vddkVersion } from '../adapters/disk/nbdkit-version.ts'
import { findVddk } from '../adapters/disk/vddk-presence.ts'
import { quote } from '../base/errors.ts'
import type { Policy, TransportName } from '../model/policy.ts'
import {
  type Check,
  checkOf,
  notChecked,
  ok,
  type Topic,
  type Verdict,
  verdictOfError,
} from '../operate/doctor/check.ts'
import type { Look } from '../operate/doctor/deps.ts'
import type { VddkSettings } from '../wire/vddk-settings.ts'
import type { Surroundings } from './vsphere-settings.ts'

const names: ReadonlySet<TransportName> = new Set(['san', 'hotadd', 'nbdssl', 'nbd'])
const about = 'nbdkit and VDDK'

export function vddkLooks(policy: Policy, vddk: VddkSettings, { environment }: Surroundings): readonly Look[] {
  if (!policy.transport.some((name) => names.has(name))) return []
  // Another transport takes over where there is one.
  const state = policy.transport.every((name) => names.has(name)) ? 'failed' : 'warning'
  const presence: Topic = { id: 'vddk.presence', about, tried: 'find nbdkit and the VDDK directory' }
  const versions: Topic = { id: 'vddk.versions', about, tried: `ask nbdkit for its plugin ${quote(vddk.plugin)}` }
  const act = async (cancel: Parameters<Look['act']>[0]): Promise<readonly Check[]> => {
    const found = findVddk({
      nbdkit: vddk.nbdkit,
      libdir: vddk.directory,
      path: environment['PATH'] ?? '',
      machine: { platform: process.platform, arch: process.arch },
    })
    if (found.kind === 'absent') {
      const absent: Verdict = { state, found: found.reason, next: found.hint, needed: namesIn(policy) }
      return [checkOf(presence, absent), checkOf(versions, notChecked('nbdkit or VDDK is not there'))]
    }
    const there = ok(`${found.nbdkit}; VDDK ${vddkVersion(found.libdir) ?? 'of unknown version'} in ${found.libdir}`)
    const verdict = await askNbdkit({ program: found.nbdkit, plugin: vddk.plugin }, cancel).then(
      ({ nbdkit, plugin }) => ok(`nbdkit ${nbdkit}, plugin ${plugin ?? 'of unknown version'}`),
      (error: unknown) => verdictOfError(error, state),
    )
    return [checkOf(presence, there), checkOf(versions, verdict)]
  }
  return [{ topic: presence, act, carries: policy.transport.filter((name) => names.has(name)) }]
}

function namesIn({ transport }: Policy): string {
  return `for ${transport.filter((name) => names.has(name)).join(', ')}`
}
