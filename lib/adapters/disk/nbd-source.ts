// A disk behind an NBD server, as a DiskSource: reads are replayed on a new connection when one is lost.

import { budget } from '../../base/budget.ts'
import type { Clock } from '../../base/clock.ts'
import { assert, BackupError, hasCode } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { retry } from '../../base/retry.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Extent } from '../../model/extent.ts'
import type { Allocation, DiskSource } from '../../ports/disk.ts'
import { mergeRuns } from './allocation-runs.ts'
import { type NbdConnection, type NbdConnectOptions, openNbdConnection } from './nbd-connection.ts'
import type { NbdExport } from './nbd-handshake.ts'
import { STATUS_BYTES_MAX } from './nbd-protocol.ts'
import type { NbdAddress } from './nbd-wire.ts'

export type NbdSourceOptions = {
  readonly address: NbdAddress
  readonly exportName: string
  readonly clock: Clock
  readonly random: Random
  /** Requests side by side, over all connections; default 16. */
  readonly readsMax?: number
  /** Default 1. More are opened only when the server says that connections see the same bytes. */
  readonly connectionsMax?: number
  /** How often one read is sent again after its connection was lost; default 3. */
  readonly replaysMax?: number
  /** Default 60 s. */
  readonly requestLimitMs?: number
  /** Default 30 s. */
  readonly connectLimitMs?: number
  /** Default 10 s. */
  readonly closeLimitMs?: number
}

/**
 * @throws BackupError `nbd-connect-failed`, `nbd-tls-failed`, `nbd-tls-required`, `nbd-export-unknown`, `nbd-refused`,
 *   `nbd-protocol`; the source's reads throw `disk-read-failed` or `nbd-protocol`
 */
export async function openNbdSource(options: NbdSourceOptions, cancel: Cancel): Promise<DiskSource> {
  const connect: NbdConnectOptions = {
    address: options.address,
    exportName: options.exportName,
    connectLimitMs: options.connectLimitMs ?? 30_000,
    requestLimitMs: options.requestLimitMs ?? 60_000,
    closeLimitMs: options.closeLimitMs ?? 10_000,
  }
  const first = await openNbdConnection(connect, cancel)
  const { sizeBytes, blockBytesMin } = first.opened
  if (sizeBytes % blockBytesMin !== 0) {
    await first.close()
    throw new BackupError(
      `Cannot read the NBD export "${options.exportName}" to its end: its ${sizeBytes} bytes are not whole blocks of ${blockBytesMin}`,
      { code: 'nbd-refused', hint: 'Let the server offer smaller blocks, or round the size up' },
    )
  }
  return new NbdSource(first, { ...options, connect })
}

type Slot = {
  connection: NbdConnection | null
  opening: Promise<NbdConnection> | null
  /** Calls that wait for this connection, or for an answer on it. */
  callers: number
}

class NbdSource implements DiskSource {
  readonly access = 'random'
  readonly capacityBytes: number
  readonly readBytesMax: number
  readonly readsMax: number
  readonly #options: NbdSourceOptions & { readonly connect: NbdConnectOptions }
  readonly #opened: NbdExport
  readonly #slots: readonly Slot[]
  readonly #permits
  /** Connections that were lost and still say goodbye. */
  readonly #leaving = new Set<Promise<void>>()
  readonly #lifetime = new AbortController()
  #broken: BackupError | null = null
  #closing: Promise<void> | null = null

