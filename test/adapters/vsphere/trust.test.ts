// Who the adapter talks to: pinned, CA-signed or nobody; and that nothing is sent to anybody else.

import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { parseServerUrl } from '../../../lib/adapters/vsphere/https.ts'
import { openSession } from '../../../lib/adapters/vsphere/session.ts'
import { parseThumbprint } from '../../../lib/adapters/vsphere/trust.ts'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { openScripted, returned } from './scripted-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }
const other = 'AB'.repeat(32)
const currentTime = { CurrentTime: () => returned('CurrentTime', '<returnval>2030-01-01T00:00:00Z</returnval>') }

async function failureOf(act: Promise<unknown>): Promise<BackupError> {
  const error = await act.then(
    () => new Error('it succeeded'),
    (failure: unknown) => failure,
  )
  if (error instanceof BackupError) return error
  throw error
}

describe('trust in a vCenter', () => {
  it('refuses a wrong thumbprint, names both, and sends it nothing', async () => {
    await using vcenter = await openScripted({})
    const actual = vcenter.settings.trust.kind === 'thumbprint' ? vcenter.settings.trust.sha256 : ''
    const settings = { ...vcenter.settings, trust: { kind: 'thumbprint', sha256: other } } as const
    const error = await failureOf(openVsphere(settings).open(cancel))
    expect(error).toMatchObject({ code: 'vcenter-thumbprint', kind: 'refused' })
    expect(error.message).toContain(actual)
    expect(error.message).toContain(parseThumbprint(other))
    expect(vcenter.asked).toEqual([])
  })

  it.each([
    ['as vSphere writes it', (text: string) => text],
    ['in plain lower-case hex', (text: string) => text.replaceAll(':', '').toLowerCase()],
  ])('accepts the right thumbprint %s', async (_name, write) => {
    await using vcenter = await openScripted({})
    const right = vcenter.settings.trust.kind === 'thumbprint' ? vcenter.settings.trust.sha256 : ''
    const settings = { ...vcenter.settings, trust: { kind: 'thumbprint', sha256: write(right) } } as const
    await using session = await openVsphere(settings).open(cancel)
    expect(session.about.fullName).toBe('Scripted')
  })

  it('compares the pin on every new connection, so that a server that changes its certificate is refused', async () => {
    await using vcenter = await openScripted(currentTime)
    await using session = await openSession(vcenter.settings, cancel)
    vcenter.changeCertificate()
    const target = session.content.rootFolder
    // A call that changes something opens a connection of its own.
    const call = session.call({ method: 'CurrentTime', target, what: 'Cannot ask', changes: true }, cancel)
    expect(await failureOf(call)).toMatchObject({ code: 'vcenter-thumbprint' })
  })

  it('compares the pin on a connection after a hundred others, where a resumed TLS session would show no certificate', async () => {
    await using vcenter = await openScripted(currentTime)
    await using session = await openSession(vcenter.settings, cancel)
    const target = session.content.rootFolder
    for (let round = 0; round < 100; round++) {
      await session.call({ method: 'CurrentTime', target, what: 'Cannot ask', changes: true }, cancel)
    }
    expect(vcenter.connections()).toBeGreaterThan(100)
  })

  it('keeps connections for calls that only read', async () => {
    await using vcenter = await openScripted(currentTime)
    await using session = await openSession(vcenter.settings, cancel)
    const before = vcenter.connections()
    const target = session.content.rootFolder
    for (let round = 0; round < 20; round++) {
      await session.call({ method: 'CurrentTime', target, what: 'Cannot ask' }, cancel)
    }
    expect(vcenter.connections()).toBe(before)
  })

  it('accepts a server whose certificate the given CA signed, and no other', async () => {
    await using vcenter = await openScripted({})
    await using stranger = await openScripted({})
    const trusting = (pem: string) => openVsphere({ ...vcenter.settings, trust: { kind: 'ca', pem } })
    await using session = await trusting(vcenter.certificate).open(cancel)
    expect(session.about.apiVersion).toBe('8.0')
    expect(await failureOf(trusting(stranger.certificate).open(cancel))).toMatchObject({ code: 'vcenter-certificate' })
  })

  it('refuses a self-signed server when only the system is trusted, and says what to do', async () => {
    await using vcenter = await openScripted({})
    const error = await failureOf(openVsphere({ ...vcenter.settings, trust: { kind: 'system' } }).open(cancel))
    expect(error).toMatchObject({
      code: 'vcenter-certificate',
      kind: 'refused',
      hint: expect.stringContaining('SHA-256'),
    })
    expect(vcenter.asked).toEqual([])
  })

  it('says that nobody answers at an address, as something that may pass', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await new Promise((resolve) => server.close(resolve))
    await using vcenter = await openScripted({})
    const error = await failureOf(
      openVsphere({ ...vcenter.settings, url: `https://127.0.0.1:${port}/sdk` }).open(cancel),
    )
    expect(error).toMatchObject({ code: 'vcenter-unreachable', kind: 'failed', retry: 'later' })
  })

  it('ends at once when it is cancelled while it connects', async () => {
    const server = createServer(() => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await using vcenter = await openScripted({})
    const opening = openVsphere({ ...vcenter.settings, url: `https://127.0.0.1:${port}` }).open({
      signal: AbortSignal.timeout(50),
    })
    await expect(opening).rejects.toMatchObject({ name: 'TimeoutError' })
    server.close()
  })
})

describe('parseThumbprint()', () => {
  it('tells SHA-1 from SHA-256, since vSphere shows both', () => {
    expect(() => parseThumbprint(`${'AB:'.repeat(19)}AB`)).toThrow('SHA-1')
    expect(() => parseThumbprint('zz')).toThrow('64 hex digits')
  })
})

describe('parseServerUrl()', () => {
  it.each([
    ['https://vc.example', { host: 'vc.example', port: 443 }],
    ['https://vc.example/sdk', { host: 'vc.example', port: 443 }],
    ['https://vc.example:8443/sdk/', { host: 'vc.example', port: 8443 }],
    ['https://[2001:db8::1]:444', { host: '2001:db8::1', port: 444 }],
  ])('reads "%s"', (text, endpoint) => {
    expect(parseServerUrl(text)).toEqual(endpoint)
  })

  it.each(['http://vc.example', 'vc.example', 'https://vc.example/ui', 'https://vc.example/sdk?x=1', ''])(
    'refuses "%s"',
    (text) => {
      expect(() => parseServerUrl(text)).toThrow('https://host')
    },
  )

  it('does not show a password that was put into the address', () => {
    expect(() => parseServerUrl('https://user:hunter2@vc.example')).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('hunter2') }),
    )
  })
})
