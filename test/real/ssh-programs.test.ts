// Programs over ssh where guests are difficult: start-up files that speak, sudo in its moods, children that will not end.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { GuestChannel, ProgramRequest, ProgramResult } from '../../lib/ports/guest.ts'
import { type AccountOptions, accountsSkip, openAccount } from '../kit/guest-account.ts'
import { peerSkip } from '../kit/peers.ts'
import { enterChannel, openSshGuest } from '../kit/ssh-guest.ts'
import type { SshdOptions } from '../kit/sshd.ts'

const cancel = { signal: new AbortController().signal }
const plain = { args: [], environment: {}, workingDirectory: null, timeoutMs: 20_000, elevated: false }

function sh(script: string, more: Partial<ProgramRequest> = {}): ProgramRequest {
  return { ...plain, program: '/bin/sh', args: ['-c', script], ...more }
}

/** A channel into a guest with an account made for it. */
async function openGuest(account: AccountOptions, server: SshdOptions = {}) {
  await using stack = new AsyncDisposableStack()

  const owner = stack.use(await openAccount(account))
  const guest = stack.use(await openSshGuest({ ...server, user: owner.user }))
  const channel = stack.use(await enterChannel(guest))
  const kept = stack.move()
  return { channel, account: owner, guest, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

const noise = 'echo "Welcome; exit 7"; echo complaint >&2; printf "no line end"; echo'

// At once: each has a guest and an account of its own, and most of its time it waits.
const options = { timeout: 60_000, concurrent: true }

describe.skipIf(peerSkip('sshd') || accountsSkip() !== undefined)('programs over ssh', options, () => {
  const loud: AccountOptions['files'] = { '.bashrc': `${noise}\n`, '.profile': `${noise}\n`, '.zshenv': `${noise}\n` }

  it('what start-up files and banners say is no part of a result', async () => {
    await using noisyFile = await openAccount({ files: { speak: `${noise}\n` } })
    await using guest = await openGuest(
      { files: loud, sudo: 'allowed' },
      {
        settings: [`Banner ${join(noisyFile.home, 'speak')}`, 'PrintMotd yes'],
        environment: { BASH_ENV: join(noisyFile.home, 'speak'), ENV: join(noisyFile.home, 'speak') },
      },
    )

    for (const elevated of [false, true]) {
      const result = await guest.channel.run(sh('echo out; echo err >&2; exit 5', { elevated }), cancel)
      expect(result).toEqual({ exitCode: 5, timedOut: false, stdout: 'out\n', stderr: 'err\n' })
      const bash = { ...plain, program: 'bash', args: ['-c', 'echo out'], elevated }
      expect(await guest.channel.run(bash, cancel)).toMatchObject({ exitCode: 0, stdout: 'out\n', stderr: '' })
    }
    expect(await guest.channel.whoAmI(cancel)).toEqual({ user: guest.account.user, elevated: true, whyNot: null })
    await expectCarries(guest.channel)
  })

  it('a start-up file that speaks without end ends a call with a sentence, and no result is made up', async () => {
    await using guest = await openGuest({ files: { '.bashrc': 'echo The machine is being installed; exit 3\n' } })

    await expect(guest.channel.run(sh('echo out'), cancel)).rejects.toMatchObject({
      code: 'guest-shell-failed',
      message: expect.stringContaining('The machine is being installed'),
    })
  })

  it('an account that is turned away by its login shell is refused, with a sentence', async () => {
    await using guest = await openGuest({ shell: '/usr/sbin/nologin' })

    await expect(guest.channel.whoAmI(cancel)).rejects.toMatchObject({
      code: 'guest-login-refused',
      kind: 'refused',
      message: expect.stringMatching(new RegExp(`"${guest.account.user}".*its login shell turns everybody away`)),
    })
    await using silent = await openGuest({ shell: '/bin/false' })

    await expect(silent.channel.whoAmI(cancel)).rejects.toMatchObject({
      code: 'guest-shell-failed',
      message: expect.stringContaining(silent.account.user),
    })
  })

  it('an account whose password has expired is refused, with a sentence, even with a key', async () => {
    await using guest = await openGuest({ password: 'old', expired: true }, { settings: ['UsePAM yes'] })

    const refusal = {
      code: 'guest-login-refused',
      kind: 'refused',
      message: expect.stringContaining('its password has expired'),
      hint: expect.stringContaining('passwd'),
    }
    await expect(guest.channel.whoAmI(cancel)).rejects.toMatchObject(refusal)
    await expect(guest.channel.makeDirectory(cancel)).rejects.toMatchObject(refusal)
  })

  for (const [sudo, words] of [
    ['none', 'password'],
    ['password', 'password'],
    ['terminal', 'tty'],
  ] as const) {
    it(`sudo that refuses (${sudo}) is told with the line of sudoers that would allow it`, async () => {
      await using guest = await openGuest({ sudo, files: loud })

      const { user } = guest.account
      const line = `${user} ALL=(root) NOPASSWD: /bin/sh`
      const refusal = await guest.channel
        .run(sh('echo out', { elevated: true }), cancel)
        .catch((error: unknown) => error)
      expect(refusal).toMatchObject({
        code: 'guest-elevation-refused',
        kind: 'refused',
        hint: expect.stringContaining(line),
        message: expect.stringContaining(words),
      })
      const { elevated, whyNot } = await guest.channel.whoAmI(cancel)
      expect(elevated).toBe(false)
      expect(whyNot).toContain(line)
    })
  }

  it('values of the environment are in no list of processes, elevated or not', async () => {
    await using guest = await openGuest({ sudo: 'allowed' })

    const request = sh('cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "; test "$TOKEN" = hidden-$HALF && echo kept')
    for (const elevated of [false, true]) {
      const environment = { TOKEN: 'hidden-value-8471', HALF: 'value-8471' }
      const { stdout } = await guest.channel.run({ ...request, environment, elevated }, cancel)
      expect(stdout).toContain('kept')
      expect(stdout).not.toContain('hidden-value-8471')
    }
  })

  it('a program that leaves a daemon behind is over when it ends, whatever holds its streams', async () => {
    await using guest = await openGuest({})

    const began = performance.now()
    const { exitCode, stdout } = await guest.channel.run(sh('sleep 41 & echo started; exit 4'), cancel)
    expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: 'started\n' })
    expect(performance.now() - began).toBeLessThan(20_000)
    await guest.channel.run(sh('pkill -x sleep || true'), cancel)
  })

  it('a program killed by a signal has the exit code that a shell gives it', async () => {
    await using guest = await openGuest({})

    expect(await guest.channel.run(sh('kill -9 $$'), cancel)).toMatchObject({ exitCode: 137, timedOut: false })
  })

  it('what made a session of its own outlives a time limit, as the timer that thaws must', async () => {
    await using guest = await openGuest({})

    const directory = await guest.channel.makeDirectory(cancel)
    const timer = `setsid /bin/sh -c 'sleep 4; echo thawed >"$0"' ${directory}/thaw </dev/null >/dev/null 2>&1 &`
    const result = await guest.channel.run(sh(`${timer} sleep 60`, { timeoutMs: 1000 }), cancel)
    expect(result.timedOut).toBe(true)
    await expect.poll(() => text(join(directory, 'thaw')), { timeout: 20_000 }).toBe('thawed\n')
  })

  it('is killed in time where the server opens one session only, and where there is no setsid', async () => {
    for (const settings of [['MaxSessions 1'], []]) {
      await using guest = await openGuest({ sudo: 'allowed' }, { settings })

      const directory = await guest.channel.makeDirectory(cancel)
      const beats = join(directory, 'beats')
      const script = `while :; do echo x >>${beats}; sleep 0.1; done & while :; do sleep 1; done`
      // A PATH without setsid: the program stays in the session of the shell that sshd started.
      const environment = settings.length > 0 ? {} : { PATH: directory }
      const program = settings.length > 0 ? script : `PATH=/usr/bin:/bin; ${script}`
      const result = await guest.channel.run(sh(program, { timeoutMs: 1500, environment }), cancel)
      expect(result).toMatchObject({ timedOut: true, exitCode: null })
      const atEnd = await text(beats)
      expect(atEnd).not.toBe('')
      await delay(700)
      expect(await text(beats)).toBe(atEnd)
    }
  })

  it('what a program wrote before it was killed is kept', async () => {
    await using guest = await openGuest({})

    const result = await guest.channel.run(sh('echo early; echo trouble >&2; sleep 60', { timeoutMs: 1000 }), cancel)
    expect(result).toEqual({ exitCode: null, timedOut: true, stdout: 'early\n', stderr: 'trouble\n' })
  })

  it('a time limit does not count what the login shell takes', async () => {
    await using guest = await openGuest({ files: { '.bashrc': 'sleep 2\n' } })

    const result = await guest.channel.run(sh('echo out', { timeoutMs: 1500 }), cancel)
    expect(result).toMatchObject({ exitCode: 0, stdout: 'out\n' })
  })

  for (const shell of ['/bin/bash', '/bin/dash', '/bin/tcsh', '/usr/bin/fish', '/usr/bin/zsh', '/bin/mksh']) {
    it.skipIf(!existsSync(shell))(`the login shell may be ${shell}`, async () => {
      await using guest = await openGuest({ shell, sudo: 'allowed', files: { '.cshrc': 'echo welcome\n' } })

      for (const elevated of [false, true]) {
        const program = { ...plain, program: 'printf', args: ['%s', "it's $HOME !!\n"], elevated }
        expect(await guest.channel.run(program, cancel)).toMatchObject({ exitCode: 0, stdout: "it's $HOME !!\n" })
      }
      await expectCarries(guest.channel)
    })
  }
})

async function expectCarries(channel: GuestChannel): Promise<ProgramResult> {
  const directory = await channel.makeDirectory(cancel)
  await channel.put({ path: `${directory}/a b`, bytes: Buffer.from('#!/bin/sh\necho ran\n'), executable: true }, cancel)
  expect(Buffer.from(await channel.get({ path: `${directory}/a b`, bytesMax: 100 }, cancel)).toString()).toContain(
    'ran',
  )
  const result = await channel.run({ ...plain, program: `${directory}/a b` }, cancel)
  expect(result).toEqual({ exitCode: 0, timedOut: false, stdout: 'ran\n', stderr: '' })
  await channel.remove(directory, cancel)
  return result
}

async function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}
