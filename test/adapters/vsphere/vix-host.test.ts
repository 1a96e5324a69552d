// Where files of a guest go: addresses that vCenter gives, hosts that it vouches for; on scripted servers, since no
// simulator has ESXi hosts of its own.

import { createHash, X509Certificate } from 'node:crypto'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { openHttpsServer } from '../../../lib/adapters/vsphere/https.ts'
import type { HostTrust, Trust } from '../../../lib/adapters/vsphere/trust.ts'
import { parseTransferUrl } from '../../../lib/adapters/vsphere/vix-host.ts'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { parseMoref } from '../../../lib/model/ids.ts'
import type { GuestChannel } from '../../../lib/ports/guest.ts'
import {
  type Answer,
  type Asked,
  fault,
  openScripted,
  returned,
  type Scripted,
  serviceContent,
} from './scripted-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }
const bytes = Uint8Array.from([1, 2, 3])
const sha256 = createHash('sha256').update(bytes).digest('hex')
const file = { path: '/tmp/file', bytes, executable: false }

type World = {
  /** The address that vCenter gives, for a transfer with this path and query. */
  readonly addressOf: (path: string) => string
  /** Properties of the VM's host as XML; null: the user may not read them. */
  readonly host?: Readonly<Record<string, string | null>>
  readonly answers?: Readonly<Record<string, Answer>>
}

function propertiesOf(asked: Asked, known: Readonly<Record<string, string | null>>): Scripted {
  const paths = [...asked.body.matchAll(/<(?:\w+:)?pathSet>([^<]*)</g)].map(([, path = '']) => path)
  const object = /<(?:\w+:)?obj type="([^"]+)">([^<]*)</.exec(asked.body)
  const parts = paths.map((path) => {
    const value = known[path]
    if (value === null)
      return `<missingSet><path>${path}</path><fault><fault xsi:type="NoPermission"><object type="HostSystem">h</object><privilegeId>System.Read</privilegeId></fault></fault></missingSet>`
    return value === undefined ? '' : `<propSet><name>${path}</name>${value}</propSet>`
  })
  const sorted = parts.toSorted((a, b) => Number(a.startsWith('<m')) - Number(b.startsWith('<m')))
  return returned(
    'RetrievePropertiesEx',
    `<returnval><objects><obj type="${object?.[1]}">${object?.[2]}</obj>${sorted.join('')}</objects></returnval>`,
  )
}

const moref = (type: string, value: string) => `<val xsi:type="ManagedObjectReference" type="${type}">${value}</val>`
const text = (value: string) => `<val xsi:type="xsd:string">${value}</val>`
const byteList = (value: string) =>
  `<val xsi:type="ArrayOfByte">${[...Buffer.from(value)].map((byte) => `<byte>${byte}</byte>`).join('')}</val>`

/** A vCenter whose guest keeps one file, and whose programs answer with its digest. */
function guestAnswers({ addressOf, host = {}, answers = {} }: World): Readonly<Record<string, Answer>> {
  const receivers = {
    authManager: moref('GuestAuthManager', 'am'),
    fileManager: moref('GuestFileManager', 'fm'),
    processManager: moref('GuestProcessManager', 'pm'),
  }
  return {
    RetrieveServiceContent: () =>
      returned(
        'RetrieveServiceContent',
        serviceContent.replace(
          '</returnval>',
          '<guestOperationsManager type="GuestOperationsManager">g</guestOperationsManager></returnval>',
        ),
      ),
    RetrievePropertiesEx: (asked) =>
      propertiesOf(asked, { ...receivers, 'runtime.host': moref('HostSystem', 'host-1'), ...host }),
    ValidateCredentialsInGuest: () => returned('ValidateCredentialsInGuest', ''),
    CreateTemporaryDirectoryInGuest: () =>
      returned('CreateTemporaryDirectoryInGuest', '<returnval>/dev/shm/c</returnval>'),
    ChangeFileAttributesInGuest: () => returned('ChangeFileAttributesInGuest', ''),
    StartProgramInGuest: () => returned('StartProgramInGuest', '<returnval>77</returnval>'),
    InitiateFileTransferToGuest: () =>
      returned('InitiateFileTransferToGuest', `<returnval>${addressOf('/guestFile?id=1&amp;token=hush')}</returnval>`),
    InitiateFileTransferFromGuest: ({ body }) => {
      const size = body.includes('/result<') ? resultOf().length : bytes.length
      const path = body.includes('/result<') ? '/result?id=2' : '/guestFile?id=3'
      return returned(
        'InitiateFileTransferFromGuest',
        `<returnval><attributes/><size>${size}</size><url>${addressOf(`${path}&amp;token=hush`)}</url></returnval>`,
      )
    },
    DeleteDirectoryInGuest: () => returned('DeleteDirectoryInGuest', ''),
    ListFilesInGuest: () => fault('FileNotFound', '<file>f</file>'),
    ...answers,
  }
}

