// A disk read through nbdkit and VDDK: when nbdkit or its NFC session dies, another nbdkit is started and what was not
// answered is read again, a bounded number of times. Nobody reading for a while gives the session back.

import type { Clock } from '../../base/clock.ts'
import { assert, BackupError, hasCode } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Allocation, DiskSource } from '../../ports/disk.ts'
import { VDDK_READ_BYTES_MAX } from './vddk-command.ts'
import type { VddkServer } from './vddk-server.ts'

/** Each keeps a 2 MiB buffer of the host busy, of the 48 MB that it has for everybody. */
export const VDDK_READS_MAX = 4

export type VddkSourceOptions = {
  /** For error messages: the disk's file. */
  readonly name: string
  readonly open: (cancel: Cancel) => Promise<VddkServer>
  readonly clock: Clock
  readonly random: Random
  /** A server that nobody read from for so long is ended; the next read starts another. Default 60 s. */
  readonly idleMs?: number
  /** How often one read is tried, the first time counted; default 3. */
  readonly triesMax?: number
}

/** @throws what `options.open` throws */
export async function openVddkSource(options: VddkSourceOptions, cancel: Cancel): Promise<DiskSource> {
  return new VddkSource(options, await options.open(cancel))
}

const IDLE_MS = 60_000
const TRIES_MAX = 3
const REST_MS = 500

/** A server and how many calls are under way on it: it is disposed when it is given up and nobody uses it. */
type Held = {
  readonly server: VddkServer
  users: number
  givenUp: boolean
  /** Resolved when it is disposed. */
  readonly gone: PromiseWithResolvers<void>
}