  constructor(first: NbdConnection, options: NbdSourceOptions & { readonly connect: NbdConnectOptions }) {
    this.#options = options
    this.#opened = first.opened
    this.capacityBytes = first.opened.sizeBytes
    this.readBytesMax = first.opened.payloadBytesMax
    this.readsMax = options.readsMax ?? 16
    this.#permits = budget(this.readsMax)
    const connections = first.opened.canMultiConn ? Math.min(options.connectionsMax ?? 1, this.readsMax) : 1
    this.#slots = Array.from({ length: connections }, (_, index) => ({
      connection: index === 0 ? first : null,
      opening: null,
      callers: 0,
    }))
  }

  async read(range: { readonly offsetBytes: number; readonly target: Uint8Array }, cancel: Cancel): Promise<void> {
    const { offsetBytes, target } = range
    const lengthBytes = target.byteLength
    this.#checkRange({ offsetBytes, lengthBytes })
    assert(lengthBytes <= this.readBytesMax, 'a read is no longer than readBytesMax')
    if (lengthBytes === 0) return
    const aligned = this.#align({ offsetBytes, lengthBytes })
    if (aligned.lengthBytes === lengthBytes) return this.#readBlocks(range, cancel)
    for (let at = aligned.offsetBytes; at < offsetBytes + lengthBytes; at += this.readBytesMax) {
      const endBytes = Math.min(at + this.readBytesMax, aligned.offsetBytes + aligned.lengthBytes)
      const blocks = new Uint8Array(endBytes - at)
      await this.#readBlocks({ offsetBytes: at, target: blocks }, cancel)
      const from = Math.max(offsetBytes - at, 0)
      const wanted = blocks.subarray(from, Math.min(offsetBytes + lengthBytes - at, blocks.byteLength))
      target.set(wanted, at + from - offsetBytes)
    }
  }

  async allocation(range: Extent, cancel: Cancel): Promise<readonly Allocation[]> {
    this.#checkRange(range)
    cancel.signal.throwIfAborted()
    if (range.lengthBytes === 0) return []
    if (this.#opened.allocationContext === null) return [{ ...range, kind: 'data' }]
    const aligned = this.#align(range)
    const end = aligned.offsetBytes + aligned.lengthBytes
    const runs: Allocation[] = []
    for (let at = aligned.offsetBytes; at < end; ) {
      const asked = { offsetBytes: at, lengthBytes: Math.min(end - at, STATUS_BYTES_MAX) }
      const described = await this.#describe(asked, cancel)
      for (const run of described) runs.push(run)
      const last = described.at(-1)
      assert(last !== undefined, 'an answer describes something')
      at = last.offsetBytes + last.lengthBytes
    }
    return mergeRuns(runs, range)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #readBlocks(range: { readonly offsetBytes: number; readonly target: Uint8Array }, cancel: Cancel): Promise<void> {
    return this.#onConnection((connection, permit) => connection.read(range, { signal: cancel.signal, permit }), cancel)
  }

  /** Allocation only saves reading: a server that cannot tell is one that says "data". */
  async #describe(asked: Extent, cancel: Cancel): Promise<readonly Allocation[]> {
    try {
      return await this.#onConnection(
        (connection, permit) => connection.blockStatus(asked, { signal: cancel.signal, permit }),
        cancel,
      )
    } catch (error) {
      if (error instanceof BackupError && error.facts['errno'] !== undefined) return [{ ...asked, kind: 'data' }]
      throw error
    }
  }

  async #onConnection<Result>(
    action: (connection: NbdConnection, permit: Disposable) => Promise<Result>,
    cancel: Cancel,
  ): Promise<Result> {
    for (let attempt = 0; ; attempt++) {
      const permit = await this.#permits.take(1, cancel)
      const slot = this.#slots.reduce((best, other) => (busyness(other) < busyness(best) ? other : best))
      slot.callers++
      try {
        // From here on the connection gives the permit back, when the answer is in.
        return await action(await this.#connection(slot, cancel).catch(releasing(permit)), permit)
      } catch (error) {
        if (hasCode(error, 'nbd-protocol') && error instanceof BackupError) this.#broken ??= error
        if (!hasCode(error, 'nbd-connection-lost')) throw error
        if (attempt >= (this.#options.replaysMax ?? 3)) throw this.#gaveUp(error)
      } finally {
        slot.callers--
      }
    }
  }

  /** The slot's connection, or a new one where it is lost or was never opened. */
  async #connection(slot: Slot, { signal }: Cancel): Promise<NbdConnection> {
    assert(this.#closing === null, 'a disposed source is not read')
    if (this.#broken !== null) throw this.#broken
    if (slot.connection?.usable === true) return slot.connection
    if (slot.connection !== null) this.#leave(slot.connection)
    slot.connection = null
    slot.opening ??= this.#reopen(slot).finally(() => {
      slot.opening = null
    })
    return abandonable(slot.opening, signal)
  }

  async #reopen(slot: Slot): Promise<NbdConnection> {
    const { clock, random, connect, exportName } = this.#options
    const { signal } = this.#lifetime
    const open = () => openNbdConnection(connect, { signal })
    const retryable = (error: unknown) => hasCode(error, 'nbd-connect-failed')
    const pace = { attemptsMax: 4, firstMs: 200, mostMs: 5_000 }
    let connection: NbdConnection
    try {
      connection = await retry(open, { ...pace, clock, random, signal, retryable })
    } catch (error) {
      throw this.#gaveUp(error)
    }
    const { sizeBytes, blockBytesMin, payloadBytesMax, allocationContext } = connection.opened
    const same =
      sizeBytes === this.capacityBytes &&
      blockBytesMin <= this.#opened.blockBytesMin &&
      payloadBytesMax >= this.readBytesMax &&
      (allocationContext === null) === (this.#opened.allocationContext === null)
    if (!same) {
      this.#leave(connection)
      throw new BackupError(`The NBD export "${exportName}" is another after reconnecting`, {
        code: 'disk-read-failed',
        retry: 'later',
        facts: { sizeBytes, sizeBytesBefore: this.capacityBytes },
      })
    }
    slot.connection = connection
    return connection
  }

  #leave(connection: NbdConnection): void {
    const left = connection.close().finally(() => this.#leaving.delete(left))
    this.#leaving.add(left)
  }

  async #close(): Promise<void> {
    this.#lifetime.abort(new Error('The NBD source was disposed'))
    await Promise.allSettled(this.#slots.map((slot) => slot.opening))
    for (const { connection } of this.#slots) if (connection !== null) this.#leave(connection)
    await Promise.all(this.#leaving)
  }

  #gaveUp(cause: unknown): BackupError {
    return new BackupError(`Cannot read the NBD export "${this.#options.exportName}": its connection was lost`, {
      code: 'disk-read-failed',
      retry: 'later',
      hint: 'Check that the NBD server still runs: its log says why it stopped',
      cause,
    })
  }

  #checkRange({ offsetBytes, lengthBytes }: Extent): void {
    assert(this.#closing === null, 'a disposed source is not read')
    const whole = Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes)
    const inside = offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= this.capacityBytes
    assert(whole && inside, 'a range lies inside the disk')
  }

  #align({ offsetBytes, lengthBytes }: Extent): Extent {
    const block = this.#opened.blockBytesMin
    const start = offsetBytes - (offsetBytes % block)
    const end = Math.ceil((offsetBytes + lengthBytes) / block) * block
    return { offsetBytes: start, lengthBytes: end - start }
  }
}

/** A connection still to be opened counts as a little busier than an open one. */
function busyness({ connection, callers }: Slot): number {
  return connection?.usable === true ? callers : callers + 0.5
}

function releasing(permit: Disposable): (error: unknown) => never {
  return (error) => {
    permit[Symbol.dispose]()
    throw error
  }
}

/** Others may wait for the same promise: only this caller stops waiting. */
function abandonable<Result>(shared: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    void shared.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
