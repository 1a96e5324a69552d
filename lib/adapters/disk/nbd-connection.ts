// One connection to one NBD export: requests side by side, answers in any order, and an end that leaves nothing pending.
// It does not reconnect: once lost, it stays lost (nbd-source.ts opens another).

import { setTimeout as delay } from 'node:timers/promises'
import { assert, BackupError, quote } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { Extent } from '../../model/extent.ts'
import type { Allocation } from '../../ports/disk.ts'
import { coverage } from './nbd-coverage.ts'
import { type NbdExport, negotiate } from './nbd-handshake.ts'
import { COMMAND, encodeOption, encodeRequest, errnoName, OPTION } from './nbd-protocol.ts'
import { type Pending, ReplyReader } from './nbd-replies.ts'
import { addressText, type NbdAddress, openWire, type Wire } from './nbd-wire.ts'

export type NbdConnectOptions = {
  readonly address: NbdAddress
  readonly exportName: string
  /** Connecting, TLS and negotiation together. */
  readonly connectLimitMs: number
  /** A request without an answer for this long ends the connection. */
  readonly requestLimitMs: number
  /** How long closing waits for what is pending, and then for the server's end of the stream. */
  readonly closeLimitMs: number
}

type Waiter = {
  readonly startTick: number
  /** Given back when the request takes no room on the connection any more. */
  readonly permit: Disposable
  readonly onSettled: (failure: unknown) => void
}

type Waiting = Pending & Waiter

/** A late request is found within a quarter of its limit. */
const TICKS_PER_LIMIT = 4

/**
 * @throws BackupError `nbd-connect-failed` (retry later), `nbd-tls-failed`, `nbd-tls-required`, `nbd-export-unknown`,
 *   `nbd-refused` or `nbd-protocol`
 */
export async function openNbdConnection(options: NbdConnectOptions, cancel: Cancel): Promise<NbdConnection> {
  const { address, exportName } = options
  const limit = withTimeLimit(cancel.signal, options.connectLimitMs)
  let wire: Wire | undefined
  try {
    wire = await openWire(address, { signal: limit })
    const negotiation = { exportName, tls: address.tls, address: addressText(address) }
    const opened = await negotiate(wire, negotiation, { signal: limit })
    return new NbdConnection({ ...options, wire, opened })
  } catch (error) {
    if (wire !== undefined) hangUp(wire)
    cancel.signal.throwIfAborted()
    if (!limit.aborted) throw error
    const seconds = options.connectLimitMs / 1000
    throw new BackupError(`The NBD server at ${addressText(address)} did not open the export within ${seconds} s`, {
      code: 'nbd-connect-failed',
      retry: 'later',
      hint: 'Check the log of the server: it may wait for the storage behind it',
      facts: { address: addressText(address), exportName },
      cause: error,
    })
  }
}

export class NbdConnection {
  readonly opened: NbdExport
  readonly #options: NbdConnectOptions & { readonly wire: Wire }
  readonly #reader: ReplyReader<Waiting>
  readonly #pending = new Map<number, Waiting>()
  readonly #timer: NodeJS.Timeout
  #handle = 0
  #tick = 0
  #lost: BackupError | null = null
  #readable = true
  #closing: Promise<void> | null = null
  #onIdle = () => {}

