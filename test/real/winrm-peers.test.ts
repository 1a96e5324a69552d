// Independent programs judge both sides of the winrm channel: pywinrm (with ntlm-auth) talks to the listener that the
// client is tested against, and gss-ntlmssp accepts the client's messages of NTLM.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  channelBindingOf,
  encodeAuthenticate,
  encodeNegotiate,
  type NtlmAccount,
} from '../../lib/adapters/guest/ntlm.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { startWinrmServer, type WinrmServer } from '../kit/winrm-server.ts'

type Asked = { ask(line: string): Promise<Record<string, unknown>>; stop(): void }

/** A Python program that answers each line with a line of JSON. */
function startPython(
  python: string,
  { script, env }: { readonly script: string; readonly env: Record<string, string> },
) {
  const child: ChildProcessWithoutNullStreams = spawn(python, [join(import.meta.dirname, script)], {
    env: { ...process.env, ...env },
  })
  const errors: Buffer[] = []
  child.stderr.on('data', (part: Buffer) => errors.push(part))
  const lines: Interface = createInterface(child.stdout)
  const reader = lines[Symbol.asyncIterator]()
  const asked: Asked = {
    ask: async (line) => {
      child.stdin.write(`${line}\n`)
      const { value } = await reader.next()
      if (typeof value !== 'string') throw new Error(`${script}: ${Buffer.concat(errors)}`)
      return JSON.parse(value)
    },
    stop: () => child.kill(),
  }
  return asked
}

const accounts = [
  { user: 'Administrator', domain: null, password: 'Passw0rd! & <more>' },
  { user: 'svc', domain: 'OFFICE', password: 'pässwörd' },
]

describe.skipIf(peerSkip('pywinrm', 'openssl'))('the test listener, judged by pywinrm', () => {
  let server: WinrmServer
  let strict: WinrmServer
  let python: Asked
  beforeAll(async () => {
    server = await startWinrmServer({ accounts, operationTimeoutMsMax: 200 })
    strict = await startWinrmServer({ accounts, offers: ['NTLM'], hash: 'sha384' })
    python = startPython(requirePeer('pywinrm'), { script: 'winrm_peer.py', env: {} })
  })
  afterAll(async () => {
    python.stop()
    await server[Symbol.asyncDispose]()
    await strict[Symbol.asyncDispose]()
  })

  const ask = (to: WinrmServer, changes: Record<string, unknown>) => {
    const [first = { user: '', password: '' }] = accounts
    const account = { user: first.user, password: first.password }
    const place = { port: to.port, ca: to.certificatePath, kind: 'run', transport: 'ntlm' }
    return python.ask(JSON.stringify({ ...place, ...account, program: '/bin/echo', args: ['hello'], ...changes }))
  }
  const base64 = (text: string) => Buffer.from(text).toString('base64')

  it.each(['ntlm', 'basic'])('runs a program by %s', async (transport) => {
    expect(await ask(server, { transport })).toEqual({ stdout: base64('hello\n'), stderr: '', code: 0 })
    expect(server.shells()).toEqual([])
  })

  it('gives exit codes and stderr, more output than an envelope, and waits through operation timeouts', async () => {
    expect(await ask(server, { program: '/bin/false', args: [] })).toMatchObject({ code: 1 })
    expect(await ask(server, { program: '/bin/cat', args: ['/no/such'] })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/./),
    })
    const { stdout } = await ask(server, { program: '/usr/bin/head', args: ['-c', '700000', '/dev/zero'] })
    expect(Buffer.from(String(stdout), 'base64')).toEqual(Buffer.alloc(700_000))
    expect(await ask(server, { program: '/bin/sleep', args: ['1'] })).toMatchObject({ code: 0 })
    expect(server.log.filter((each) => each === 'fault: w:TimedOut').length).toBeGreaterThan(1)
  })

  it('takes accounts of a domain, and channel binding by the hash of the certificate', async () => {
    expect(await ask(strict, { user: 'OFFICE\\svc', password: 'pässwörd' })).toMatchObject({ code: 0 })
    expect(await ask(strict, { cbt: false })).toEqual({ refused: expect.any(String) })
    expect(strict.log.at(-1)).toBe('refused: no channel binding')
  })

  it.each(['ntlm', 'basic'])('refuses a wrong password by %s', async (transport) => {
    expect(await ask(server, { transport, password: 'wrong' })).toEqual({ refused: expect.any(String) })
    expect(server.log.at(-1)).toMatch(/^refused/)
  })

  it('words its faults so that pywinrm reads them', async () => {
    expect(await ask(server, { kind: 'broken' })).toEqual({
      fault: expect.stringMatching(/shell was not found[\s\S]*2150858843/),
    })
  })

  it('knows no PowerShell but the texts of the client', async () => {
    const encoded = Buffer.from('Get-Date', 'utf16le').toString('base64')
    const { code, stderr } = await ask(server, { program: 'powershell', args: ['-encodedcommand', encoded] })
    expect(code).toBe(1)
    expect(Buffer.from(String(stderr), 'base64').toString()).toContain('does not know this text')
  })
})

describe.skipIf(peerSkip('gss-ntlmssp'))('our messages of NTLM, judged by gss-ntlmssp', () => {
  const account: NtlmAccount = { user: 'Jürgen', domain: 'OFFICE', password: 'pässwörd "&< 日本' }
  let folder: string
  let python: Asked
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coldframe-ntlm-'))
    const users = join(folder, 'users')
    await writeFile(users, `${account.domain}:${account.user}:${account.password}\n`)
    const env = { NTLM_USER_FILE: users, LC_ALL: 'C.UTF-8', PYTHONIOENCODING: 'utf-8' }
    python = startPython(requirePeer('gss-ntlmssp'), { script: 'ntlm_acceptor.py', env })
  })
  afterAll(async () => {
    python.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const data = Buffer.concat([Buffer.from('tls-server-end-point:'), randomBytes(32)])
  async function logIn(
    changes: Partial<NtlmAccount>,
    { binding, spoil }: { readonly binding: Uint8Array | null; readonly spoil?: (message: Uint8Array) => void },
  ): Promise<Record<string, unknown>> {
    const negotiate = encodeNegotiate()
    const how = { negotiate: Buffer.from(negotiate).toString('base64'), binding: data.toString('base64') }
    const { token } = await python.ask(JSON.stringify(how))
    const message = encodeAuthenticate({
      account: { ...account, ...changes },
      negotiate,
      challenge: Buffer.from(String(token), 'base64'),
      channelBinding: binding === null ? null : channelBindingOf(binding),
      clientChallenge: randomBytes(8),
      nowMs: Date.now(),
    })
    spoil?.(message)
    return python.ask(Buffer.from(message).toString('base64'))
  }

  it('are accepted, bound to the connection', async () => {
    expect(await logIn({}, { binding: data })).toEqual({ user: expect.stringMatching(/Jürgen/i), complete: true })
    expect(await logIn({ user: 'JÜRGEN' }, { binding: data })).toMatchObject({ complete: true })
  })

  it('are refused with a wrong password, user or binding, and with a spoilt integrity code', async () => {
    const refused = { refused: expect.any(String) }
    expect(await logIn({ password: 'wrong' }, { binding: data })).toEqual(refused)
    expect(await logIn({ user: 'nobody' }, { binding: data })).toEqual(refused)
    expect(await logIn({}, { binding: Buffer.from('tls-server-end-point:another') })).toEqual(refused)
    const spoil = (message: Uint8Array) => {
      message[72] = (message[72] ?? 0) ^ 1
    }
    expect(await logIn({}, { binding: data, spoil })).toEqual(refused)
  })
})
