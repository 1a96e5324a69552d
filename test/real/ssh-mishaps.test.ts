// Networks that fail on the way to Debian's sshd: cut, stalled, silent, refused; and many guests at once.

import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { guestNetwork } from '../../lib/adapters/guest/network.ts'
import type { ProgramRequest } from '../../lib/ports/guest.ts'
import { peerSkip } from '../kit/peers.ts'
import { enter, enterChannel, openSshGuest, type SshGuest } from '../kit/ssh-guest.ts'
import { freePort } from '../kit/sshd.ts'
import { openTcpProxy } from '../kit/tcp-proxy.ts'

const cancel = { signal: new AbortController().signal }
const unreachable = { code: 'guest-unreachable', retry: 'later' }
const hasIpv6 = Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === '::1'))

function sh(script: string): ProgramRequest {
  const plain = { environment: {}, workingDirectory: null, timeoutMs: 60_000, elevated: false }
  return { ...plain, program: '/bin/sh', args: ['-c', script] }
}

/** A server that accepts and answers with `text`, or never. */
async function openServer(text: string | null): Promise<AsyncDisposable & { readonly port: number }> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined)
    if (text !== null) socket.end(text)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const place = server.address()
  if (place === null || typeof place === 'string') throw new Error('No port')
  return { port: place.port, [Symbol.asyncDispose]: async () => void server.close() }
}

