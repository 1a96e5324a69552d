// One stream to an NBD server: unix socket or TCP, plain or raised to TLS. It knows bytes, not the protocol.

import { connect, type Socket } from 'node:net'
import { BackupError, messageOf, quote } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { type NbdTls, secureSocket } from './nbd-tls.ts'

/** With `tls` the server must speak TLS and prove who it is; without it the stream is plain. */
export type NbdAddress =
  | { readonly unix: string; readonly tls?: NbdTls }
  | { readonly host: string; readonly port: number; readonly tls?: NbdTls }

/** Gets the first `lengthBytes` of `bytes`, which are overwritten when it returns. It may not throw. */
export type Receiver = (bytes: Buffer, lengthBytes: number) => void

export interface Wire {
  /** Whom the bytes go to from now on. */
  receive(receiver: Receiver): void
  write(bytes: Uint8Array): void
  /** Raises the stream to TLS. @throws BackupError `nbd-tls-failed` */
  startTls(tls: NbdTls, cancel: Cancel): Promise<void>
  /** Says that nothing more is written; what the server still sends is received. */
  end(): void
  destroy(): void
  /** Resolves, never rejects, when the stream is gone: with the error that ended it, or null. */
  readonly closed: Promise<Error | null>
}

/** Measured with nbdkit over a unix socket: 64 KiB costs a tenth more processor time, 1 MiB gains nothing. */
const RECEIVE_BYTES = 256 * 1024

/** For example `"/run/nbd.sock"` or `"example.com:10809"`. */
export function addressText(address: NbdAddress): string {
  return quote('unix' in address ? address.unix : `${address.host}:${address.port}`)
}

/** @throws BackupError `nbd-connect-failed` when nobody answers there */
export async function openWire(address: NbdAddress, { signal }: Cancel): Promise<Wire> {
  signal.throwIfAborted()
  let receiver: Receiver = () => {}
  const target = 'unix' in address ? { path: address.unix } : { host: address.host, port: address.port }
  // A fixed buffer costs half the processor time of 'data' events. A stream that is to become TLS cannot have one.
  const onread = {
    buffer: Buffer.allocUnsafe(RECEIVE_BYTES),
    callback: (lengthBytes: number, bytes: Uint8Array) => {
      receiver(asBuffer(bytes), lengthBytes)
      return true
    },
  }
  const options = { ...target, noDelay: true }
  const socket = address.tls === undefined ? connect({ ...options, onread }) : connect(options)
  const closed = closedOf(socket)
  try {
    await connected(socket, { signal })
  } catch (error) {
    socket.destroy()
    signal.throwIfAborted()
    throw new BackupError(`Cannot connect to the NBD server at ${addressText(address)}: ${messageOf(error)}`, {
      code: 'nbd-connect-failed',
      retry: 'later',
      hint: 'Check that the server runs there and may be reached from here',
      facts: { address: addressText(address) },
      cause: error,
    })
  }
  const onData = (bytes: Buffer) => receiver(bytes, bytes.byteLength)
  if (address.tls !== undefined) socket.on('data', onData)
  let stream: Socket = socket
  return {
    closed,
    receive: (next) => {
      receiver = next
    },
    write: (bytes) => void stream.write(bytes),
    startTls: async (tls, cancel) => {
      socket.off('data', onData)
      const name = tls.serverName ?? ('unix' in address ? undefined : address.host)
      stream = await secureSocket({ socket, tls, serverName: name, address: addressText(address) }, cancel)
      stream.on('data', onData)
    },
    end: () => void stream.end(),
    destroy: () => {
      stream.destroy()
      socket.destroy()
    },
  }
}

function connected(socket: Socket, { signal }: Cancel): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      signal.removeEventListener('abort', onAbort)
      socket.off('connect', onConnect)
      socket.off('error', onError)
      action()
    }
    const onAbort = () => settle(() => reject(signal.reason))
    const onConnect = () => settle(resolve)
    const onError = (error: Error) => settle(() => reject(error))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('connect', onConnect)
    socket.once('error', onError)
  })
}

function closedOf(socket: Socket): Promise<Error | null> {
  let failure: Error | null = null
  socket.on('error', (error: Error) => {
    failure ??= error
  })
  return new Promise((resolve) => socket.once('close', () => resolve(failure)))
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
