// SHA-256 of every disk as of every snapshot's cut: lazily from the frozen layers, at the latest before one is removed.

import { createHash } from 'node:crypto'
import { isoTime } from '../../lib/base/clock.ts'
import type { Disk, Layer } from './disk.ts'

const PIECE_BYTES = 1024 * 1024

/** What the control port tells of one snapshot, gone or not. Times in UTC. */
export type FrozenReport = {
  readonly vm: string
  readonly instanceUuid: string
  readonly snapshot: string
  readonly snapshotId: number
  readonly createdAt: string
  readonly quiesced: boolean
  readonly disks: readonly { readonly deviceKey: number; readonly capacityBytes: number; readonly sha256: string }[]
}

type Entry = {
  readonly report: Omit<FrozenReport, 'disks' | 'createdAt'> & { readonly createdMs: number }
  readonly disks: readonly DiskDigest[]
}

/** All snapshots ever taken in an estate. */
export class FrozenLedger {
  readonly #entries: Entry[] = []
  #pending: readonly DiskDigest[] = []

  add(report: Entry['report'], disks: readonly { readonly disk: Disk; readonly layer: Layer }[]): Frozen {
    const entry = { report, disks: disks.map((one) => new DiskDigest(one)) }
    this.#entries.push(entry)
    this.#pending = [...this.#pending.filter((disk) => disk.sha256 === null), ...entry.disks]
    return {
      finish: () => {
        for (const disk of entry.disks) disk.advance(Number.POSITIVE_INFINITY)
      },
    }
  }

  /** Hashes up to about this much; false when nothing is left to do. */
  advance(bytesMax: number): boolean {
    this.#pending = this.#pending.filter((disk) => disk.sha256 === null)
    this.#pending[0]?.advance(bytesMax)
    return this.#pending.length > 0
  }

  /** Oldest first; hashes what is left. */
  reports(): readonly FrozenReport[] {
    return this.#entries.map(({ report, disks }) => {
      const { createdMs, ...rest } = report
      return {
        ...rest,
        createdAt: isoTime(createdMs),
        disks: disks.map((disk) => ({
          deviceKey: disk.deviceKey,
          capacityBytes: disk.capacityBytes,
          sha256: disk.finish(),
        })),
      }
    })
  }
}

/** Held by a snapshot: must be finished before its layers change. */
export type Frozen = { finish(): void }

class DiskDigest {
  readonly deviceKey: number
  readonly capacityBytes: number
  sha256: string | null = null
  readonly #hash = createHash('sha256')
  #from: { readonly disk: Disk; readonly layer: Layer } | null
  #doneBytes = 0

  constructor(from: { readonly disk: Disk; readonly layer: Layer }) {
    this.#from = from
    this.deviceKey = from.disk.deviceKey
    this.capacityBytes = from.disk.capacityBytes
  }

  advance(bytesMax: number): void {
    const from = this.#from
    if (from === null) return
    const end = Math.min(this.capacityBytes, this.#doneBytes + bytesMax)
    this.#doneBytes = hashRange(this.#hash, { ...from, offsetBytes: this.#doneBytes, endBytes: end })
    if (this.#doneBytes < this.capacityBytes) return
    this.sha256 = this.#hash.digest('hex')
    this.#from = null
  }

  finish(): string {
    this.advance(Number.POSITIVE_INFINITY)
    return this.sha256 ?? ''
  }
}

/** The SHA-256 of a disk as of a layer, now. */
export function digestOfDisk(disk: Disk, options: { readonly layer: Layer }): string {
  const hash = createHash('sha256')
  hashRange(hash, { disk, layer: options.layer, offsetBytes: 0, endBytes: disk.capacityBytes })
  return hash.digest('hex')
}

function hashRange(
  hash: { update(bytes: Uint8Array): unknown },
  range: { readonly disk: Disk; readonly layer: Layer; readonly offsetBytes: number; readonly endBytes: number },
): number {
  const buffer = new Uint8Array(PIECE_BYTES)
  let offsetBytes = range.offsetBytes
  while (offsetBytes < range.endBytes) {
    const target = buffer.subarray(0, Math.min(PIECE_BYTES, range.endBytes - offsetBytes))
    range.disk.readAt(range.layer, { offsetBytes, target })
    hash.update(target)
    offsetBytes += target.byteLength
  }
  return offsetBytes
}
