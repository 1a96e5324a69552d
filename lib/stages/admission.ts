// Admission: a job begins when what it stands on has room for it. It holds no place while it waits, and it waits long before
// it fails.

import { isDeepStrictEqual } from 'node:util'
import type { Cancel } from '../base/time-limit.ts'
import {
  type Footing,
  footingOf,
  grantFor,
  groupWishes,
  isAdmissionResource,
  latencyWait,
  type MoverGrant,
  type ReadLatency,
  storageWait,
  usedDatastores,
  wishesFor,
} from '../model/admission.ts'
import type { Job } from '../model/job.ts'
import type { PlaceWish } from '../model/places.ts'
import type { VmState } from '../model/vm.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import { pay } from './debts.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { describeRefusal, givePlaceBack, moversResource, takePlaces, waitForPlaceMs } from './places.ts'
import type { Step } from './step.ts'

/** What no place can be freed for is looked at as by one that has so many before it. */
const LOOKS_AHEAD = 4

const HINT = 'Free what it waited for, or raise its limit (admission in coldframe.yaml), then start the backup again'

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/**
 * A mover's place, and what the job was known to need when it looked last: who waits in a long line asks vCenter for nothing.
 * @returns the step to take while something of it is taken
 */
export function takeKnownPlaces(hold: JobHold, call: Call): Promise<Step | null> {
  const { footing, grant } = hold.job()
  return takeAll(hold, footing === null || grant === null ? null : { footing, grant }, call)
}

/**
 * Looks at what the VM stands on now, and takes places in all of it.
 * @param found.excluded keys of disks that are not read
 * @returns the step to take while the job must wait; then it holds none of them
 */
export async function admit(
  found: { readonly session: VsphereSession; readonly vm: VmState; readonly excluded: readonly number[] },
  hold: JobHold,
  call: Call,
): Promise<Step | null> {
  const { deps, cancel } = call
  const { session, vm } = found
  const limits = deps.limits.admission
  const disks = vm.disks.filter(({ key }) => !found.excluded.includes(key))
  const datastores = usedDatastores({ datastores: await session.readDatastores(vm.moref, cancel), disks })
  const full = storageWait(datastores, limits)
  if (full !== null) return waitWithout(hold, full, call)
  const host = vm.host === null ? null : await session.readHost(vm.host, cancel)
  const latencies = host === null ? [] : await session.readLatency({ host: host.moref, datastores }, cancel)
  const slow = latencyWait(latencies, limits)
  if (slow !== null) return waitWithout(hold, slow, call)
  tellUnknown(latencies, deps)

  const named = host === null ? null : { moref: host.moref, name: host.name }
  const footing = footingOf({ vcenterId: session.about.instanceUuid, host: named, datastores, disks })
  const transports = hold.job().policy.transport
  const grant = grantFor({ diskBytes: footing.diskBytes, transports }, limits)
  const known = { footing: hold.job().footing, grant: hold.job().grant }
  if (!isDeepStrictEqual(known, { footing, grant })) await hold.update((job) => ({ ...job, footing, grant }), cancel)
  const refused = await takeAll(hold, { footing, grant }, call)
  if (refused === null) await giveBackOthers(hold, { footing, grant }, call)
  return refused
}

type Needs = { readonly footing: Footing; readonly grant: MoverGrant }

async function takeAll(hold: JobHold, needs: Needs | null, { deps, cancel }: Call): Promise<Step | null> {
  const refusal = await takePlaces(hold, wishesOf(hold.job(), needs, deps), deps, cancel)
  if (refusal === null) return null
  return {
    kind: 'again',
    delayMs: waitForPlaceMs(hold.job(), { ahead: refusal.ahead.length }, deps),
    waitsFor: describeRefusal(refusal),
  }
}

function wishesOf({ groups }: Pick<Job, 'groups'>, needs: Needs | null, { limits }: StageDeps): readonly PlaceWish[] {
  const mover = { resource: moversResource, what: 'a free mover', units: 1, unitsMax: limits.moversMax }
  const always = [mover, ...groupWishes(groups)]
  return needs === null ? always : [...always, ...wishesFor(needs.footing, needs.grant, limits.admission)]
}

/** The VM has moved since the job looked last: what it no longer stands on is free for others. */
async function giveBackOthers(hold: JobHold, needs: Needs, { deps, cancel }: Call): Promise<void> {
  const wanted = new Set(wishesOf(hold.job(), needs, deps).map(({ resource }) => resource))
  for (const debt of hold.job().owes) {
    if (debt.kind !== 'place' || !isAdmissionResource(debt.resource) || wanted.has(debt.resource)) continue
    await givePlaceBack({ resource: debt.resource, holder: hold.job().id }, deps, cancel)
    await pay(hold, debt, cancel)
  }
}

/** Gives back all but the VM's own lease, so that others can work while this job waits for something else. */
export async function giveBackShared(hold: JobHold, { deps, cancel }: Call): Promise<void> {
  for (const debt of hold.job().owes) {
    if (debt.kind !== 'place') continue
    if (debt.resource !== moversResource && !isAdmissionResource(debt.resource)) continue
    await givePlaceBack({ resource: debt.resource, holder: hold.job().id }, deps, cancel)
  }
}

async function waitWithout(hold: JobHold, waitsFor: string, call: Call): Promise<Step> {
  const { deps } = call
  await giveBackShared(hold, call)
  deps.log.info('admission.waits', { waitsFor })
  return { kind: 'again', delayMs: waitForPlaceMs(hold.job(), { ahead: LOOKS_AHEAD }, deps), waitsFor, hint: HINT }
}

function tellUnknown(latencies: readonly ReadLatency[], { log }: StageDeps): void {
  const unknown = latencies.flatMap(({ datastore, readMs }) => (readMs === null ? [datastore] : []))
  if (unknown.length > 0) log.info('latency.unknown', { datastores: unknown })
}
