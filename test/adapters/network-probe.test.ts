// The network probe contract on this machine's own network (loopback) and on the one in memory.

import { createServer as createTcp, type Server } from 'node:net'
import { createServer as createTls } from 'node:tls'
import { expect, it } from 'vitest'
import { localNetworkProbe } from '../../lib/adapters/local/network-probe.ts'
import { memoryNetwork } from '../../lib/adapters/memory/network-probe.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { selfSigned, thumbprints } from '../../sim/tls.ts'
import { networkProbeContract } from '../contract/network-probe.ts'

const host = '127.0.0.1'

networkProbeContract('local', async () => {
  const { key, certificate } = selfSigned({ nowMs: Date.now(), random: systemRandom })
  const tls = createTls({ key, cert: certificate })
  // Says something that is no TLS to whoever speaks.
  const plain = createTcp((socket) =>
    socket.on('error', () => undefined).on('data', () => socket.end('HTTP/1.1 400\r\n\r\n')),
  )
  const gone = createTcp()
  const [tlsPort, plainPort, closedPort] = [await listen(tls), await listen(plain), await listen(gone)]
  await close(gone)
  return {
    probe: localNetworkProbe({ clock: systemClock }),
    tls: { host, port: tlsPort, sha256: thumbprints(certificate).sha256 },
    plain: { host, port: plainPort },
    closed: { host, port: closedPort },
    unknownName: 'nobody.invalid',
    [Symbol.asyncDispose]: async () => {
      await close(tls)
      await close(plain)
    },
  }
})

networkProbeContract('memory', async () => {
  const network = memoryNetwork()
  const sha256 = 'AB:CD'
  network.names.set('localhost', [host])
  network.open.set(`${host}:443`, { sha256, sha1: 'AB', subject: 'x', validUntil: null, mistrust: 'self-signed' })
  network.open.set(`${host}:80`, null)
  return {
    probe: network.probe,
    tls: { host, port: 443, sha256 },
    plain: { host, port: 80 },
    closed: { host, port: 1 },
    unknownName: 'nobody.invalid',
    [Symbol.asyncDispose]: async () => undefined,
  }
})

it('a server that takes the connection and says nothing does not hold the probe up', async () => {
  const mute = createTcp((socket) => socket.on('error', () => undefined).resume())
  const port = await listen(mute)
  const probe = localNetworkProbe({ clock: systemClock, limitMs: 50 })
  const asking = probe.certificate({ host, port }, { signal: AbortSignal.timeout(10_000) })
  await expect(asking).rejects.toMatchObject({ code: 'port-unreachable', message: expect.stringContaining('50 ms') })
  await close(mute)
})

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
