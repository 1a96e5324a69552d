// Logging in to Debian's sshd: keys of every kind, passwords, and whom we trust to be the guest.

import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accountsSkip, openAccount } from '../kit/guest-account.ts'
import { credentialsOf } from '../kit/guest-credentials.ts'
import { peerSkip } from '../kit/peers.ts'
import { enter, openSshGuest, type SshGuest } from '../kit/ssh-guest.ts'
import { makeKey, openSshd } from '../kit/sshd.ts'

const cancel = { signal: new AbortController().signal }

/** What an error tells, all of it: nothing secret may be in there. */
function told(error: unknown): string {
  return error instanceof Error ? JSON.stringify([error.message, error, told(error.cause)]) : String(error)
}

async function refusal(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => new Error('it was let in'),
    (error: unknown) => error,
  )
}

describe.skipIf(peerSkip('sshd'))('login over ssh', () => {
  let guest: SshGuest
  beforeAll(async () => {
    guest = await openSshGuest()
  })
  afterAll(() => guest?.[Symbol.asyncDispose]())

  async function expectEntry(more: { readonly privateKey: string; readonly passphrase?: string }): Promise<void> {
    const { channel, seen, warnings } = await enter(guest, { credentials: credentialsOf(guest.sshd.user, more) })
    await using _ = channel

    expect((await channel.whoAmI(cancel)).user).toBe(guest.sshd.user)
    expect(Object.values(guest.sshd.fingerprints)).toContain(seen)
    expect(warnings).toEqual([])
  }

  for (const kind of ['ed25519', 'ecdsa', 'rsa'] as const) {
    it(`takes a key of kind ${kind}, encrypted or not, as OpenSSH or PEM`, async () => {
      const key = await makeKey(kind)
      await guest.sshd.authorize(guest.sshd.user, key.publicKey)
      await expectEntry(key)
      const encrypted = await makeKey(kind, { passphrase: 'öpen sesame' })
      await guest.sshd.authorize(guest.sshd.user, encrypted.publicKey)
      await expectEntry({ ...encrypted, passphrase: 'öpen sesame' })
      if (kind === 'ed25519') return
      for (const passphrase of ['', 'open sesame']) {
        const pem = await makeKey(kind, { format: 'pem', passphrase })
        await guest.sshd.authorize(guest.sshd.user, pem.publicKey)
        await expectEntry({ ...pem, passphrase })
      }
    })
  }

  it('takes RSA and ECDSA keys as PKCS #8, encrypted or not', async () => {
    for (const kind of ['rsa', 'ecdsa'] as const) {
      const pem = await makeKey(kind, { format: 'pem' })
      await guest.sshd.authorize(guest.sshd.user, pem.publicKey)
      await expectEntry({ privateKey: pkcs8(pem.privateKey, ['-nocrypt']) })
      await expectEntry({ privateKey: pkcs8(pem.privateKey, ['-passout', 'pass:word']), passphrase: 'word' })
    }
  })

  it('names a passphrase that is wrong or absent, and a key it cannot use, without a word of the key', async () => {
    const key = await makeKey('ed25519', { passphrase: 'right' })
    const pem = await makeKey('rsa', { passphrase: 'right', format: 'pem' })
    const p8 = pkcs8((await makeKey('rsa', { format: 'pem' })).privateKey, ['-passout', 'pass:right'])
    const dsaLike = '-----BEGIN DSA PRIVATE KEY-----\nAAAAc2VjcmV0c2VjcmV0\n-----END DSA PRIVATE KEY-----\n'
    const cases: readonly (readonly [string, string | null, RegExp])[] = [
      [key.privateKey, 'wrong', /the passphrase does not open the private key/],
      [key.privateKey, null, /encrypted and there is no passphrase/],
      [pem.privateKey, 'wrong', /the passphrase does not open the private key/],
      [pem.privateKey, null, /encrypted and there is no passphrase/],
      [p8, 'wrong', /the passphrase does not open the private key/],
      [p8, null, /encrypted and there is no passphrase/],
      [key.publicKey, null, /is a public key/],
      [dsaLike, null, /cannot be read/],
      ['no key at all: hunter2', null, /cannot be read/],
      ['', null, /cannot be read/],
    ]
    for (const [privateKey, passphrase, message] of cases) {
      const credentials = credentialsOf(guest.sshd.user, { privateKey, passphrase })
      const error = await refusal(enter(guest, { credentials }))
      expect(error).toMatchObject({
        code: 'guest-credentials-unfit',
        kind: 'usage',
        message: expect.stringMatching(message),
      })
      for (const line of privateKey.split('\n').filter((each) => /^[A-Za-z0-9+/=]{12,}$/.test(each)))
        expect(told(error)).not.toContain(line)
      expect(told(error)).not.toMatch(/hunter2|wrong"|right/)
    }
    const nothing = enter(guest, { credentials: credentialsOf(guest.sshd.user) })
    await expect(nothing).rejects.toMatchObject({ code: 'guest-credentials-unfit' })
  })

  it('says who was refused and with what, when the key or the account is the wrong one', async () => {
    const { privateKey } = await makeKey('ed25519')
    for (const user of [guest.sshd.user, 'nobody-of-this-name']) {
      const credentials = credentialsOf(user, { privateKey, password: 'hunter2' })
      const error = await refusal(enter(guest, { credentials }))
      expect(error).toMatchObject({
        code: 'guest-login-refused',
        kind: 'refused',
        facts: { user, tried: ['key', 'password'] },
      })
      expect(error).toMatchObject({ message: expect.stringContaining(`"${user}"`) })
      expect(told(error)).not.toContain('hunter2')
    }
  })

  it('trusts no host key that is not pinned, and names the one it saw', async () => {
    const error = await refusal(enter(guest, { rule: { pins: [], firstSeen: false } }))
    const seen = guest.sshd.fingerprints.ed25519
    expect(error).toMatchObject({ code: 'guest-host-key-unknown', facts: { seen, pinned: [] } })
    expect(error).toMatchObject({
      message: expect.stringContaining(seen),
      hint: expect.stringContaining('ssh-keygen -lf'),
    })
  })

  it('trusts the first key seen only when told to, and says which', async () => {
    const { channel, seen } = await enter(guest, { rule: { pins: [], firstSeen: true } })
    await channel[Symbol.asyncDispose]()
    expect(seen).toBe(guest.sshd.fingerprints.ed25519)
    // From then on it is pinned, and another server at the same address is not trusted.
    await using other = await openSshd({ hostKeys: ['rsa', 'ed25519'] })

    const error = await refusal(enter(guest, { rule: { pins: [seen], firstSeen: true }, port: other.port }))
    expect(error).toMatchObject({
      code: 'guest-host-key-changed',
      kind: 'refused',
      retry: 'no',
      facts: { pinned: [seen] },
    })
    const { ed25519, rsa } = other.fingerprints
    for (const each of [seen, ed25519, rsa]) expect(error).toMatchObject({ message: expect.stringContaining(each) })
  })

  it('asks for every kind of host key until a pinned one comes', async () => {
    for (const kind of ['rsa', 'ecdsa', 'ed25519'] as const) {
      const pin = guest.sshd.fingerprints[kind]
      const { channel, seen } = await enter(guest, { rule: { pins: ['SHA256:other', `${pin}=`], firstSeen: false } })
      await channel[Symbol.asyncDispose]()
      expect(seen).toBe(pin)
    }
  })

  describe.skipIf(accountsSkip() !== undefined)('with a password', () => {
    it('lets in, with a warning, and only with the right one', async () => {
      await using account = await openAccount({ password: 'corréct hörse' })
      await using server = await openSshGuest({ settings: ['PasswordAuthentication yes'] })

      const credentials = credentialsOf(account.user, { password: 'corréct hörse' })
      const { channel, warnings } = await enter(server, { credentials })
      expect((await channel.whoAmI(cancel)).user).toBe(account.user)
      await channel[Symbol.asyncDispose]()
      expect(warnings).toEqual([expect.stringContaining('password')])
      const wrong = credentialsOf(account.user, { password: 'battery staple' })
      const error = await refusal(enter(server, { credentials: wrong }))
      expect(error).toMatchObject({ code: 'guest-login-refused', facts: { user: account.user, tried: ['password'] } })
      expect(told(error)).not.toContain('battery')
    })

    it('answers a server that asks for the password as a question', async () => {
      await using account = await openAccount({ password: 'asked for' })
      await using server = await openSshGuest({ settings: ['UsePAM yes', 'KbdInteractiveAuthentication yes'] })

      const { channel, warnings } = await enter(server, {
        credentials: credentialsOf(account.user, { password: 'asked for' }),
      })
      expect((await channel.whoAmI(cancel)).user).toBe(account.user)
      await channel[Symbol.asyncDispose]()
      expect(warnings).toHaveLength(1)
    })

    it('that has expired is refused, and no new one is made up', async () => {
      await using account = await openAccount({ password: 'too old', expired: true })
      for (const settings of [['UsePAM yes', 'KbdInteractiveAuthentication yes'], ['PasswordAuthentication yes']]) {
        await using server = await openSshGuest({ settings })

        const credentials = credentialsOf(account.user, { password: 'too old' })
        const error = await refusal(
          enter(server, { credentials }).then(async ({ channel }) => {
            await using own = channel

            return await own.whoAmI(cancel)
          }),
        )
        expect(error).toMatchObject({ code: 'guest-login-refused', kind: 'refused' })
        expect(error).toMatchObject({ message: expect.stringMatching(/password has expired|Current password/) })
        expect(told(error)).not.toContain('too old')
      }
    })

    it('falls back from a key that is refused to the password', async () => {
      await using account = await openAccount({ password: 'second' })
      await using server = await openSshGuest({ settings: ['PasswordAuthentication yes'] })

      const { privateKey } = await makeKey('ed25519')
      const { channel, warnings } = await enter(server, {
        credentials: credentialsOf(account.user, { password: 'second', privateKey }),
      })
      await channel[Symbol.asyncDispose]()
      expect(warnings).toHaveLength(1)
    })
  })
})

function pkcs8(pem: string, args: readonly string[]): string {
  const { stdout } = spawnSync('openssl', ['pkcs8', '-topk8', ...args], {
    input: pem,
    encoding: 'utf8',
  })
  return stdout
}
