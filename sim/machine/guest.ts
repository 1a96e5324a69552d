// The guest of a simulated machine: writes checksummed records across two disks with a flush after each, and bursts of data.

import { createHash } from 'node:crypto'
import { type Random, wholeNumber } from '../../lib/base/random.ts'
import type { Disk } from './disk.ts'
import { decodeRecord, encodeRecord, type Found, newestOf, placeOf, RECORD_BYTES, recordArea } from './record.ts'

const DISKS_MAX = 2
const BURST_PIECE_BYTES = 96 * 1024

type Log = { readonly disks: readonly Disk[]; readonly number: number; sequence: number }

export class Guest {
  readonly #guestId: string
  readonly #random: Random
  readonly #disksNow: () => readonly Disk[]
  #log: Log | null = null

  /** @param options.disks the machine's disks that snapshots cover, asked before every write */
  constructor(options: { readonly identity: string; readonly random: Random; readonly disks: () => readonly Disk[] }) {
    this.#guestId = createHash('sha256').update(options.identity).digest('hex').slice(0, 32)
    this.#random = options.random
    this.#disksNow = options.disks
  }

  /** Reads the logs back from the disks, as a guest does that starts. */
  boot(): void {
    this.#log = null
  }

  /** Writes this many records, each flushed before the next. */
  step(count: number): void {
    for (let done = 0; done < count; done++) this.#append(false)
  }

  /** Flushes and writes the record that says so; nothing is written until the cut, which follows in the same instant. */
  freeze(): void {
    this.#append(true)
  }

  /** About this many bytes of new data in scattered pieces, outside the records, and one record each MiB. */
  burst(bytes: number): void {
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
