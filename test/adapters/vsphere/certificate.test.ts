// The fingerprints of a server's certificate: told only of one that passed our own check.

import { createHash, X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { readServerCertificate } from '../../../lib/adapters/vsphere/certificate.ts'
import { openScripted } from './scripted-vcenter.ts'
import { openSimVcenter } from './sim-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }

describe('readServerCertificate()', () => {
  it('gives both fingerprints of the certificate that the pin names', async () => {
    await using sim = await openSimVcenter()
    const { raw } = new X509Certificate(sim.certificate)
    const hex = (algorithm: string) =>
      createHash(algorithm)
        .update(raw)
        .digest('hex')
        .toUpperCase()
        .replaceAll(/(..)(?=.)/g, '$1:')
    const { sha1, sha256, endpoint } = await readServerCertificate(sim.settings, cancel)
    expect({ sha1, sha256 }).toEqual({ sha1: hex('sha1'), sha256: hex('sha256') })
    expect(sim.settings.url).toContain(`:${endpoint.port}`)
  })

  it('gives those of a certificate that authorities vouch for', async () => {
    await using sim = await openSimVcenter()
    const { sha1 } = await readServerCertificate(sim.settings, cancel)
    const trust = { kind: 'ca', pem: sim.certificate } as const
    expect(await readServerCertificate({ ...sim.settings, trust }, cancel)).toMatchObject({ sha1 })
  })

  it('tells nothing of a server that was not recognised, also when it changes its certificate', async () => {
    await using vcenter = await openScripted({})
    await readServerCertificate(vcenter.settings, cancel)
    vcenter.changeCertificate()
    await expect(readServerCertificate(vcenter.settings, cancel)).rejects.toMatchObject({ code: 'vcenter-thumbprint' })
    const settings = { ...vcenter.settings, trust: { kind: 'system' } } as const
    await expect(readServerCertificate(settings, cancel)).rejects.toMatchObject({ code: 'vcenter-certificate' })
  })
})
