// The winrm channel in trouble: silent programs, large output and files, lost shells and connections, two at once.

import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openWinrm } from '../../../lib/adapters/guest/winrm.ts'
import { commandLineOf } from '../../../lib/adapters/guest/winrm-arguments.ts'
import { winrmChannel } from '../../../lib/adapters/guest/winrm-channel.ts'
import { POWERSHELL } from '../../../lib/adapters/guest/winrm-scripts.ts'
import { openShell } from '../../../lib/adapters/guest/winrm-shell.ts'
import { openWsman } from '../../../lib/adapters/guest/wsman-client.ts'
import type { GuestChannel, ProgramRequest } from '../../../lib/ports/guest.ts'
import { peerSkip } from '../../kit/peers.ts'
import { defaults, startWinrmServer, type WinrmServer, type WinrmServerOptions } from '../../kit/winrm-server.ts'
import { argumentsOf } from '../../kit/winrm-server-guest.ts'
import { cancel, credentialsOf } from './winrm-guest.ts'

type Opened = { readonly server: WinrmServer; readonly channel: GuestChannel } & AsyncDisposable

async function open(changes: Partial<WinrmServerOptions> = {}): Promise<Opened> {
  const server = await startWinrmServer(changes)
  const channel = await channelTo(server)
  return {
    server,
    channel,
    [Symbol.asyncDispose]: async () => {
      await channel[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function channelTo({ port, fingerprint }: WinrmServer): Promise<GuestChannel> {
  const rule = { pins: [fingerprint], firstSeen: false }
  const opened = await openWinrm({ address: '127.0.0.1', port, credentials: credentialsOf(), rule }, cancel)
  return opened.channel
}

function shell(script: string, ...args: readonly string[]): ProgramRequest {
  const request = { environment: {}, workingDirectory: null, timeoutMs: 20_000, elevated: false }
  return { ...request, program: '/bin/sh', args: ['-c', script, 'sh', ...args] }
}

function countOf({ log }: WinrmServer, entry: string): number {
  return log.filter((each) => each === entry).length
}

/** Loses all shells at the first request of this action after the channel has been opened. */
function losingAt(action: string): Pick<WinrmServerOptions, 'interfere'> & { arm(): void } {
  let armed = false
  return {
    arm: () => {
      armed = true
    },
    interfere: (step) => {
      if (!armed || step !== action) return 'nothing'
      armed = false
      return 'lose-shells'
    },
  }
}

describe.skipIf(peerSkip('openssl'))('the winrm channel', () => {
  it('asks again for as long as a silent program runs', async () => {
    await using guest = await open({ operationTimeoutMsMax: 100 })

    const { channel, server } = guest
    expect(await channel.run(shell('sleep 0.6; echo done'), cancel)).toMatchObject({ exitCode: 0, stdout: 'done\n' })
    expect(countOf(server, 'fault: w:TimedOut')).toBeGreaterThan(2)
  })

  it('a guest that says at once that there is nothing yet is not asked without pause', async () => {
    let sinceMs = 0
    const interfere = (step: string) => {
      if (step !== 'Receive' || sinceMs === 0) return 'nothing'
      return performance.now() - sinceMs < 1000 ? 'time-out' : 'nothing'
    }
    await using guest = await open({ interfere })

    const before = countOf(guest.server, 'Receive')
    sinceMs = performance.now()
    expect(await guest.channel.run(shell('exit 4'), cancel)).toMatchObject({ exitCode: 4 })
    expect(countOf(guest.server, 'Receive') - before).toBeLessThan(30)
  })

  it.each(['Create', 'Command', 'Receive'])(
    'an answer to "%s" that says nothing is the failure of the guest, and nothing that we have written wrong',
    async (action) => {
      let armed = false
      const interfere = (step: string) => (armed && step === action ? 'say-nothing' : 'nothing')
      await using guest = await open({ interfere })

      guest.server.loseShells()
      armed = true
      await expect(guest.channel.run(shell('exit 0'), cancel)).rejects.toMatchObject({
        code: 'guest-failed',
        message: expect.stringContaining('127.0.0.1'),
      })
    },
  )

  it('an answer of a script that lacks what it must have is the failure of the guest', async () => {
    const answers = { place: 'there', reset: async () => undefined, [Symbol.asyncDispose]: async () => undefined }
    const channel = winrmChannel(
      { ...answers, execute: async () => ({ kind: 'answered', lines: [], answer: { exitCode: 'none' } }) },
      'there',
    )
    const strange = { code: 'guest-failed', message: expect.stringContaining('"there"') }
    await expect(channel.whoAmI(cancel)).rejects.toMatchObject(strange)
    await expect(channel.run(shell('exit 0'), cancel)).rejects.toMatchObject(strange)
    await expect(channel.makeDirectory(cancel)).rejects.toMatchObject(strange)
    await expect(channel.get({ path: 'C:\\x', bytesMax: 1 }, cancel)).rejects.toMatchObject(strange)
    await expect(channel.digest('C:\\x', cancel)).rejects.toMatchObject(strange)
  })

  it('leaves out what a program prints beyond 64 KiB, and half a character at the cut', async () => {
    await using guest = await open()

    const { stdout } = await guest.channel.run(shell('printf x; yes ä | tr -d "\\n" | head -c 1048576'), cancel)
    expect(stdout).toBe(`x${'ä'.repeat(32_767)}`)
  })

  it('a program that hangs is ended from outside when the guest does not do it', async () => {
    await using server = await startWinrmServer({ operationTimeoutMsMax: 100 })
    using client = await openWsman(
      {
        address: '127.0.0.1',
        port: server.port,
        rule: { pins: [server.fingerprint], firstSeen: false },
        account: { domain: '', user: 'Administrator', password: credentialsOf().password ?? '' },
      },
      cancel,
    )
    await using own = openShell(client)

    const beats = join(server.folder, 'beats')
    const line = commandLineOf('/bin/sh', ['-c', 'while :; do printf x >> "$0"; sleep 0.05; done', beats])
    const data = { ...line, workingDirectory: null, timeoutMs: 3_600_000, environment: [] }
    const script = { name: 'run', data, payload: null, limitMs: 3000, outputBytesMax: 1000 } as const
    expect(await own.execute(script, cancel)).toEqual({ kind: 'late' })
    expect(server.log.slice(-2)).toEqual(['Signal', 'Delete'])
    const atEnd = (await readFile(beats)).byteLength
    expect(atEnd).toBeGreaterThan(0)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect((await readFile(beats)).byteLength).toBe(atEnd)
  })

  it('stays within the envelopes that every WinRM takes, and fills them', async () => {
    await using guest = await open({ envelopeBytesMax: 153_600 })

    const { channel, server } = guest
    const bytes = new Uint8Array(randomBytes(3 * 1024 * 1024))
    const path = join(server.folder, 'large')
    await channel.put({ path, bytes, executable: false }, cancel)
    expect(Buffer.compare(await readFile(path), bytes)).toBe(0)
    expect(Math.max(...server.envelopeBytes)).toBeLessThanOrEqual(153_600)
    expect(Math.max(...server.envelopeBytes)).toBeGreaterThan(140_000)
    expect(server.log).not.toContain('fault: w:EncodingLimit')
  })

  it('a file that changes on its way is damaged, either way', async () => {
    await using guest = await open({ spoils: true })

    const path = join(guest.server.folder, 'file')
    const damaged = { code: 'guest-file-damaged', kind: 'integrity' }
    await expect(
      guest.channel.put({ path, bytes: Buffer.from('abc'), executable: false }, cancel),
    ).rejects.toMatchObject(damaged)
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' })
    await writeFile(path, 'abc')
    await expect(guest.channel.get({ path, bytesMax: 100 }, cancel)).rejects.toMatchObject(damaged)
  })

  it('never removes a root, nor what lies outside of a path', async () => {
    await using guest = await open()

    for (const path of ['/', 'C:\\', 'C:', '', 'relative', 'C:\\Temp\\..', '/tmp/../etc'])
      await expect(guest.channel.remove(path, cancel)).rejects.toMatchObject({ code: 'guest-path-refused' })
    expect(countOf(guest.server, 'Command')).toBe(1)
  })

  it('makes a new shell when the guest has closed the idle one', async () => {
    await using guest = await open()

    const { channel, server } = guest
    const before = server.shells()
    server.loseShells()
    expect(await channel.run(shell('exit 4'), cancel)).toMatchObject({ exitCode: 4 })
    expect(server.shells()).not.toEqual(before)
    expect(server.shells()).toHaveLength(1)
  })

  it.each(['Send', 'Receive'])('repeats what may be repeated when the shell is lost at "%s"', async (action) => {
    const loss = losingAt(action)
    await using guest = await open(loss)

    const { channel, server } = guest
    const path = join(server.folder, 'kept')
    loss.arm()
    await channel.put({ path, bytes: Buffer.from('kept'), executable: false }, cancel)
    expect(await readFile(path, 'utf8')).toBe('kept')
    expect(countOf(server, 'fault: w:InvalidSelectors')).toBeGreaterThan(0)
  })

  it('never runs a program twice: a shell that is lost under it is an error', async () => {
    const loss = losingAt('Receive')
    await using guest = await open({ ...loss, operationTimeoutMsMax: 100 })

    const { channel, server } = guest
    const runs = join(server.folder, 'runs')
    loss.arm()
    const error = await channel.run(shell('echo ran >> "$1"; sleep 5', runs), cancel).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'guest-unreachable', retry: 'later' })
    expect(countOf(server, 'Command')).toBe(2)
    const written = await readFile(runs, 'utf8').catch(() => '')
    expect(['', 'ran\n']).toContain(written)
  })

  it('a connection that was closed between two calls is opened again, and a forgotten login is made again', async () => {
    await using guest = await open()

    const { channel, server } = guest
    server.hangUp()
    await expect.poll(() => server.connections().open).toBe(0)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await channel.run(shell('exit 5'), cancel)).toMatchObject({ exitCode: 5 })
    expect(server.connections()).toMatchObject({ count: 2, resumed: 0 })
    server.forgetLogins()
    expect(await channel.run(shell('exit 6'), cancel)).toMatchObject({ exitCode: 6 })
    expect(server.connections().count).toBe(2)
    expect(countOf(server, 'proof')).toBe(3)
    expect(server.shells()).toHaveLength(1)
  })

  it('a password that was changed under a channel is refused once, and not tried again for tidying up', async () => {
    const accounts = [...defaults.accounts]
    await using guest = await open({ accounts })

    const { channel, server } = guest
    accounts.splice(0, 1, { user: 'Administrator', domain: null, password: 'another' })
    server.forgetLogins()
    await expect(channel.run(shell('exit 0'), cancel)).rejects.toMatchObject({ code: 'guest-login-refused' })
    await channel[Symbol.asyncDispose]()
    expect(countOf(server, 'refused: the proof is wrong')).toBe(1)
  })

  it('a connection that is lost inside a call is an error, and the next call opens another', async () => {
    let closing = false
    const interfere = (step: string) => {
      if (!closing || step !== 'Receive') return 'nothing'
      closing = false
      return 'close'
    }
    await using guest = await open({ interfere })

    const { channel, server } = guest
    closing = true
    await expect(channel.run(shell('exit 0'), cancel)).rejects.toMatchObject({ code: 'guest-unreachable' })
    expect(server.shells()).toEqual([])
    expect(await channel.run(shell('exit 5'), cancel)).toMatchObject({ exitCode: 5 })
    expect(server.connections()).toMatchObject({ count: 2, resumed: 0 })
    expect(countOf(server, 'proof')).toBe(2)
  })

  it('a caller that leaves takes its program with it, and is gone at once', async () => {
    await using guest = await open()

    const { channel, server } = guest
    const leave = new AbortController()
    const run = channel.run(shell('sleep 60'), { signal: leave.signal })
    await expect.poll(() => countOf(server, 'Receive'), { timeout: 10_000 }).toBeGreaterThan(1)
    leave.abort(new Error('left'))
    await expect(run).rejects.toThrow('left')
    expect(server.log.slice(-2)).toEqual(['Signal', 'Delete'])
    expect(server.shells()).toEqual([])
  })

  it('two channels into one guest do not meet', async () => {
    await using guest = await open()
    await using other = await channelTo(guest.server)

    const runs = [guest.channel, other].map((each, index) => each.run(shell(`sleep 0.2; exit ${index + 1}`), cancel))
    expect((await Promise.all(runs)).map(({ exitCode }) => exitCode)).toEqual([1, 2])
    expect(guest.server.shells()).toHaveLength(2)
  })

  it('one connection carries a whole channel, and its login is made once', async () => {
    await using guest = await open()

    const { channel, server } = guest
    for (let turn = 0; turn < 3; turn++) await channel.run(shell('exit 0'), cancel)
    expect(server.connections().count).toBe(1)
    expect(countOf(server, 'proof')).toBe(1)
  })
})

describe('what winrm sends to cmd.exe and Windows', () => {
  it('is short enough for cmd.exe and has nothing in it that cmd.exe would read', () => {
    const line = [POWERSHELL.program, ...POWERSHELL.args].join(' ')
    expect(line.length).toBeLessThan(8000)
    expect(line.replace('%SystemRoot%', '')).toMatch(/^[A-Za-z0-9\\/+=. -]+$/)
  })

  it('a command line is taken apart into the arguments that it was made of', () => {
    const words = fc.array(
      fc.oneof(fc.string({ unit: fc.constantFrom('\\', '"', ' ', 'a', '\t', 'ä', '\n') }), fc.string()),
    )
    fc.assert(
      fc.property(words, (args) => {
        const plain = args.map((each) => each.replaceAll('\0', ''))
        expect(argumentsOf(commandLineOf('C:\\a b\\x.exe', plain).arguments)).toEqual(plain)
      }),
    )
  })

  it('batch files go through cmd.exe by name, with arguments that it cannot read otherwise', () => {
    expect(commandLineOf('C:\\My Scripts\\go.CMD', ['a b', '&', '^|<>', ''])).toEqual({
      program: 'cmd.exe',
      arguments: '/d /s /c ""C:\\My Scripts\\go.CMD" "a b" "&" "^|<>" """',
    })
    for (const odd of ['%PATH%', '"', '!x!', 'a\nb'])
      expect(() => commandLineOf('go.bat', [odd])).toThrow(/cannot|Cannot/)
    expect(() => commandLineOf('go.exe', ['a\0b'])).toThrow(/NUL/)
  })
})
