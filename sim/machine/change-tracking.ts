// Changed block tracking of one simulated disk: which 64 KiB blocks were written in which epoch.
// Rules: vSphere Web Services API, QueryChangedDiskAreas and DiskChangeInfo; Virtual Disk Development Kit guide, "Changed Block Tracking".

import { hexOf } from '../../lib/base/bytes.ts'
import { type Random, wholeNumber } from '../../lib/base/random.ts'
import { GRAIN_BYTES } from './grain-store.ts'

/** A reply of QueryChangedDiskAreas holds no more areas than this. */
export const AREAS_MAX = 2000

export type Area = { readonly start: number; readonly length: number }

/** What a snapshot keeps: the epochs as they were at its cut. */
export type FrozenTracking = {
  readonly uuid: string
  /** The number in the snapshot's changeId. */
  readonly epoch: number
  /** Per block: the epoch of its last write; 0 when it was not written since tracking began. */
  readonly epochs: Uint32Array
}

/** The live tracking of one disk, from one activation to the next reset. */
export class ChangeTracker {
  #uuid: string
  #epoch = 1
  #epochs: Uint32Array
  /** A lie: what is written now is not noted. */
  deaf = false

  constructor(options: { readonly uuid: string; readonly capacityBytes: number }) {
    this.#uuid = options.uuid
    this.#epochs = new Uint32Array(Math.ceil(options.capacityBytes / GRAIN_BYTES))
  }

  get uuid(): string {
    return this.#uuid
  }

  mark(range: { readonly offsetBytes: number; readonly lengthBytes: number }): void {
    if (this.deaf) return
    const first = Math.floor(range.offsetBytes / GRAIN_BYTES)
    const end = Math.ceil((range.offsetBytes + range.lengthBytes) / GRAIN_BYTES)
    this.#epochs.fill(this.#epoch, first, end)
  }

  /** The state as of now; does not begin a new epoch. */
  peek(): FrozenTracking {
    return { uuid: this.uuid, epoch: this.#epoch, epochs: this.#epochs.slice() }
  }

  /** The state at a snapshot's cut; writes after it belong to the next epoch. */
  cut(): FrozenTracking {
    const frozen = this.peek()
    this.#epoch++
    return frozen
  }

  changeId(): string {
    return changeIdOf({ uuid: this.uuid, epoch: this.#epoch })
  }

  /** The disk has more blocks now. */
  grow(capacityBytes: number): void {
    const epochs = new Uint32Array(Math.ceil(capacityBytes / GRAIN_BYTES))
    epochs.set(this.#epochs)
    this.#epochs = epochs
  }

  /** A lie: takes blocks of the current epoch for unwritten: each with this chance, at least one if there is any. */
  forget({ share, random }: { readonly share: number; readonly random: Random }): void {
    const written = [...this.#epochs.keys()].filter((block) => this.#epochs[block] === this.#epoch)
    const always = wholeNumber(random, { low: 0, high: Math.max(0, written.length - 1) })
    for (const [index, block] of written.entries()) {
      if (index === always || random.fraction() < share) this.#epochs[block] = 0
    }
  }

  /** A lie that harms nobody: takes every block for written in the current epoch. */
  exaggerate(): void {
    this.#epochs.fill(this.#epoch)
  }

  /** A lie: the same counter, of another chain, as of a disk that was put back from a copy. */
  rename(uuid: string): void {
    this.#uuid = uuid
  }

  /** A lie: lets the counter go back, as a disk put back from an older copy does. */
  rewind(by: number): void {
    this.#epoch = Math.max(1, this.#epoch - by)
  }
}

export function changeIdOf(tracking: { readonly uuid: string; readonly epoch: number }): string {
  return `${tracking.uuid}/${tracking.epoch}`
}

/** A new uuid in vSphere's print: "52 de ad be ef 00 00 00-00 00 00 00 00 00 00 cb". */
export function changeUuid(random: Random): string {
  const bytes = random.bytes(16)
  bytes[0] = 0x52
  const pairs = hexOf(bytes).match(/../g) ?? []
  return `${pairs.slice(0, 8).join(' ')}-${pairs.slice(8).join(' ')}`
}

/** The epoch of a changeId of this tracking; null when it is of another chain, of the future, or not a changeId. */
export function epochOf(changeId: string, tracking: FrozenTracking): number | null {
  const slash = changeId.lastIndexOf('/')
  const count = changeId.slice(slash + 1)
  if (slash < 0 || changeId.slice(0, slash) !== tracking.uuid || !/^[1-9][0-9]{0,9}$/.test(count)) return null
  return Number(count) <= tracking.epoch ? Number(count) : null
}

/** Blocks for which `wanted` holds, joined, cut at `startOffset` and at the capacity, ascending. */
export function* areasWhere(options: {
  readonly wanted: (block: number) => boolean
  readonly startOffset: number
  readonly endOffset: number
}): Generator<Area> {
  const { startOffset, endOffset } = options
  let open: number | null = null
  for (let block = Math.floor(startOffset / GRAIN_BYTES); block * GRAIN_BYTES < endOffset; block++) {
    const offset = Math.max(startOffset, block * GRAIN_BYTES)
    if (options.wanted(block)) open ??= offset
    else if (open !== null) {
      yield { start: open, length: offset - open }
      open = null
    }
  }
  if (open !== null) yield { start: open, length: endOffset - open }
}

/**
 * One reply: at most AREAS_MAX areas from `startOffset` on.
 * @param options.windowBytes no reply covers more than this, so that a window can be empty
 * @returns length up to the capacity, or to the end of the last area when more follow
 */
export function pageOfAreas(options: {
  readonly wanted: (block: number) => boolean
  readonly startOffset: number
  readonly capacityBytes: number
  readonly windowBytes: number
}): { readonly startOffset: number; readonly length: number; readonly changedArea: readonly Area[] } {
  const { startOffset, capacityBytes, wanted } = options
  const endOffset = Math.min(capacityBytes, startOffset + options.windowBytes)
  const changedArea: Area[] = []
  for (const area of areasWhere({ wanted, startOffset, endOffset })) {
    const last = changedArea.at(-1)
    if (changedArea.length === AREAS_MAX && last !== undefined) {
      return { startOffset, length: last.start + last.length - startOffset, changedArea }
    }
    changedArea.push(area)
  }
  return { startOffset, length: endOffset - startOffset, changedArea }
}
