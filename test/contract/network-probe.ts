// What every look at a network keeps: run on each implementation of the NetworkProbe port.

import { describe, expect, it } from 'vitest'
import type { NetworkPlace, NetworkProbe } from '../../lib/ports/network-probe.ts'

export type OpenedNetwork = AsyncDisposable & {
  readonly probe: NetworkProbe
  /** Speaks TLS with a certificate that no authority vouches for. */
  readonly tls: NetworkPlace & { readonly sha256: string }
  /** Answers, and does not speak TLS. */
  readonly plain: NetworkPlace
  /** Nothing listens there. */
  readonly closed: NetworkPlace
  /** A name that nobody has. */
  readonly unknownName: string
}

export function networkProbeContract(name: string, open: () => Promise<OpenedNetwork>): void {
  describe(`network probe: ${name}`, () => {
    const cancel = { signal: AbortSignal.timeout(30_000) }

    it('tells names that exist from those that do not; an address is its own', async () => {
      await using network = await open()
      expect((await network.probe.resolve('localhost', cancel)).length).toBeGreaterThan(0)
      expect(await network.probe.resolve('192.0.2.1', cancel)).toEqual(['192.0.2.1'])
      expect(await network.probe.resolve('2001:db8::1', cancel)).toEqual(['2001:db8::1'])
      await expect(network.probe.resolve(network.unknownName, cancel)).rejects.toMatchObject({ code: 'name-unknown' })
    })

    it('tells open ports from closed ones', async () => {
      await using network = await open()
      expect(await network.probe.connect(network.plain, cancel)).toBeGreaterThanOrEqual(0)
      const closed = network.probe.connect(network.closed, cancel)
      await expect(closed).rejects.toMatchObject({ code: 'port-unreachable', retry: 'later' })
      const nowhere = network.probe.connect({ host: network.unknownName, port: 443 }, cancel)
      await expect(nowhere).rejects.toMatchObject({ code: 'name-unknown' })
    })

    it('shows a certificate that it does not believe, and says when there is none', async () => {
      await using network = await open()
      const { sha256, mistrust } = await network.probe.certificate(network.tls, cancel)
      expect(sha256).toBe(network.tls.sha256)
      expect(mistrust).not.toBeNull()
      await expect(network.probe.certificate(network.plain, cancel)).rejects.toMatchObject({ code: 'no-tls' })
      await expect(network.probe.certificate(network.closed, cancel)).rejects.toMatchObject({
        code: 'port-unreachable',
      })
    })

    it('does nothing once it is told to stop', async () => {
      await using network = await open()
      const stopped = { signal: AbortSignal.abort(new Error('stop')) }
      for (const act of [
        () => network.probe.resolve('localhost', stopped),
        () => network.probe.connect(network.plain, stopped),
        () => network.probe.certificate(network.tls, stopped),
      ])
        await expect(act()).rejects.toThrow('stop')
    })
  })
}