const resultOf = () => `coldframe 1 exited 0 64 0\n${sha256}`
const hostAnswers: Readonly<Record<string, Answer>> = {
  'PUT /guestFile': () => ({ body: '' }),
  'GET /guestFile': () => ({ body: bytes }),
  'GET /result': () => ({ body: resultOf() }),
}

async function withGuest(
  world: World,
  act: (channel: GuestChannel, asked: readonly Asked[]) => Promise<void>,
): Promise<void> {
  await using vcenter = await openScripted({ ...hostAnswers, ...guestAnswers(world) })
  await using session = await openVsphere(vcenter.settings).open(cancel)
  const login = { vm: parseMoref('vm-1'), family: 'linux', user: 'u', password: 'guest-secret' } as const
  await using channel = await session.openGuest(login, cancel)
  await act(channel, vcenter.asked)
}

async function failureOf(act: Promise<unknown>): Promise<BackupError> {
  const error = await act.then(
    () => new Error('it succeeded'),
    (failure: unknown) => failure,
  )
  if (error instanceof BackupError) return error
  throw error
}

const fingerprints = (pem: string) => {
  const { fingerprint, fingerprint256 } = new X509Certificate(pem)
  return { sha1: fingerprint, sha256: fingerprint256 }
}

describe('a file of a guest', () => {
  it('goes to the server that we talk to when the host is "*", with its length and without a cookie', () =>
    withGuest({ addressOf: (path) => `https://*:443${path}` }, async (channel, asked) => {
      await channel.put(file, cancel)
      expect(await channel.get({ path: file.path, bytesMax: 3 }, cancel)).toEqual(bytes)
      const put = asked.find(({ call, body }) => call === 'PUT /guestFile' && body.length === 3)
      expect(put?.headers).toMatchObject({ 'content-length': '3' })
      expect(put?.headers['cookie']).toBeUndefined()
    }))

  it.each([
    ['its certificate', (pem: string) => ({ 'config.certificate': byteList(pem) })],
    [
      'its SHA-1 thumbprint, where the certificate may not be read',
      (pem: string) => ({ 'config.certificate': null, 'summary.config.sslThumbprint': text(fingerprints(pem).sha1) }),
    ],
    [
      'its SHA-1 thumbprint, where there is no certificate',
      (pem: string) => ({ 'summary.config.sslThumbprint': text(fingerprints(pem).sha1.toLowerCase()) }),
    ],
  ])('goes to another host that vCenter knows by %s', async (_name, knownBy) => {
    await using esx = await openScripted(hostAnswers)
    const { host } = new URL(esx.settings.url)
    await withGuest(
      { addressOf: (path) => `https://${host}${path}`, host: knownBy(esx.certificate) },
      async (channel, asked) => {
        await channel.put(file, cancel)
        expect(await channel.get({ path: file.path, bytesMax: 3 }, cancel)).toEqual(bytes)
        expect(asked.some(({ call }) => call.includes('/guestFile'))).toBe(false)
      },
    )
    expect(esx.asked.length).toBeGreaterThan(2)
    for (const { headers } of esx.asked) expect(headers['cookie']).toBeUndefined()
  })

  it.each([
    ['has another certificate than vCenter knows', (other: string) => ({ 'config.certificate': byteList(other) })],
    [
      'has another thumbprint than vCenter knows',
      (other: string) => ({ 'summary.config.sslThumbprint': text(fingerprints(other).sha1) }),
    ],
    ['is not known to vCenter at all', () => ({ 'config.certificate': null, 'summary.config.sslThumbprint': null })],
  ])('is not sent to a host that %s', async (_name, knownBy) => {
    await using esx = await openScripted(hostAnswers)
    await using stranger = await openScripted({})
    const { host } = new URL(esx.settings.url)
    await withGuest(
      { addressOf: (path) => `https://${host}${path}`, host: knownBy(stranger.certificate) },
      async (channel) => {
        const error = await failureOf(channel.put(file, cancel))
        expect(error).toMatchObject({ code: 'host-certificate', kind: 'refused' })
        expect(error.message).toContain(fingerprints(esx.certificate).sha256)
      },
    )
    expect(esx.asked).toEqual([])
  })

  it("goes to a host that the settings' CA signed, whatever vCenter shows of it", async () => {
    await using esx = await openScripted(hostAnswers)
    await using stranger = await openScripted({})
    const { hostname: host, port } = new URL(esx.settings.url)
    const send = async (trust: Omit<HostTrust, 'kind'>) => {
      using server = openHttpsServer({ host, port: Number(port) }, { kind: 'host', ...trust })
      const request = {
        method: 'PUT',
        path: '/guestFile',
        headers: {},
        body: 'x',
        limitMs: 10_000,
        bytesMax: 9,
      } as const
      return (await server.exchange(request, cancel)).status
    }
    const { sha256: other } = fingerprints(stranger.certificate)
    const own: Trust = { kind: 'ca', pem: esx.certificate }
    expect(await send({ sha256: null, sha1: null, otherwise: own })).toBe(200)
    expect(await send({ sha256: other, sha1: null, otherwise: own })).toBe(200)
    const refused = { code: 'host-certificate', kind: 'refused' }
    for (const otherwise of [{ kind: 'ca', pem: stranger.certificate }, { kind: 'system' }] as const)
      await expect(send({ sha256: null, sha1: null, otherwise })).rejects.toMatchObject(refused)
    // A pin of vCenter's own certificate says nothing of a host.
    const pin: Trust = { kind: 'thumbprint', sha256: fingerprints(esx.certificate).sha256 }
    await expect(send({ sha256: null, sha1: null, otherwise: pin })).rejects.toMatchObject(refused)
  })

  it('is looked for anew when the host has another certificate by now', async () => {
    await using esx = await openScripted(hostAnswers)
    const { host } = new URL(esx.settings.url)
    const known = { 'config.certificate': byteList(esx.certificate) }
    await withGuest({ addressOf: (path) => `https://${host}${path}`, host: known }, async (channel) => {
      await channel.put(file, cancel)
      esx.changeCertificate()
      expect(await failureOf(channel.put(file, cancel))).toMatchObject({ code: 'host-certificate' })
      Object.assign(known, { 'config.certificate': null, 'summary.config.sslThumbprint': null })
      const error = await failureOf(channel.put(file, cancel))
      expect(error.message).toContain('vCenter does not show')
    })
  })

  it('says which host cannot be reached, and which port it needs', async () => {
    const closed = createServer()
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
    const address = closed.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await new Promise((resolve) => closed.close(resolve))
    await withGuest({ addressOf: (path) => `https://127.0.0.1:${port}${path}` }, async (channel) => {
      const error = await failureOf(channel.put(file, cancel))
      expect(error).toMatchObject({
        code: 'guest-unreachable',
        retry: 'later',
        hint: expect.stringContaining('port 443'),
      })
      expect(error.message).toContain(`127.0.0.1:${port}`)
    })
  })

  it.each([
    ['answers 503', () => ({ status: 503, body: '' }), 'HTTP status 503'],
    ['breaks off', () => ({ body: 'xyz', cutAt: 1 }), 'lost the connection'],
  ] as const)('whose host %s again and again cannot reach the guest for now', (_name, answer, words) =>
    withGuest(
      { addressOf: (path) => `https://*${path}`, answers: { 'PUT /guestFile': answer } },
      async (channel, asked) => {
        const error = await failureOf(channel.put(file, cancel))
        expect(error).toMatchObject({ code: 'guest-unreachable', retry: 'later' })
        expect(error.message).toContain(words)
        expect(error.cause).toMatchObject({ code: expect.stringMatching(/^vcenter-/) })
        expect(asked.filter(({ call }) => call === 'PUT /guestFile').length).toBeGreaterThan(2)
      },
    ),
  )

  it('is not followed to another place', () =>
    withGuest(
      {
        addressOf: (path) => `https://*${path}`,
        answers: {
          'PUT /guestFile': () => ({ status: 307, headers: { Location: 'https://elsewhere.example/' }, body: '' }),
        },
      },
      async (channel) => {
        expect(await failureOf(channel.put(file, cancel))).toMatchObject({
          code: 'guest-failed',
          facts: { status: 307 },
        })
      },
    ))

  it.each([
    ['longer', { body: 'abcd' }],
    ['much longer', { body: 'x'.repeat(100_000) }],
    ['shorter', { body: 'ab' }],
  ])('that comes %s than announced is damaged', (_name, reply) =>
    withGuest(
      { addressOf: (path) => `https://*${path}`, answers: { 'GET /guestFile': () => reply } },
      async (channel) => {
        const reading = channel.get({ path: file.path, bytesMax: 3 }, cancel)
        expect(await failureOf(reading)).toMatchObject({ code: 'guest-file-damaged', kind: 'integrity' })
      },
    ),
  )

  it('is refused before it is read when it is too large', () =>
    withGuest({ addressOf: (path) => `https://*${path}` }, async (channel, asked) => {
      const error = await failureOf(channel.get({ path: file.path, bytesMax: 2 }, cancel))
      expect(error).toMatchObject({ code: 'guest-file-large', facts: { sizeBytes: 3, bytesMax: 2 } })
      expect(asked.some(({ call }) => call === 'GET /guestFile')).toBe(false)
    }))

  it('is not sent to an address that is none, and its token is shown nowhere', async () => {
    for (const address of [
      'http://*/guestFile?token=hush',
      'https://u:p@host/x?token=hush',
      'guestFile?token=hush',
      '',
    ]) {
      await withGuest({ addressOf: () => address }, async (channel) => {
        const error = await failureOf(channel.put(file, cancel))
        expect(error).toMatchObject({ code: 'vcenter-reply-malformed' })
        expect(`${error.message}${JSON.stringify(error.facts)}`).not.toContain('hush')
      })
    }
  })
})

