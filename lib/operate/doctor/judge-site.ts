// Hosts, datastores and rights judged by what was learned of them. Pure.

import { quote } from '../../base/errors.ts'
import { formatBytes, formatDuration } from '../../base/text.ts'
import { type AdmissionLimits, latencyWait, type ReadLatency, storageWait } from '../../model/admission.ts'
import type { Policy, TransportName } from '../../model/policy.ts'
import type { Feature, PrivilegeNeed } from '../../model/privileges.ts'
import type { DatastoreState, HostState } from '../../model/site.ts'
import { failed, type Learned, ok, type Verdict, warning } from './check.ts'

const transportNames: ReadonlySet<string> = new Set<TransportName>([
  'san',
  'hotadd',
  'nbdssl',
  'nbd',
  'datastore',
  'lease',
])

/** What needs a privilege, a port or a program of this machine, and does not have it. */
export type Lack = { readonly feature: Feature; readonly words: string }

/** A lack of one transport among several is a warning: the next one in the policy's order takes over. */
export function isFatal(lacks: readonly Lack[], policy: Policy): boolean {
  return lacks.some(({ feature }) => {
    if (feature === 'vix') return policy.guest.mode === 'require' && policy.guest.order.every((way) => way === 'vix')
    return !transportNames.has(feature) || policy.transport.length === 1
  })
}

export function isTransport(feature: Feature): feature is TransportName {
  return transportNames.has(feature)
}

export type Rights = {
  readonly verdict: Verdict
  readonly lacks: readonly Lack[]
}

/** @param where in words: 'VM "db-01"' */
export function judgeRights(
  missing: Learned<readonly string[]>,
  {
    needs,
    policy,
    where,
  }: { readonly needs: readonly PrivilegeNeed[]; readonly policy: Policy; readonly where: string },
): Rights {
  if (missing.kind === 'unknown') return { verdict: missing.verdict, lacks: [] }
  const lacking = needs.filter(({ id }) => missing.value.includes(id))
  const count = new Set(needs.map(({ id }) => id)).size
  if (lacking.length === 0) return { verdict: ok(`all ${count} that are needed`), lacks: [] }
  const ids = [...new Set(lacking.map(({ id }) => id))]
  const lacks = lacking
    // What only other products ask for may not be needed at all.
    .filter(({ without, source }) => without === null && source.kind !== 'field')
    .map(({ feature, id }) => ({ feature, words: `the account lacks ${id} on ${where}` }))
  const uses = lacking.map(({ id, feature, why, without, source }) => {
    const doubt = source.kind === 'field' ? ' (not verified: other products ask for it)' : ''
    const end = without === null ? doubt : ` (without it: ${without})`
    return `${id}: ${feature === 'backup' ? '' : `${feature} `}${why}${end}`
  })
  const next = `Give the account's role ${ids.join(', ')} on ${where} or above it; "coldframe privileges --format govc" prints the commands`
  const found = `missing on ${where}: ${ids.join(', ')}`
  const needed = [...new Set(uses)].join('; ')
  const verdict = isFatal(lacks, policy) ? failed(found, next, needed) : warning(found, next, needed)
  return { verdict: { ...verdict, code: 'privilege-missing' }, lacks }
}

export function hostVerdict(host: Learned<HostState>): Verdict {
  if (host.kind === 'unknown') return host.verdict
  const { connectionState, maintenance, version } = host.value
  const found = `${connectionState}${maintenance ? ', in maintenance mode' : ''}${version === null ? '' : `, ESXi ${version}`}`
  if (connectionState !== 'connected') {
    return failed(
      found,
      'Bring the host back in vCenter: its VMs cannot be snapshotted or read',
      'a host that is connected',
    )
  }
  if (maintenance) {
    const next = 'Move its VMs, or end the maintenance: VDDK refuses to read from a host in maintenance mode'
    return warning(found, next, 'a host that is not in maintenance mode')
  }
  return ok(found)
}

/** @param waysOf what needs this port: transports, or "vix" */
export function hostPortVerdict(
  connected: Learned<number>,
  { ways, policy, place }: { readonly ways: readonly Feature[]; readonly policy: Policy; readonly place: string },
): { readonly verdict: Verdict; readonly lacks: readonly Lack[] } {
  if (connected.kind === 'known') {
    return { verdict: ok(`answers in ${formatDuration(Math.max(1, connected.value))}`), lacks: [] }
  }
  const lacks = ways.map((feature) => ({ feature, words: `${place} cannot be reached` }))
  const state = isFatal(lacks, policy) ? ('failed' as const) : ('warning' as const)
  const verdict = { ...connected.verdict, state, needed: `${ways.join(', ')} connect to it` }
  return { verdict, lacks }
}

/** As a backup judges it before it begins. */
export function datastoreVerdict(store: DatastoreState, limits: AdmissionLimits): Verdict {
  const { type, capacityBytes, freeBytes, accessible } = store
  const share = capacityBytes === 0 ? 0 : freeBytes / capacityBytes
  const space = `${formatBytes(freeBytes)} of ${formatBytes(capacityBytes)} free (${Math.floor(share * 100)} %)`
  const found = `${type}, ${space}${accessible ? '' : ', not accessible'}`
  const wait = storageWait([store], limits)
  if (wait === null) return ok(found)
  const next =
    'Mend it in vCenter: until then a backup waits, and then fails. A snapshot grows with everything that its VM writes, and a full datastore stops all VMs on it'
  return failed(found, next, `a backup waits for ${wait}`)
}

/** How long reads take, of the datastores of one host. */
export function latencyVerdict(latencies: Learned<readonly ReadLatency[]>, limits: AdmissionLimits): Verdict {
  if (latencies.kind === 'unknown') return latencies.verdict
  const told = latencies.value.flatMap(({ datastore, readMs }) =>
    readMs === null ? [] : [`${datastore} ${readMs} ms`],
  )
  const found = told.length === 0 ? 'the server does not tell' : told.join(', ')
  const wait = latencyWait(latencies.value, limits)
  if (wait === null) return ok(found)
  return warning(found, 'Look at what loads the storage now', `a backup waits for ${wait}`)
}

export function hostAbout(host: Pick<HostState, 'name'>): string {
  return `ESXi host ${quote(host.name)}`
}
