import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../../lib/base/random.ts'
import { selfSigned, thumbprints } from '../../../sim/tls.ts'
import { openSim } from './raw-client.ts'
import { startSimProgram } from './sim-program.ts'

describe('the self-signed certificate', () => {
  it('is valid now, for localhost and loopback only, and signed by its own key', () => {
    const { certificate } = selfSigned({ nowMs: Date.now(), random: systemRandom })
    const parsed = new X509Certificate(certificate)
    expect(parsed.verify(parsed.publicKey)).toBe(true)
    expect(parsed.checkHost('localhost')).toBe('localhost')
    expect(parsed.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(parsed.checkIP('::1')).toBe('::1')
    expect(parsed.checkHost('example.com')).toBeUndefined()
    expect(Date.parse(parsed.validFrom)).toBeLessThan(Date.now())
    expect(Date.parse(parsed.validTo)).toBeGreaterThan(Date.now())
    expect(thumbprints(certificate)).toEqual({ sha256: parsed.fingerprint256, sha1: parsed.fingerprint })
  })

  it('is accepted by a client that trusts it as an authority', async () => {
    await using sim = await openSim()

    expect((await sim.http('/sdk/vimServiceVersions.xml')).body.toString()).toContain('<version>8.0.3.0</version>')
  })
})

describe('the program', () => {
  it('prints one line, and ends cleanly when its standard input does', async () => {
    const sim = await startSimProgram('--estate', 'small', '--user', 'me', '--seed', '3')
    expect(sim).toMatchObject({ user: 'me', sdkUrl: `${sim.url}/sdk` })
    expect(sim.password).toMatch(/^[\w-]{16}$/)
    expect((await fetch(`${sim.controlUrl}/machines`)).status).toBe(200)
    await sim[Symbol.asyncDispose]()
    expect(await sim.exitCode).toBe(0)
  })
})
