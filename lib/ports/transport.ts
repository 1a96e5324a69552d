// A transport: one way to read a snapshot's disk. No code.

import type { Cancel } from '../base/time-limit.ts'
import type { Moref } from '../model/ids.ts'
import type { TransportName } from '../model/policy.ts'
import type { VmDisk } from '../model/vm.ts'
import type { DiskSource } from './disk.ts'

export type DiskRequest = {
  readonly vm: Moref
  readonly snapshot: Moref
  readonly datacenter: string
  readonly disk: VmDisk
}

export interface Transport {
  /** 'image' reads files of this machine; no policy names it. */
  readonly name: TransportName | 'image'
  /** Why this transport cannot read this disk, in words; null when it can, as far as the description tells. */
  refusal(request: DiskRequest): string | null
  /** @throws BackupError `transport-refused`, `disk-read-failed` or one of the transport's own codes when the disk cannot be opened */
  open(request: DiskRequest, cancel: Cancel): Promise<DiskSource>
}
