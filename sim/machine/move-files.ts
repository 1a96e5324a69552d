// A machine's files get new paths on another datastore, as after a storage migration: what they hold stays.

import type { Machine } from './machine.ts'
import { freeStem } from './paths.ts'
import type { SimTarget } from './types.ts'

/** Every disk moves, with all its layers; snapshots stay and their backings have the new paths. */
export function moveFiles(
  machine: Machine,
  target: { readonly vmPathName: string; readonly datastore: string } & Pick<SimTarget, 'changeTracking'>,
): void {
  const { vmPathName, datastore, changeTracking } = target
  machine.reconfigure({ vmPathName })
  const used = new Set<string>()
  for (const disk of machine.allDisks) {
    const stem = freeStem(vmPathName, { datastore, used })
    used.add(stem)
    disk.moveTo({ datastore, stem })
    if (changeTracking === 'reset' && disk.tracker !== null) disk.startTracking()
  }
}
