// The connections of one process to vCenter, so that it can die, stand still or lose vCenter in the middle of a byte.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export type Wire = AsyncDisposable & {
  readonly port: number
  /** 'still': nothing passes until 'open' comes again. 'away': every connection is reset, until 'open'. 'dead': for ever. */
  set(state: WireState): void
  state(): WireState
}

export type WireState = 'open' | 'still' | 'away' | 'dead'

/** Listens on loopback and passes everything on to another port of it. */
export async function openWire(target: { readonly port: number }): Promise<Wire> {
  const sockets = new Set<Socket>()
  let state: WireState = 'open'
  const keep = (socket: Socket, other: Socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    if (state === 'still') socket.pause()
    socket.on('data', (bytes) => other.write(bytes))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      sockets.delete(socket)
      other.destroy()
    })
  }
  const server = createServer((client) => {
    if (state === 'away' || state === 'dead') return void client.resetAndDestroy()
    const peer = connect({ host: '127.0.0.1', port: target.port })
    keep(client, peer)
    keep(peer, client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The wire has no port')
  const set = (next: WireState) => {
    if (state === 'dead') return
    state = next
    for (const socket of [...sockets]) {
      if (next === 'open') socket.resume()
      else if (next === 'still') socket.pause()
      else socket.resetAndDestroy()
    }
  }
  return {
    port: address.port,
    set,
    state: () => state,
    [Symbol.asyncDispose]: async () => {
      set('dead')
      server.close()
      await once(server, 'close')
    },
  }
}
