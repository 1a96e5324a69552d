// A server of a test on a free port of the loopback interface, and its end.

import { once } from 'node:events'
import type { Server } from 'node:http'

export type Loopback = AsyncDisposable & {
  /** "http://127.0.0.1:PORT" */
  readonly url: string
  readonly port: number
}

/** Disposing cuts every connection, and has waited for the server to close. */
export async function listenOnLoopback(server: Server): Promise<Loopback> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port')
  const { port } = address
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}
