// Whom the winrm channel trusts, and what it says to whom: certificates, logins and refusals.

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, createServer as createPlainServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { openWinrm } from '../../../lib/adapters/guest/winrm.ts'
import { hasCode } from '../../../lib/base/errors.ts'
import { isAbort } from '../../../lib/base/time-limit.ts'
import type { GuestCredentials, PinRule } from '../../../lib/ports/guest.ts'
import { peerSkip } from '../../kit/peers.ts'
import { startWinrmServer, type WinrmServer } from '../../kit/winrm-server.ts'
import { cancel, credentialsOf } from './winrm-guest.ts'

const firstSeen = { pins: [], firstSeen: true }

function open(
  { port }: Pick<WinrmServer, 'port'>,
  { rule = firstSeen, ...changes }: Partial<GuestCredentials> & { readonly rule?: PinRule } = {},
) {
  return openWinrm({ address: '127.0.0.1', port, credentials: credentialsOf(changes), rule }, cancel)
}

async function failure(action: Promise<unknown>): Promise<unknown> {
  return action.then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => error,
  )
}

describe.skipIf(peerSkip('openssl'))('logging in to WinRM', () => {
  it('a certificate that is not the pinned one gets no request at all', async () => {
    await using server = await startWinrmServer()

    const pin = 'ab'.repeat(32)
    const changed = await failure(open(server, { rule: { pins: [pin], firstSeen: true } }))
    expect(changed).toMatchObject({
      code: 'guest-certificate-changed',
      kind: 'refused',
      facts: { seen: server.fingerprint, pinned: [pin] },
      message: expect.stringMatching(new RegExp(`${server.fingerprint}.*${pin}`)),
    })
    const unknown = await failure(open(server, { rule: { pins: [], firstSeen: false } }))
    expect(unknown).toMatchObject({
      code: 'guest-certificate-unknown',
      facts: { seen: server.fingerprint, pinned: [] },
    })
    await expect.poll(server.connections, { timeout: 10_000 }).toMatchObject({ count: 2, open: 0 })
    expect(server.log).toEqual([])
  })

  it('a pin may be written with colons, one of several, or be the one that is seen first', async () => {
    await using server = await startWinrmServer()

    const written = server.fingerprint.toUpperCase().replaceAll(/(..)(?=.)/g, '$1:')
    for (const pins of [[written], ['00'.repeat(32), server.fingerprint], []]) {
      const opened = await open(server, { rule: { pins, firstSeen: pins.length === 0 } })
      expect(opened.seen).toBe(server.fingerprint)
      await opened.channel[Symbol.asyncDispose]()
    }
    expect(await failure(open(server, { rule: { pins: ['beef'], firstSeen: false } }))).toMatchObject({
      code: 'malformed',
    })
  })

  it.each(['Negotiate', 'NTLM'] as const)(
    'a wrong password is refused once by %s and not said again by Basic',
    async (name) => {
      await using server = await startWinrmServer({ offers: [name, 'Basic'] })

      const error = await failure(open(server, { password: 'wrong' }))
      expect(error).toMatchObject({ code: 'guest-login-refused', kind: 'refused' })
      expect(JSON.stringify(error)).not.toContain('wrong')
      expect(server.log).toEqual(['no login', 'challenge', 'refused: the proof is wrong'])
      expect(server.shells()).toEqual([])
    },
  )

  it('an account that is unknown or whose password has expired is refused', async () => {
    const accounts = [{ user: 'old', domain: null, password: 'pw', expired: true }]
    for (const offers of [['Negotiate'], ['Basic']] as const) {
      await using server = await startWinrmServer({ accounts, offers })

      expect(await failure(open(server, { user: 'old', password: 'pw' }))).toMatchObject({
        code: 'guest-login-refused',
      })
      expect(await failure(open(server, { user: 'new', password: 'pw' }))).toMatchObject({
        code: 'guest-login-refused',
      })
    }
  })

  it('accounts of a domain log in by its name beside or before theirs, whatever the alphabet and case', async () => {
    const account = { user: 'Jürgen', domain: 'Büro', password: 'ñ "&<>\'`$ 日本 🧊' }
    await using server = await startWinrmServer({ accounts: [account] })

    for (const name of [
      { user: 'jürgen', domain: 'Büro' },
      { user: 'Büro\\JÜRGEN', domain: null },
    ]) {
      const { channel, warnings } = await open(server, { ...name, password: account.password })
      expect(warnings).toEqual([])
      await channel[Symbol.asyncDispose]()
    }
    const local = await failure(open(server, { user: 'Jürgen', password: account.password }))
    expect(local).toMatchObject({ code: 'guest-login-refused' })
  })

  it('what is offered decides: nothing known, or nothing that fits the account, and no credentials are sent', async () => {
    await using basic = await startWinrmServer({ offers: ['Basic'] })
    await using strange = await startWinrmServer({ offers: [] })

    const unfit = { code: 'guest-credentials-unfit' }
    expect(await failure(open(basic, { domain: 'OFFICE' }))).toMatchObject(unfit)
    expect(await failure(open(basic, { user: 'a:b' }))).toMatchObject(unfit)
    expect(await failure(open(strange))).toMatchObject(unfit)
    expect([...basic.log, ...strange.log]).toEqual(['no login', 'no login', 'no login'])
    for (const password of [null, '']) expect(await failure(open(basic, { password }))).toMatchObject(unfit)
    const { channel, warnings } = await open(basic)
    expect(warnings).toEqual([expect.stringContaining('Basic')])
    await channel[Symbol.asyncDispose]()
  })

  it.each(['sha256', 'sha384', 'sha512'] as const)(
    'binds the login to the connection, with a certificate of %s',
    async (hash) => {
      await using server = await startWinrmServer({ hash })

      const { channel } = await open(server)
      await channel[Symbol.asyncDispose]()
      expect(server.log).toContain('proof')
    },
  )

  it('a login that somebody between passes on is refused by the guest', async () => {
    await using server = await startWinrmServer()
    await using other = await startWinrmServer()
    await using between = await relay(other, server)

    expect(await failure(open(between))).toMatchObject({ code: 'guest-login-refused' })
    expect(server.log.at(-1)).toBe('refused: the channel binding is of another connection')
  })

  it.each(['challenge', 'proof', 'Create', 'Command'])(
    'a connection that is closed at "%s" is no refusal',
    async (step) => {
      await using server = await startWinrmServer({ interfere: (each) => (each === step ? 'close' : 'nothing') })

      expect(await failure(open(server))).toMatchObject({ code: 'guest-unreachable', retry: 'later' })
    },
  )

  it('a port where nobody listens, where no TLS is spoken, or where no WinRM is, is unreachable', async () => {
    const unreachable = { code: 'guest-unreachable', retry: 'later' }
    const gone = await startWinrmServer()
    await gone[Symbol.asyncDispose]()
    expect(await failure(open(gone))).toMatchObject(unreachable)
    await using plain = await listen(createPlainServer((socket) => socket.end('SSH-2.0-nobody\r\n')))
    expect(await failure(open(plain))).toMatchObject(unreachable)
    await using server = await startWinrmServer()
    const page = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'
    const pems = { cert: await readFile(server.certificatePath), key: await readFile(join(server.folder, 'key.pem')) }
    await using web = await listen(createServer(pems, (socket) => socket.once('data', () => socket.end(page))))
    expect(await failure(open(web))).toMatchObject({ ...unreachable, message: expect.stringContaining('no WinRM') })
  })

  it.each(['Connection: Upgrade\r\nUpgrade: x\r\n', ''])(
    'a server that changes the protocol (%j) holds nobody beyond the time limit',
    async (headers) => {
      await using server = await startWinrmServer()
      const reply = `HTTP/1.1 101 Switching Protocols\r\n${headers}\r\n`
      const pems = { cert: await readFile(server.certificatePath), key: await readFile(join(server.folder, 'key.pem')) }
      await using strange = await listen(createServer(pems, (socket) => socket.on('data', () => socket.write(reply))))

      const request = { address: '127.0.0.1', port: strange.port, credentials: credentialsOf(), rule: firstSeen }
      const error = await failure(openWinrm(request, { signal: AbortSignal.timeout(2000) }))
      expect(isAbort(error) || hasCode(error, 'guest-unreachable')).toBe(true)
    },
  )

  it('a server that hangs up after its offer is called again', async () => {
    await using server = await startWinrmServer({ hangsUpAfterOffer: true })

    const { channel } = await open(server)
    await channel[Symbol.asyncDispose]()
    expect(server.connections().count).toBe(2)
  })

  it('an account that may log in and not use WinRM is told what it lacks', async () => {
    await using server = await startWinrmServer({ authorized: false })

    const error = await failure(open(server))
    expect(error).toMatchObject({
      code: 'guest-login-refused',
      message: expect.stringContaining('Access is denied'),
      hint: expect.stringContaining('Remote Management Users'),
    })
  })

  it('too many shells of one account are named with the setting', async () => {
    await using server = await startWinrmServer({ shellsMax: 0 })

    expect(await failure(open(server))).toMatchObject({
      code: 'guest-unreachable',
      retry: 'later',
      message: expect.stringContaining('concurrent shells'),
      hint: expect.stringContaining('MaxShellsPerUser'),
    })
  })

  it.each([
    [{ administrator: true, member: true, integrity: 12_288 }, true, null],
    [{ administrator: true, member: true, integrity: 16_384 }, true, null],
    [{ administrator: false, member: true, integrity: 8192 }, false, /LocalAccountTokenFilterPolicy/],
    [{ administrator: true, member: true, integrity: 8192 }, false, /LocalAccountTokenFilterPolicy/],
    [{ administrator: false, member: false, integrity: 8192 }, false, /not a member/],
  ])('of the token %o it says elevated: %s', async (token, elevated, whyNot) => {
    await using server = await startWinrmServer({ token })

    const { channel } = await open(server)
    const identity = await channel.whoAmI(cancel)
    expect(identity).toMatchObject({ user: 'WINTEST\\Administrator', elevated })
    expect(identity.whyNot).toEqual(whyNot === null ? null : expect.stringMatching(whyNot))
    const request = { program: '/bin/true', args: [], environment: {}, workingDirectory: null, timeoutMs: 10_000 }
    const run = channel.run({ ...request, elevated: true }, cancel)
    if (elevated) expect(await run).toMatchObject({ exitCode: 0 })
    else expect(await failure(run)).toMatchObject({ code: 'guest-elevation-refused' })
    await channel[Symbol.asyncDispose]()
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('no TLS session is ever resumed (%s)', async (tls) => {
    await using server = await startWinrmServer({ tls })

    for (let turn = 0; turn < 3; turn++) {
      const { channel } = await open(server)
      await channel[Symbol.asyncDispose]()
    }
    expect(server.connections()).toMatchObject({ count: 3, resumed: 0 })
    expect(server.shells()).toEqual([])
  })
})

/** Speaks TLS with the certificate of `face` and hands everything on to `target`. */
async function relay(face: WinrmServer, target: WinrmServer): Promise<AsyncDisposable & { readonly port: number }> {
  const cert = await readFile(face.certificatePath)
  const pems = { cert, key: await readFile(join(face.folder, 'key.pem')) }
  const server = createServer(pems, (near) => {
    const far = connect({ host: '127.0.0.1', port: target.port, rejectUnauthorized: false })
    far.on('error', () => undefined)
    near.once('close', () => far.destroy())
    near.pipe(far).pipe(near)
  })
  return listen(server)
}

async function listen(server: Server): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>()
  for (const event of ['connection', 'secureConnection']) {
    server.on(event, (socket: Socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
    })
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
