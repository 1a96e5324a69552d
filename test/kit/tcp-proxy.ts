// A TCP proxy on loopback between a client and a server of a test, that can cut or stall what goes through it.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export type TcpProxy = AsyncDisposable & {
  readonly port: number
  /** Resets every connection. */
  cut(): void
  /** Resets every connection and refuses new ones. */
  close(): Promise<void>
  /** Carries nothing any more, while every connection stays open: a network that was pulled out. */
  stall(): void
  /** How many bytes went to the server so far. */
  sentBytes(): number
}

export async function openTcpProxy(server: { readonly address: string; readonly port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let stalled = false
  let sent = 0
  const own = createServer((client) => {
    const peer = connect({ host: server.address, port: server.port })
    for (const socket of [client, peer]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => sockets.delete(socket))
    }
    client.on('data', (chunk) => {
      sent += chunk.byteLength
      if (!stalled) peer.write(chunk)
    })
    peer.on('data', (chunk) => {
      if (!stalled) client.write(chunk)
    })
    client.on('close', () => peer.destroy())
    peer.on('close', () => client.destroy())
  })
  own.listen(0, '127.0.0.1')
  await once(own, 'listening')
  const place = own.address()
  if (place === null || typeof place === 'string') throw new Error('No port')
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  const close = async (): Promise<void> => {
    cut()
    if (!own.listening) return
    own.close()
    await once(own, 'close')
  }
  return {
    port: place.port,
    cut,
    close,
    stall: () => {
      stalled = true
    },
    sentBytes: () => sent,
    [Symbol.asyncDispose]: close,
  }
}
