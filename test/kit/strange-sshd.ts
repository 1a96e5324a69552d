// An SSH server on loopback that does what no OpenSSH does: breaks off, asks odd questions, answers nonsense. Of ssh2's own server.

import '../../lib/adapters/guest/no-native-ssh2.ts'

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import ssh2, { type Connection } from 'ssh2'
import { guestNetwork } from '../../lib/adapters/guest/network.ts'
import type { Cancel } from '../../lib/base/time-limit.ts'
import type { GuestFamily } from '../../lib/model/guest.ts'
import type { GuestCredentials, PinRule } from '../../lib/ports/guest.ts'

export type StrangeSshd = AsyncDisposable & {
  readonly port: number
  /** How many connections there were. */
  count(): number
  /** Says goodbye on every connection. */
  endAll(): void
  enter(
    way: { readonly credentials: GuestCredentials; readonly family?: GuestFamily; readonly rule?: PinRule },
    cancel: Cancel,
  ): ReturnType<ReturnType<typeof guestNetwork>['openSsh']>
}

export async function openStrangeSshd(options: {
  readonly follow: (connection: Connection) => void
  /** Connections after this many are reset before a word. */
  readonly connectionsMax?: number
}): Promise<StrangeSshd> {
  const { follow, connectionsMax = Number.POSITIVE_INFINITY } = options
  const connections = new Set<Connection>()
  const sockets = new Set<Socket>()
  let count = 0
  const server = new ssh2.Server({ hostKeys: [anyKey()] }, (connection) => {
    connections.add(connection)
    connection.on('error', () => undefined)
    connection.on('close', () => connections.delete(connection))
    follow(connection)
  })
  const front = createServer((socket) => {
    socket.on('error', () => undefined)
    sockets.add(socket)
    if (++count > connectionsMax) socket.resetAndDestroy()
    else server.injectSocket(socket)
  })
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  const place = front.address()
  if (place === null || typeof place === 'string') throw new Error('No port')
  const { port } = place
  return {
    port,
    count: () => count,
    endAll: () => {
      for (const each of connections) each.end()
    },
    enter: ({ family = 'linux', rule = { pins: [], firstSeen: true }, credentials }, cancel) =>
      guestNetwork().openSsh({ address: '127.0.0.1', port, credentials, family, rule }, cancel),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      front.close()
      await once(front, 'close')
    },
  }
}

/** A key that every strange server takes. */
export function anyKey(): string {
  // Now and then ssh2 makes an Ed25519 key that it cannot read itself.
  for (;;) {
    const { private: key } = ssh2.utils.generateKeyPairSync('ed25519')
    if (!(ssh2.utils.parseKey(key) instanceof Error)) return key
  }
}
