// NBD under TLS: nbdkit (GnuTLS) is the server, openssl makes the certificates.

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { openNbdSource } from '../../lib/adapters/disk/nbd-source.ts'
import type { NbdTls } from '../../lib/adapters/disk/nbd-tls.ts'
import { MiB } from '../../lib/base/bytes.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { makeCertificates, type TestCertificates } from '../adapters/disk/certificates.ts'
import { imageFile, type NbdServer, nbdcopySha256, startNbdkit } from '../adapters/disk/nbdkit.ts'
import { describeDiskSource } from '../contract/disk-source.ts'
import { peerSkip } from '../kit/peers.ts'

const signal = new AbortController().signal
const cancel = { signal }
const image = seededRandom(31).bytes(3 * MiB)

async function tlsServer(on: 'unix' | 'tcp', file?: string) {
  const certificates = await makeCertificates()
  const tls = ['--tls=require', `--tls-certificates=${certificates.folder}`]
  const server = await startNbdkit({ on, args: [...tls, 'file', file ?? (await imageFile(image))] })
  return { server, certificates }
}

function openTls(server: NbdServer, tls: NbdTls | undefined, host?: string) {
  const address = { ...server.address, ...(host === undefined ? {} : { host }), ...(tls === undefined ? {} : { tls }) }
  return openNbdSource({ address, exportName: '', clock: systemClock, random: seededRandom(1) }, cancel)
}

/** Opens, reads the last bytes, and closes. */
async function reads(server: NbdServer, tls: NbdTls | undefined, host?: string): Promise<void> {
  await using source = await openTls(server, tls, host)
  const target = new Uint8Array(5000)
  await source.read({ offsetBytes: image.length - 5000, target }, cancel)
  expect(target).toEqual(image.subarray(-5000))
}

describe.skipIf(peerSkip('nbdkit', 'nbdcopy', 'openssl'))('the NBD client under TLS', () => {
  describeDiskSource('nbdkit under TLS', async (bytes) => {
    const { server, certificates } = await tlsServer('tcp', await imageFile(bytes))
    return openTls(server, { ca: certificates.ca })
  })

  it('verifies the server by its authority and name, and reads as nbdcopy does', async () => {
    const { server, certificates } = await tlsServer('tcp')
    await reads(server, { ca: certificates.ca })
    await reads(server, { ca: certificates.ca }, 'localhost')
    await reads(server, { ca: certificates.ca, serverName: 'localhost' })
    await using source = await openTls(server, { ca: certificates.ca })
    const disk = Buffer.alloc(source.capacityBytes)
    const parts = Array.from({ length: 12 }, (_, part) => part * 256 * 1024)
    await Promise.all(
      parts.map((at) => source.read({ offsetBytes: at, target: disk.subarray(at, at + 256 * 1024) }, cancel)),
    )
    const uri = `${server.uri.replace('nbd://127.0.0.1', 'nbds://localhost')}/?tls-certificates=${certificates.folder}`
    expect(createHash('sha256').update(disk).digest('hex')).toBe(await nbdcopySha256(uri))
  })

  it('verifies the server by the pin of its certificate, in any notation', async () => {
    const { server, certificates } = await tlsServer('tcp')
    await reads(server, { pinSha256: certificates.pin })
    await reads(server, { pinSha256: colons(certificates) })
  })

  it('works on a unix socket, with a name to verify or a pin', async () => {
    const { server, certificates } = await tlsServer('unix')
    await reads(server, { ca: certificates.ca, serverName: 'localhost' })
    await reads(server, { pinSha256: certificates.pin })
    await expect(openTls(server, { ca: certificates.ca })).rejects.toMatchObject({ code: 'nbd-tls-failed' })
  })

  it('refuses another authority, another name, another pin, and a pin that is none', async () => {
    const { server, certificates } = await tlsServer('tcp')
    const stranger = await makeCertificates()
    const refused = (tls: NbdTls) => expect(openTls(server, tls)).rejects
    await refused({ ca: stranger.ca }).toMatchObject({ code: 'nbd-tls-failed', kind: 'refused' })
    await refused({}).toMatchObject({ code: 'nbd-tls-failed', kind: 'refused' })
    await refused({ ca: certificates.ca, serverName: 'db.example.com' }).toMatchObject({
      code: 'nbd-tls-failed',
      message: expect.stringContaining('db.example.com'),
    })
    await refused({ pinSha256: stranger.pin }).toMatchObject({
      code: 'nbd-tls-failed',
      message: expect.stringMatching(new RegExp(`"${certificates.pin}".*"${stranger.pin}"`)),
    })
    await refused({ pinSha256: 'abc' }).toMatchObject({ code: 'malformed' })
    await reads(server, { ca: certificates.ca })
  })

  it('says that a server requires TLS, and never falls back to plain', async () => {
    const { server, certificates } = await tlsServer('tcp')
    await expect(openTls(server, undefined)).rejects.toMatchObject({ code: 'nbd-tls-required', kind: 'refused' })
    const plain = await startNbdkit({ on: 'tcp', args: ['file', await imageFile(image)] })
    await expect(openTls(plain, { ca: certificates.ca })).rejects.toMatchObject({ code: 'nbd-tls-failed' })
  })

  it('leaves a server alive when reads are cancelled', async () => {
    const { server, certificates } = await tlsServer('tcp')
    for (let round = 0; round < 5; round++) {
      const stop = new AbortController()
      const source = await openTls(server, { ca: certificates.ca })
      const settled = Promise.allSettled(
        Array.from({ length: 16 }, () => {
          return source.read({ offsetBytes: 0, target: new Uint8Array(2 * MiB) }, { signal: stop.signal })
        }),
      )
      await new Promise((resolve) => setTimeout(resolve, round))
      stop.abort()
      await settled
      await source[Symbol.asyncDispose]()
    }
    await reads(server, { ca: certificates.ca })
  })
})

function colons({ pin }: TestCertificates): string {
  return (pin.match(/../g) ?? []).join(':').toUpperCase()
}
