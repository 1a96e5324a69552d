// The guest of a simulated machine: writes checksummed records across two disks with a flush after each, and bursts of data.
// Its writes can be held, by a script in the guest or by VMware Tools: then it writes nothing, and what it would have written is
// never written.

import { createHash } from 'node:crypto'
import { type Random, wholeNumber } from '../../lib/base/random.ts'
import type { Disk } from './disk.ts'
import { decodeRecord, encodeRecord, type Found, newestOf, placeOf, RECORD_BYTES, recordArea } from './record.ts'

const DISKS_MAX = 2
const BURST_PIECE_BYTES = 96 * 1024

type Log = { readonly disks: readonly Disk[]; readonly number: number; sequence: number }

/** Who holds the writes of a guest. */
export type Holder = 'script' | 'tools'

export type Hold = { readonly by: Holder; readonly atMs: number; untilMs: number | null }

export class Guest {
  /** Every hold there ever was, oldest first. */
  readonly holds: Hold[] = []
  readonly #nowMs: () => number
  readonly #guestId: string
  readonly #random: Random
  readonly #disksNow: () => readonly Disk[]
  #log: Log | null = null

  /** @param options.disks the machine's disks that snapshots cover, asked before every write */
  constructor(options: {
    readonly identity: string
    readonly random: Random
    readonly disks: () => readonly Disk[]
    readonly nowMs: () => number
  }) {
    this.#nowMs = options.nowMs
    this.#guestId = createHash('sha256').update(options.identity).digest('hex').slice(0, 32)
    this.#random = options.random
    this.#disksNow = options.disks
  }

  /** Reads the logs back from the disks, as a guest does that starts. */
  boot(): void {
    this.#log = null
  }

  /** Nothing is held in a guest that does not run. */
  stop(): void {
    for (const hold of this.holds) hold.untilMs ??= this.#nowMs()
  }

  get held(): boolean {
    return this.holds.some((hold) => hold.untilMs === null)
  }

  /** Flushes and writes the record that says so, unless it is held already; nothing is written until resume(). */
  hold(by: Holder): void {
    if (!this.held) this.#append(true)
    const isHolder = this.holds.some((hold) => hold.by === by && hold.untilMs === null)
    if (!isHolder) this.holds.push({ by, atMs: this.#nowMs(), untilMs: null })
  }

  /** Lets go of what this holder holds, if anything. */
  resume(by: Holder): void {
    for (const hold of this.holds) if (hold.by === by) hold.untilMs ??= this.#nowMs()
  }

  /** Writes this many records, each flushed before the next. */
  step(count: number): void {
    if (this.held) return
    for (let done = 0; done < count; done++) this.#append(false)
  }

  /** About this many bytes of new data in scattered pieces, outside the records, and one record each MiB. */
  burst(bytes: number): void {
    if (this.held) return
    const disks = this.#disksNow()
    let sinceRecord = 0
    for (let done = 0; done < bytes && disks.length > 0; done += BURST_PIECE_BYTES) {
      const disk = disks[wholeNumber(this.#random, { low: 0, high: disks.length - 1 })]
      if (disk !== undefined) this.#scatter(disk, Math.min(BURST_PIECE_BYTES, bytes - done))
      sinceRecord += BURST_PIECE_BYTES
      if (sinceRecord >= 1024 * 1024) {
        this.#append(false)
        sinceRecord = 0
      }
    }
    this.#append(false)
  }

  #scatter(disk: Disk, bytes: number): void {
    const area = recordArea(disk.capacityBytes)
    const areaEnd = area.offsetBytes + area.slots * RECORD_BYTES
    const lengthBytes = Math.min(bytes - (bytes % 512), disk.capacityBytes - areaEnd)
    const before = area.offsetBytes - lengthBytes
    const after = disk.capacityBytes - lengthBytes - areaEnd
    if (lengthBytes <= 0) return
    const sector = wholeNumber(this.#random, { low: 0, high: Math.floor((Math.max(0, before) + after) / 512) })
    const offset = sector * 512
    const offsetBytes = offset <= before ? offset : areaEnd + Math.min(after, offset - Math.max(0, before))
    disk.write({ offsetBytes: offsetBytes - (offsetBytes % 512), bytes: this.#random.bytes(lengthBytes) })
  }

  #append(frozen: boolean): void {
    const log = this.#currentLog()
    const { disks } = log
    if (disks.length === 0) return
    log.sequence++
    const { diskIndex, offsetBytes } = placeOf(log.sequence, { capacities: disks.map((disk) => disk.capacityBytes) })
    const record = {
      sequence: log.sequence,
      log: log.number,
      diskIndex,
      diskCount: disks.length,
      frozen,
      guestId: this.#guestId,
    }
    disks[diskIndex]?.write({ offsetBytes, bytes: encodeRecord(record, { payload: this.#random.bytes(1024) }) })
  }

  #currentLog(): Log {
    const disks = this.#disksNow().slice(0, DISKS_MAX)
    const known = this.#log
    if (known !== null && known.disks.length === disks.length && known.disks.every((disk, at) => disk === disks[at])) {
      return known
    }
    const newest = newestOf(this.#recordsOn(disks))?.record
    const goesOn = newest !== undefined && known === null && newest.diskCount === disks.length
    this.#log = {
      disks,
      number: goesOn ? newest.log : (newest?.log ?? 0) + 1,
      sequence: goesOn ? newest.sequence : 0,
    }
    return this.#log
  }

  #recordsOn(disks: readonly Disk[]): readonly Found[] {
    const found: Found[] = []
    for (const [diskIndex, disk] of disks.entries()) {
      const { offsetBytes, slots } = recordArea(disk.capacityBytes)
      const area = new Uint8Array(slots * RECORD_BYTES)
      disk.readAt(disk.active, { offsetBytes, target: area })
      for (let slot = 0; slot < slots; slot++) {
        const record = decodeRecord(area.subarray(slot * RECORD_BYTES, (slot + 1) * RECORD_BYTES))
        if (record !== null) found.push({ record, diskIndex, offsetBytes: offsetBytes + slot * RECORD_BYTES })
      }
    }
    return found
  }
}