describe.skipIf(peerSkip('sshd'))('a network that fails, over ssh', { timeout: 60_000 }, () => {
  let guest: SshGuest
  beforeAll(async () => {
    guest = await openSshGuest()
  })
  afterAll(() => guest?.[Symbol.asyncDispose]())

  it.concurrent('a connection cut in the middle of a program, a script of ours or a file is told at once', async () => {
    for (const step of ['run', 'put', 'get', 'digest'] as const) {
      await using proxy = await openTcpProxy(guest.sshd)
      await using channel = await enterChannel(guest, { port: proxy.port })

      const directory = await channel.makeDirectory(cancel)
      const path = `${directory}/file`
      const bytes = new Uint8Array(32 * 2 ** 20)
      if (step !== 'put') await channel.put({ path, bytes, executable: false }, cancel)
      const began = performance.now()
      const calls = {
        run: () => channel.run(sh('sleep 30'), cancel),
        put: () => channel.put({ path, bytes, executable: false }, cancel),
        get: () => channel.get({ path, bytesMax: bytes.length }, cancel),
        digest: () => channel.digest(path, cancel),
      }
      const call = calls[step]().catch((error: unknown) => error)
      await delay(step === 'run' ? 500 : 20)
      proxy.cut()
      expect(await call).toMatchObject(unreachable)
      expect(performance.now() - began).toBeLessThan(15_000)
      await expect(channel.run(sh('true'), cancel)).rejects.toMatchObject(unreachable)
      await using other = await enterChannel(guest)
      await other.remove(directory, cancel)
    }
  })

  it.concurrent('a network that goes silent is noticed by itself', async () => {
    await using proxy = await openTcpProxy(guest.sshd)
    await using channel = await enterChannel(guest, { port: proxy.port, network: { keepaliveMs: 300 } })

    const call = channel.run(sh('sleep 20'), cancel).catch((error: unknown) => error)
    await delay(500)
    proxy.stall()
    const began = performance.now()
    expect(await call).toMatchObject({ ...unreachable, message: expect.stringContaining('went silent') })
    expect(performance.now() - began).toBeLessThan(15_000)
  })

  it.concurrent('a caller that gives up while the network is silent waits for the guest a few seconds only', async () => {
    await using proxy = await openTcpProxy(guest.sshd)
    await using channel = await enterChannel(guest, { port: proxy.port, network: { keepaliveMs: 60_000 } })

    const stop = new AbortController()
    const call = channel.run(sh('sleep 20'), { signal: stop.signal }).catch((error: unknown) => error)
    await delay(500)
    proxy.stall()
    const began = performance.now()
    stop.abort(new Error('enough'))
    expect(await call).toMatchObject({ message: 'enough' })
    expect(performance.now() - began).toBeLessThan(25_000)
  })

  it.concurrent('a guest that quits while a program runs is unreachable', async () => {
    await using server = await openSshGuest()
    await using channel = await enterChannel(server)

    const ended = channel.run(sh('kill -9 $(cat /proc/$PPID/status | sed -n "s/^PPid:[^0-9]*//p")'), cancel)
    await expect(ended).rejects.toMatchObject(unreachable)
  })

  it.concurrent('a port where nobody listens, or somebody else does, or nobody speaks, has its own words', async () => {
    const closed = await freePort('127.0.0.1')
    await expect(enter(guest, { port: closed })).rejects.toMatchObject({
      ...unreachable,
      message: expect.stringContaining('refused'),
    })
    await using web = await openServer('HTTP/1.1 400 Bad Request\r\n\r\n')
    await expect(enter(guest, { port: web.port })).rejects.toMatchObject(unreachable)
    await using empty = await openServer('')
    await expect(enter(guest, { port: empty.port })).rejects.toMatchObject(unreachable)
    await using mute = await openServer(null)
    const began = performance.now()
    await expect(enter(guest, { port: mute.port, network: { connectMs: 700 } })).rejects.toMatchObject({
      ...unreachable,
      message: expect.stringContaining('within 700 ms'),
    })
    expect(performance.now() - began).toBeLessThan(15_000)
    const given = enter(guest, { port: mute.port, signal: AbortSignal.timeout(300) })
    await expect(given).rejects.toMatchObject({ name: 'TimeoutError' })
    await expect(enter(guest, { signal: AbortSignal.abort(new Error('over')) })).rejects.toThrow('over')
  })

  it.skipIf(!hasIpv6)('reaches a guest over IPv6', async () => {
    await using server = await openSshGuest({ address: '::1' })
    await using channel = await enterChannel(server)

    expect(channel.address).toBe('::1')
    expect((await channel.run(sh('echo six'), cancel)).stdout).toBe('six\n')
  })

  it('ten guests at once do not disturb one another', async () => {
    const results = await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        await using channel = await enterChannel(guest)

        const directory = await channel.makeDirectory(cancel)
        const path = `${directory}/file`
        await channel.put({ path, bytes: Buffer.from(`guest ${index}`), executable: false }, cancel)
        const { stdout } = await channel.run({ ...sh('cat "$0"'), args: ['-c', 'cat "$0"', path] }, cancel)
        await channel.remove(directory, cancel)
        return stdout
      }),
    )
    expect(results).toEqual(Array.from({ length: 10 }, (_, index) => `guest ${index}`))
  })

  it('probe() answers for each door in its order and within its budget', async () => {
    const closed = await freePort('127.0.0.1')
    const { port } = guest.sshd
    // 192.0.2.0/24 is for documents: nobody answers there, or the network says that there is no way.
    const doors = [
      { address: '192.0.2.1', port },
      { address: '127.0.0.1', port },
      { address: '127.0.0.1', port: closed },
    ]
    const began = performance.now()
    const answers = await guestNetwork().probe(doors, { budgetMs: 1000 }, cancel)
    expect(performance.now() - began).toBeLessThan(15_000)
    expect(answers).toEqual([
      { kind: 'silent', reason: expect.any(String) },
      { kind: 'answers', elapsedMs: expect.any(Number) },
      { kind: 'silent', reason: 'the connection was refused' },
    ])
    const over = { signal: AbortSignal.abort(new Error('over')) }
    await expect(guestNetwork().probe(doors, { budgetMs: 1000 }, over)).rejects.toThrow('over')
    expect(await guestNetwork().probe([], { budgetMs: 1000 }, cancel)).toEqual([])
  })
})
