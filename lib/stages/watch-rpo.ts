// Whether RPOs are missed: asked each minute of the few VMs whose time ends first, so that it is told also when no backup starts any more.

import { isoTime } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { PolicyName, VmId } from '../model/ids.ts'
import type { Policy } from '../model/policy.ts'
import { type RpoWatch, rpoWatchOf, type WatchedVm } from '../model/rpo-watch.ts'
import type { VmHistory } from '../model/vm-history.ts'
import type { StageDeps } from './deps.ts'

type Deps = Pick<StageDeps, 'clock' | 'jobStore' | 'log' | 'metrics' | 'events'>
type Call = { readonly deps: Deps; readonly cancel: Cancel }

/** Notes which VMs of a policy are to be watched. Losing a race costs nothing: the next start notes them again. */
export async function noteWatched(
  {
    policy,
    vms,
    histories,
  }: {
    readonly policy: Pick<Policy, 'name' | 'schedule'>
    readonly vms: readonly { readonly vmId: VmId; readonly name: string }[]
    readonly histories: ReadonlyMap<VmId, VmHistory>
  },
  { deps, cancel }: { readonly deps: Pick<Deps, 'clock' | 'jobStore'>; readonly cancel: Cancel },
): Promise<void> {
  const rpoMs = policy.schedule?.rpoMs ?? null
  if (rpoMs === null) return
  const { doors } = deps.jobStore
  const name = recordOf(policy.name)
  const found = await doors.get(name, cancel)
  const before = found?.value.kind === 'rpo' ? found.value : null
  const value = rpoWatchOf({ vms, histories, rpoMs, nowMs: deps.clock.nowMs(), before })
  if (found === null) await doors.create(name, value, cancel)
  else await doors.replace(name, { value, version: found.version }, cancel)
}

/**
 * Counts VMs with a missed RPO as the metric `rpo.missed`, and tells each miss once as an event. Bounded: WATCHED_MAX VMs a policy, and
 * those only whose time is over.
 * @returns how many are missed
 */
export async function watchRpo(deps: Deps, cancel: Cancel): Promise<number> {
  let missed = 0
  for (const { name, policy, state } of await deps.jobStore.listPolicies(cancel)) {
    const rpoMs = policy.schedule?.rpoMs ?? null
    if (state !== 'active' || rpoMs === null) continue
    const count = await watchPolicy({ name, rpoMs }, { deps, cancel })
    if (count > 0) deps.metrics.count('rpo.missed', count, { policy: name })
    missed += count
  }
  return missed
}

async function watchPolicy(
  { name, rpoMs }: { readonly name: PolicyName; readonly rpoMs: number },
  { deps, cancel }: Call,
): Promise<number> {
  const { doors, vms } = deps.jobStore
  const found = await doors.get(recordOf(name), cancel)
  if (found === null || found.value.kind !== 'rpo') return 0
  const now = isoTime(deps.clock.nowMs())
  const missed: WatchedVm[] = []
  for (const each of found.value.watched) {
    if (each.missedAt > now) continue
    // It may have been backed up since it was noted.
    const lastAt = (await vms.get(each.vmId, cancel))?.value.lastSuccess?.at
    if (lastAt === undefined || isoTime(Date.parse(lastAt) + rpoMs) <= now) missed.push(each)
  }
  const untold = missed.filter(({ told }) => !told)
  for (const each of untold) await tellMissed(name, each, { deps, cancel })
  if (untold.length > 0) {
    const names = new Set(untold.map(({ vmId }) => vmId))
    const watched = found.value.watched.map((each) => (names.has(each.vmId) ? { ...each, told: true } : each))
    const value: RpoWatch = { ...found.value, watched }
    // Who loses the race tells it again, under the same id.
    await doors.replace(recordOf(name), { value, version: found.version }, cancel)
  }
  return missed.length
}

/** An event bus that refuses holds up nothing. */
async function tellMissed(policy: PolicyName, vm: WatchedVm, { deps, cancel }: Call): Promise<void> {
  const { vmId, name, missedAt } = vm
  deps.log.warn('rpo.missed', { policy, vm: name, vmId, missedAt })
  const id = `${policy}.${vmId}.${missedAt}.rpo-missed`
  const data = { policy, vm: name, vmId, missedAt }
  const at = isoTime(deps.clock.nowMs())
  try {
    await deps.events.publish({ id, type: 'coldframe.rpo.missed', subject: vmId, at, data }, cancel)
  } catch (error) {
    if (cancel.signal.aborted) throw error
    deps.metrics.count('event.lost', 1)
    deps.log.warn('event.lost', { event: id, message: messageOf(error) })
  }
}

function recordOf(policy: PolicyName): string {
  return `rpo:${policy}`
}
