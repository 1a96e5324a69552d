// What one listing tells of each VM's snapshots: enough to see where something was left behind.

import type { Moref, VmId } from './ids.ts'
import type { VmSnapshot } from './vm.ts'

export type VmSurvey = {
  readonly moref: Moref
  readonly vmId: VmId
  readonly name: string
  readonly consolidationNeeded: boolean
  readonly snapshots: readonly VmSnapshot[]
  /** Of the disk with the longest chain: 1 is a disk without deltas. A hint: layouts are brought up to date now and then. */
  readonly layersMax: number
}
