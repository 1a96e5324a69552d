// Disks as byte arrays: where a backup reads and where a restore writes. No code.

import type { Cancel } from '../base/time-limit.ts'

/** A run of bytes that all read as zero, or that may hold data. */
export type Allocation = {
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly kind: 'data' | 'zero'
}

/**
 * 'random': any range at any time. 'sequential': the disk comes as a stream, once. Ranges, of reads and of allocation, then
 * come in ascending order: what lies before a read is passed over, and a read that fails or is cancelled ends the source.
 * The call whose range reaches the capacity settles only when the stream was seen to end as it must.
 */
export type DiskAccess = 'random' | 'sequential'

/** A disk that does not change while it is open. Reads may run side by side, up to `readsMax`. */
export interface DiskSource extends AsyncDisposable {
  readonly access: DiskAccess
  readonly capacityBytes: number
  /** The largest read that one call may ask for; callers cut larger ones. */
  readonly readBytesMax: number
  /** How many reads this source answers side by side. */
  readonly readsMax: number
  /**
   * Fills `target` whole from `offsetBytes`; the range lies inside the capacity.
   * @throws BackupError `disk-read-failed` when the source cannot give exactly these bytes
   */
  read(range: { readonly offsetBytes: number; readonly target: Uint8Array }, cancel: Cancel): Promise<void>
  /**
   * What the source knows of its allocation, ascending, contiguous, covering exactly the asked range.
   * A source that knows nothing answers one 'data' run.
   */
  allocation(
    range: { readonly offsetBytes: number; readonly lengthBytes: number },
    cancel: Cancel,
  ): Promise<readonly Allocation[]>
}

/** A disk being written. Ranges may come in any order, never overlap, and what is not written reads as zero. */
export interface DiskTarget extends AsyncDisposable {
  readonly capacityBytes: number
  write(range: { readonly offsetBytes: number; readonly bytes: Uint8Array }, cancel: Cancel): Promise<void>
  /**
   * Says that nothing of a range is written any more: what was not, is zero. Whoever writes says it of every range in turn, so that a
   * target which cannot go back may finish what lies behind; others have no use for it.
   */
  passed?(range: { readonly offsetBytes: number; readonly lengthBytes: number }, cancel: Cancel): Promise<void>
  /** Makes what was written durable and final; disposing without it leaves nothing that looks finished. */
  commit(cancel: Cancel): Promise<void>
}