describe('guest operations', () => {
  it.each([
    ['GuestComponentsOutOfDate', 'too old'],
    ['TaskInProgress', 'another task'],
    ['TooManyGuestLogons', 'too many users'],
    ['MethodNotFound', 'does not know the call'],
  ])('that meet %s cannot reach the guest for now', async (name, reason) => {
    const answers = { ValidateCredentialsInGuest: () => fault(name) }
    const error = await failureOf(withGuest({ addressOf: () => '', answers }, async () => undefined))
    expect(error).toMatchObject({ code: 'guest-unreachable', retry: 'later', facts: { fault: name } })
    expect(error.message).toContain(reason)
  })

  it.each(['GuestAuthenticationChallenge', 'GuestMultipleMappings'])(
    'that meet %s are a refused login',
    async (name) => {
      const answers = { ValidateCredentialsInGuest: () => fault(name) }
      const error = await failureOf(withGuest({ addressOf: () => '', answers }, async () => undefined))
      expect(error).toMatchObject({ code: 'guest-login-refused', kind: 'refused' })
    },
  )

  it.each([
    ['SystemError', 'later'],
    ['SomethingNew', 'no'],
  ])('that meet %s have failed in the guest, and vCenter has not', async (name, retry) => {
    const answers = { ValidateCredentialsInGuest: () => fault(name) }
    const error = await failureOf(withGuest({ addressOf: () => '', answers }, async () => undefined))
    expect(error).toMatchObject({ code: 'guest-operation-failed', retry, facts: { fault: name } })
    expect(error.cause).toMatchObject({ code: 'vcenter-fault' })
  })

  it('send name and password with each call, of the declared type, and show the password in no error', () =>
    withGuest(
      {
        addressOf: () => '',
        answers: { CreateTemporaryDirectoryInGuest: () => fault('SystemError', '<reason>r</reason>') },
      },
      async (channel, asked) => {
        const error = await failureOf(channel.makeDirectory(cancel))
        expect(`${error.message}${JSON.stringify(error.facts)}${error.stack}`).not.toContain('guest-secret')
        const { body = '' } = asked.find(({ call }) => call === 'CreateTemporaryDirectoryInGuest') ?? {}
        expect(body).toMatch(/auth xsi:type="(?:\w+:)?NamePasswordAuthentication"/)
        expect(body).toMatch(/interactiveSession>false<.*username>u<.*password>guest-secret</)
      },
    ))
})

describe('parseTransferUrl()', () => {
  const own = { host: 'vc.example', port: 8443 }

  it.each([
    ['https://*:443/guestFile?id=1', { host: 'vc.example', port: 8443, path: '/guestFile?id=1' }],
    ['https://*/guestFile?id=1', { host: 'vc.example', port: 8443, path: '/guestFile?id=1' }],
    ['https://*:9443/g', { host: 'vc.example', port: 9443, path: '/g' }],
    ['https://ESX.example/guestFile?id=1', { host: 'esx.example', port: 443, path: '/guestFile?id=1' }],
    ['https://[2001:db8::5]:444/g', { host: '2001:db8::5', port: 444, path: '/g' }],
  ])('reads "%s"', (url, place) => {
    expect(parseTransferUrl(url, own)).toEqual(place)
  })

  it('puts an IPv6 address in place of "*"', () => {
    expect(parseTransferUrl('https://*/g', { host: '2001:db8::7', port: 443 }).host).toBe('2001:db8::7')
  })
})