type Tried<Result> =
  | { readonly kind: 'done'; readonly result: Result }
  /** `held` is null when no server could be opened. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly held: Held | null }

class VddkSource implements DiskSource {
  readonly access = 'random'
  readonly capacityBytes: number
  readonly readBytesMax = VDDK_READ_BYTES_MAX
  readonly readsMax = VDDK_READS_MAX
  readonly #options: VddkSourceOptions
  readonly #lifetime = new AbortController()
  /** Every server that has not ended yet. */
  readonly #servers = new Set<Held>()
  readonly #leaving = new Set<Promise<void>>()
  #held: Held | null = null
  #opening: Promise<Held> | null = null
  #idle: NodeJS.Timeout | null = null
  #closing: Promise<void> | null = null

  constructor(options: VddkSourceOptions, first: VddkServer) {
    this.#options = options
    this.capacityBytes = first.source.capacityBytes
    this.#hold(first)
  }

  async read(range: { readonly offsetBytes: number; readonly target: Uint8Array }, cancel: Cancel): Promise<void> {
    const { offsetBytes, target } = range
    this.#check({ offsetBytes, lengthBytes: target.byteLength })
    assert(target.byteLength <= this.readBytesMax, 'a read is no longer than readBytesMax')
    cancel.signal.throwIfAborted()
    if (target.byteLength === 0) return
    await this.#replayed(async ({ source }) => {
      for (let at = 0; at < target.byteLength; at += source.readBytesMax) {
        const part = target.subarray(at, Math.min(at + source.readBytesMax, target.byteLength))
        await source.read({ offsetBytes: offsetBytes + at, target: part }, cancel)
      }
    }, cancel)
  }

  async allocation(
    range: { readonly offsetBytes: number; readonly lengthBytes: number },
    cancel: Cancel,
  ): Promise<readonly Allocation[]> {
    this.#check(range)
    cancel.signal.throwIfAborted()
    if (range.lengthBytes === 0) return []
    return await this.#replayed(({ source }) => source.allocation(range, cancel), cancel)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #replayed<Result>(action: (server: VddkServer) => Promise<Result>, cancel: Cancel): Promise<Result> {
    const { clock, random, triesMax = TRIES_MAX } = this.#options
    for (let attempt = 1; ; attempt++) {
      const tried = await this.#tryOnce(action, cancel)
      if (tried.kind === 'done') return tried.result
      if (attempt >= triesMax) {
        // What it said is whole when it has ended.
        await tried.held?.gone.promise
        throw tried.held === null ? tried.error : tried.held.server.explain(tried.error)
      }
      await clock.sleep(REST_MS * 2 ** (attempt - 1) * random.fraction(), cancel)
    }
  }

  /** @throws what may not pass */
  async #tryOnce<Result>(action: (server: VddkServer) => Promise<Result>, cancel: Cancel): Promise<Tried<Result>> {
    let held: Held | null = null
    try {
      held = await this.#take(cancel)
      return { kind: 'done', result: await action(held.server) }
    } catch (error) {
      cancel.signal.throwIfAborted()
      if (held === null && !mayPass(error)) throw error
      if (held !== null && !hasCode(error, 'disk-read-failed')) throw error
      if (held !== null) this.#giveUp(held)
      return { kind: 'failed', error, held }
    } finally {
      if (held !== null) this.#leave(held)
    }
  }

  /** Counts one user of the server that is open, or of one that is opened now. */
  async #take({ signal }: Cancel): Promise<Held> {
    for (;;) {
      signal.throwIfAborted()
      assert(this.#closing === null, 'a disposed source is not read')
      if (this.#held === null) {
        this.#opening ??= this.#open().finally(() => {
          this.#opening = null
        })
        await abandonable(this.#opening, signal)
        // It may have been given up while this call waited for its turn.
        continue
      }
      if (this.#idle !== null) clearTimeout(this.#idle)
      this.#held.users++
      return this.#held
    }
  }

  #leave(held: Held): void {
    held.users--
    if (held.users > 0) return
    if (held.givenUp) this.#dispose(held)
    else if (this.#closing === null) this.#restSoon(held)
  }

  #restSoon(held: Held): void {
    if (this.#idle !== null) clearTimeout(this.#idle)
    this.#idle = setTimeout(() => this.#giveUp(held), this.#options.idleMs ?? IDLE_MS)
    this.#idle.unref()
  }

  /** No new call takes it; the last one that uses it disposes it. */
  #giveUp(held: Held): void {
    if (held.givenUp) return
    held.givenUp = true
    if (this.#held === held) this.#held = null
    if (held.users === 0) this.#dispose(held)
  }

  /** May be called again for the same server. */
  #dispose(held: Held): void {
    const left = Promise.resolve(held.server[Symbol.asyncDispose]())
      .catch(() => undefined)
      .finally(() => {
        this.#leaving.delete(left)
        this.#servers.delete(held)
        held.gone.resolve()
      })
    this.#leaving.add(left)
  }

  #hold(server: VddkServer): Held {
    const held = { server, users: 0, givenUp: false, gone: Promise.withResolvers<void>() }
    this.#held = held
    this.#servers.add(held)
    this.#restSoon(held)
    return held
  }

  async #open(): Promise<Held> {
    // A disk that is still being detached, or counted by its host, is not opened a second time.
    await Promise.all(this.#leaving)
    const server = await this.#options.open({ signal: this.#lifetime.signal })
    const { capacityBytes } = server.source
    if (capacityBytes === this.capacityBytes) return this.#hold(server)
    await server[Symbol.asyncDispose]()
    throw new BackupError(
      `Cannot read "${this.#options.name}": it has ${capacityBytes} bytes now, it had ${this.capacityBytes}`,
      { code: 'disk-read-failed', retry: 'later', facts: { capacityBytes, capacityBytesBefore: this.capacityBytes } },
    )
  }

  async #close(): Promise<void> {
    this.#lifetime.abort(new Error('The disk was closed'))
    if (this.#idle !== null) clearTimeout(this.#idle)
    await this.#opening?.catch(() => undefined)
    // Answers that are on their way are waited for by the server's own goodbye.
    for (const held of this.#servers) this.#dispose(held)
    while (this.#leaving.size > 0) await Promise.all(this.#leaving)
  }

  #check({ offsetBytes, lengthBytes }: { readonly offsetBytes: number; readonly lengthBytes: number }): void {
    assert(this.#closing === null, 'a disposed source is not read')
    const whole = Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes)
    const inside = offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= this.capacityBytes
    assert(whole && inside, 'a range lies inside the disk')
  }
}

function mayPass(error: unknown): boolean {
  return error instanceof BackupError && error.retry === 'later'
}

/** Others may wait for the same promise: only this caller stops waiting. */
function abandonable(shared: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    void shared.then(() => resolve(), reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