  constructor(options: NbdConnectOptions & { readonly wire: Wire; readonly opened: NbdExport }) {
    this.opened = options.opened
    this.#options = options
    this.#reader = new ReplyReader<Waiting>({
      structured: options.opened.structured,
      find: (handle) => this.#pending.get(handle),
      settle: (handle, waiting) => this.#settle(handle, waiting),
    })
    this.#timer = setInterval(() => this.#checkLimits(), options.requestLimitMs / TICKS_PER_LIMIT)
    this.#timer.unref()
    options.wire.receive((bytes, lengthBytes) => this.#receive(bytes, lengthBytes))
    void options.wire.closed.then((cause) => this.#onClosed(cause))
  }

  /** Whether new requests are taken. */
  get usable(): boolean {
    return this.#lost === null && this.#closing === null
  }

  /**
   * Fills `target`. When it rejects, nothing is written to `target` any more.
   * @throws BackupError `disk-read-failed`, `nbd-connection-lost` or `nbd-protocol`
   */
  async read(
    range: { readonly offsetBytes: number; readonly target: Uint8Array },
    options: Cancel & { readonly permit: Disposable },
  ): Promise<void> {
    const { offsetBytes, target } = range
    const pending = { kind: 'read' as const, offsetBytes, lengthBytes: target.byteLength, target }
    await this.#ask({ ...pending, covered: coverage(), refusal: null }, { ...options, command: COMMAND.read })
  }

  /**
   * What the server says of a range, from its start on; it may describe less than was asked, never nothing.
   * @throws BackupError `disk-read-failed`, `nbd-connection-lost` or `nbd-protocol`
   */
  async blockStatus(range: Extent, options: Cancel & { readonly permit: Disposable }): Promise<readonly Allocation[]> {
    const contextId = this.opened.allocationContext
    assert(contextId !== null, 'base:allocation was negotiated')
    const pending: Pending = { kind: 'block-status', ...range, contextId, runs: null, refusal: null }
    const answered = await this.#ask(pending, { ...options, command: COMMAND.blockStatus })
    assert(answered.kind === 'block-status' && answered.runs !== null, 'an answered status request has runs')
    return answered.runs
  }

  /**
   * Waits for what is pending, says goodbye and waits for the server to hang up; after the limit it just hangs up.
   * Leaving with answers on their way makes some servers abort (nbdkit 1.32).
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #ask(
    pending: Pending,
    options: Cancel & { readonly permit: Disposable; readonly command: number },
  ): Promise<Pending> {
    const { signal, permit, command } = options
    return new Promise((resolve, reject) => {
      if (signal.aborted || !this.usable) {
        permit[Symbol.dispose]()
        return reject(signal.aborted ? signal.reason : this.#lostError('it is closed', null))
      }
      const onAbort = () => {
        if (waiting.kind === 'read') waiting.target = null
        reject(signal.reason)
      }
      const onSettled = (failure: unknown) => {
        signal.removeEventListener('abort', onAbort)
        if (failure === null) resolve(waiting)
        else reject(failure)
      }
      const waiting: Waiting = Object.assign(pending, { startTick: this.#tick, permit, onSettled })
      signal.addEventListener('abort', onAbort, { once: true })
      const handle = this.#handle++
      this.#pending.set(handle, waiting)
      const { offsetBytes, lengthBytes } = pending
      this.#options.wire.write(encodeRequest({ command, handle, offsetBytes, lengthBytes }))
    })
  }

  #receive(bytes: Buffer, lengthBytes: number): void {
    if (!this.#readable) return
    try {
      this.#reader.push(bytes, lengthBytes)
    } catch (error) {
      // What follows cannot be told apart: it is received and thrown away until the server hangs up.
      this.#readable = false
      this.#lose(error instanceof BackupError ? error : this.#lostError('its answer cannot be read', error))
    }
  }

  #settle(handle: number, waiting: Waiting): void {
    this.#pending.delete(handle)
    waiting.permit[Symbol.dispose]()
    waiting.onSettled(waiting.refusal === null ? null : this.#refusedError(waiting))
    if (this.#pending.size === 0) this.#onIdle()
  }

  #checkLimits(): void {
    this.#tick++
    const [oldest] = this.#pending.values()
    if (oldest === undefined || this.#tick - oldest.startTick <= TICKS_PER_LIMIT) return
    this.#lose(this.#lostError(`it did not answer within ${this.#options.requestLimitMs / 1000} s`, null))
  }

  #onClosed(cause: Error | null): void {
    clearInterval(this.#timer)
    this.#readable = false
    this.#lose(this.#lostError('the server closed the connection', cause))
    this.#pending.clear()
    this.#onIdle()
  }

  /** Fails what is pending. The entries stay, without a buffer, so that late answers are still understood. */
  #lose(error: BackupError): void {
    if (this.#lost !== null) return
    this.#lost = error
    for (const waiting of this.#pending.values()) {
      if (waiting.kind === 'read') waiting.target = null
      waiting.permit[Symbol.dispose]()
      waiting.onSettled(error)
    }
    void this.close()
  }

  async #close(): Promise<void> {
    const { wire, closeLimitMs } = this.#options
    if (this.#readable && this.#pending.size > 0) {
      const idle = new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
      await within(idle, closeLimitMs)
    }
    if (this.#pending.size === 0 || !this.#readable) {
      wire.write(encodeRequest({ command: COMMAND.disconnect, handle: this.#handle++, offsetBytes: 0, lengthBytes: 0 }))
      wire.end()
      await within(wire.closed, closeLimitMs)
    }
    wire.destroy()
    await wire.closed
  }

  #refusedError({ offsetBytes, lengthBytes, refusal, kind }: Waiting): BackupError {
    assert(refusal !== null, 'the request was refused')
    const errno = errnoName(refusal.errno)
    const said = refusal.message === '' ? '' : `: ${quote(refusal.message)}`
    const what = kind === 'read' ? 'read' : 'ask for the allocation of'
    return new BackupError(
      `Cannot ${what} ${lengthBytes} bytes at ${offsetBytes} of ${this.#exportText()}: the server answered ${errno}${said}`,
      {
        code: 'disk-read-failed',
        retry: 'later',
        hint: 'The server could not read its storage: its log says why',
        facts: { errno, offsetBytes, lengthBytes, failedAtBytes: refusal.offsetBytes },
      },
    )
  }

  #lostError(why: string, cause: unknown): BackupError {
    return new BackupError(`Lost the connection to ${this.#exportText()}: ${why}`, {
      code: 'nbd-connection-lost',
      retry: 'later',
      facts: { pendingRequests: this.#pending.size },
      ...(cause === null ? {} : { cause }),
    })
  }

  #exportText(): string {
    return `the NBD export ${quote(this.#options.exportName)} at ${addressText(this.#options.address)}`
  }
}

/** Ends a negotiation that led nowhere. */
function hangUp(wire: Wire): void {
  wire.write(encodeOption(OPTION.abort, Buffer.alloc(0)))
  wire.end()
  void within(wire.closed, 2_000).then(() => wire.destroy())
}

async function within(happened: Promise<unknown>, ms: number): Promise<void> {
  const stop = new AbortController()
  const timeout = delay(ms, undefined, { signal: stop.signal, ref: false }).catch(() => {})
  await Promise.race([happened, timeout])
  stop.abort()
}
