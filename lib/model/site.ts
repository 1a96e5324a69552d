// What VMs stand on: ESXi hosts and datastores as vCenter describes them.

import type { Moref } from './ids.ts'

export type HostState = {
  readonly moref: Moref
  /** What vCenter reaches it by: a DNS name, or an address. */
  readonly name: string
  /** HostSystemConnectionState: 'connected', 'disconnected' or 'notResponding'. */
  readonly connectionState: string
  readonly maintenance: boolean
  /** "8.0.3"; null where the server does not say. */
  readonly version: string | null
}

export type DatastoreState = {
  readonly moref: Moref
  readonly name: string
  /** DatastoreSummary.type: "VMFS", "NFS", "NFS41", "vsan", "VVOL", … */
  readonly type: string
  /** The last part of DatastoreSummary.url, by which hosts name the datastore in their counters; null where there is none. */
  readonly volume: string | null
  readonly capacityBytes: number
  readonly freeBytes: number
  readonly accessible: boolean
  /** DatastoreSummary.maintenanceMode: 'normal', 'enteringMaintenance', 'inMaintenance'; null where the server does not say. */
  readonly maintenanceMode: string | null
}

/** vSAN and vVols keep objects, not files: there is no flat extent to read ranges of. */
export function holdsObjects({ type }: Pick<DatastoreState, 'type'>): boolean {
  return /^(vsan|vsand|vvol)$/i.test(type)
}
