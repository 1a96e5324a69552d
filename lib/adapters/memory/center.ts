// What the calls of the in-memory vCenter share: its VMs, and how a call is counted and struck.

import type { Clock } from '../../base/clock.ts'
import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { AlarmEvent } from '../../model/alarm-event.ts'
import type { Moref } from '../../model/ids.ts'
import type { FrozenDisk, MemorySnapshot, MemoryVm } from './machine.ts'

export type Center = {
  readonly vms: readonly MemoryVm[]
  readonly clock: Clock
  readonly frozen: Map<Moref, readonly FrozenDisk[]>
  readonly denied: readonly string[]
  readonly alarms: readonly AlarmEvent[]
  readonly host: { readonly connectionState: string; readonly maintenance: boolean }
  readonly datastore: { readonly accessible: boolean; readonly maintenanceMode: string; readonly readMs: number | null }
  readonly call: <Result>(name: string, cancel: Cancel, act: () => Result | Promise<Result>) => Promise<Result>
}

export function missing(code: string, moref: Moref): never {
  throw new BackupError(`Cannot find "${moref}"`, { code })
}

export function findSnapshot(
  vms: readonly MemoryVm[],
  moref: Moref,
): { readonly vm: MemoryVm; readonly snapshot: MemorySnapshot } | null {
  for (const vm of vms) {
    const snapshot = vm.snapshots.find((each) => each.moref === moref)
    if (snapshot !== undefined) return { vm, snapshot }
  }
  return null
}
