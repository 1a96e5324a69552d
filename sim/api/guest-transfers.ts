// Transfers of files into and out of guests that callers have asked for and not made yet: each has a URL that works once.

import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { GuestDownload, GuestUpload } from '../guest/types.ts'
import type { SimMachine } from '../machine/types.ts'
import { uuidFrom } from './random-ids.ts'

export type GuestTransfer =
  | {
      readonly kind: 'to-guest'
      readonly machine: SimMachine
      readonly sizeBytes: number
      /** @throws SimFault when the file cannot be written any more */
      readonly open: () => GuestUpload
    }
  | {
      readonly kind: 'from-guest'
      readonly machine: SimMachine
      /** @throws SimFault when the file cannot be read any more */
      readonly open: () => GuestDownload
    }

export interface GuestTransfers {
  /** @returns the query of its URL: "id=1&token=…" */
  add(transfer: GuestTransfer): string
  /**
   * Takes a transfer: nobody else gets it unless it is given back, because it failed. Null when there is none, or it is used up or
   * under way, too old, or of a guest that has been off since.
   */
  take(query: URLSearchParams): { readonly transfer: GuestTransfer; giveBack(): void } | null
}

export function openTransfers(options: {
  readonly clock: Clock
  readonly random: Random
  readonly keepMs: number
}): GuestTransfers {
  const { clock } = options
  const waiting = new Map<
    string,
    { readonly transfer: GuestTransfer; readonly atMs: number; readonly bootedMs: number | null }
  >()
  let number = 1
  return {
    add: (transfer) => {
      const query = `id=${number++}&token=${uuidFrom(options.random)}`
      waiting.set(query, { transfer, atMs: clock.nowMs(), bootedMs: transfer.machine.bootedMs })
      return query
    },
    take: (asked) => {
      const query = `id=${asked.get('id') ?? ''}&token=${asked.get('token') ?? ''}`
      const found = waiting.get(query)
      waiting.delete(query)
      if (found === undefined) return null
      const { transfer, atMs, bootedMs } = found
      if (clock.nowMs() - atMs > options.keepMs || transfer.machine.bootedMs !== bootedMs) return null
      return { transfer, giveBack: () => void waiting.set(query, found) }
    },
  }
}
