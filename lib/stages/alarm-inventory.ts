// What vCenter lists, read once for many alarms: a storm of them must not become a storm of questions to vCenter.

import { type Cancel, isAbort } from '../base/time-limit.ts'
import type { VmSummary } from '../model/vm.ts'
import type { Vsphere } from '../ports/vsphere.ts'
import type { StageDeps } from './deps.ts'

export type Inventory = {
  readonly vcenterId: string | null
  readonly vms: readonly VmSummary[]
  readonly readAtMs: number
}

/** How old a listing may be for an alarm about a VM that is in it, and for one that is about none of it. */
const KNOWN_MS = 60_000
const UNKNOWN_MS = 10_000

/** The last listing of each vCenter that this process works with, and the one that is being read. */
const listings = new WeakMap<Vsphere, Inventory>()
const readings = new WeakMap<Vsphere, Promise<Inventory>>()

/** @param isEnough whether what it says is enough; a fresh one is always */
export async function inventoryFor(
  isEnough: (inventory: Inventory) => boolean,
  deps: Pick<StageDeps, 'vsphere' | 'clock'>,
  cancel: Cancel,
): Promise<Inventory> {
  const { vsphere, clock } = deps
  const kept = listings.get(vsphere)
  if (kept !== undefined) {
    const ageMs = clock.nowMs() - kept.readAtMs
    if (ageMs < (isEnough(kept) ? KNOWN_MS : UNKNOWN_MS)) return kept
  }
  const shared = readings.get(vsphere)
  if (shared !== undefined) {
    try {
      return await shared
    } catch (error) {
      // Whoever reads was stopped: this caller reads for itself.
      if (!isAbort(error) || cancel.signal.aborted) throw error
    }
  }
  const reading = read(deps, cancel).finally(() => {
    if (readings.get(vsphere) === reading) readings.delete(vsphere)
  })
  readings.set(vsphere, reading)
  return reading
}

async function read({ vsphere, clock }: Pick<StageDeps, 'vsphere' | 'clock'>, cancel: Cancel): Promise<Inventory> {
  // From before the listing: a VM that came while it was read may not be in it.
  const readAtMs = clock.nowMs()
  await using session = await vsphere.open(cancel)

  const inventory = { vcenterId: session.about.instanceUuid, vms: await session.listVms(cancel), readAtMs }
  listings.set(vsphere, inventory)
  return inventory
}
