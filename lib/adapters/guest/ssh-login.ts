// How an account logs in over ssh: its key first, then its password. Nothing here is ever part of a message.

import { createPrivateKey } from 'node:crypto'
import type { AnyAuthMethod, ParsedKey } from 'ssh2'
import { BackupError } from '../../base/errors.ts'
import type { GuestCredentials } from '../../ports/guest.ts'
import { parseSshKey } from './ssh2-package.ts'

export type LoginMethod = { readonly name: 'key' | 'password'; readonly auth: AnyAuthMethod }

/** @throws BackupError `guest-credentials-unfit`: neither key nor password, or a key that cannot be used */
export function loginMethods(credentials: GuestCredentials): readonly LoginMethod[] {
  const { user: username, password, privateKey } = credentials
  const methods: LoginMethod[] = []
  if (privateKey !== null) {
    const key = parsePrivateKey(credentials, privateKey)
    methods.push({ name: 'key', auth: { type: 'publickey', username, key } })
  }
  if (password !== null) {
    methods.push({ name: 'password', auth: { type: 'password', username, password } })
    // Many servers with PAM take a password only as the answer to a question that is not shown.
    const prompt = (...[, , , prompts, finish]: KeyboardCall): void =>
      finish(prompts.map(({ echo }) => (echo ? '' : password)))
    methods.push({ name: 'password', auth: { type: 'keyboard-interactive', username, prompt } })
  }
  if (methods.length === 0) {
    throw unfit(username, 'they have neither a private key nor a password', 'Give the credentials a private key')
  }
  return methods
}

type KeyboardCall = readonly [
  name: string,
  instructions: string,
  language: string,
  prompts: readonly { readonly prompt: string; readonly echo?: boolean }[],
  finish: (answers: string[]) => void,
]

function parsePrivateKey({ user, passphrase }: GuestCredentials, text: string): ParsedKey {
  const encrypted = /^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)
  if (encrypted && passphrase === null) throw needsPassphrase(user)
  const parsed = parseSshKey(pkcs1Of(text, passphrase) ?? text.trim(), passphrase ?? undefined)
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  if (key === undefined) throw unfit(user, 'there is no private key in their text', keyHint)
  if (!(key instanceof Error)) {
    if (!key.isPrivateKey()) throw unfit(user, 'the key in them is a public key', 'Give them the private key')
    return key
  }
  // ssh2's words name formats and steps, and say nothing of the key itself.
  if (/no passphrase given/.test(key.message)) throw needsPassphrase(user)
  if (/passphrase|integrity check|bad decrypt/i.test(key.message) || encrypted) {
    throw unfit(user, 'the passphrase does not open the private key', 'Correct the passphrase in the credentials')
  }
  throw unfit(user, `the private key cannot be read (${key.message})`, keyHint)
}

/** PKCS #8 ("BEGIN PRIVATE KEY") of RSA and EC in the older form that ssh2 reads; null for any other text. */
function pkcs1Of(text: string, passphrase: string | null): string | null {
  if (!/^-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/m.test(text)) return null
  try {
    const key = createPrivateKey({ key: text, format: 'pem', ...(passphrase === null ? {} : { passphrase }) })
    if (key.asymmetricKeyType === 'rsa') return key.export({ type: 'pkcs1', format: 'pem' }).toString()
    if (key.asymmetricKeyType === 'ec') return key.export({ type: 'sec1', format: 'pem' }).toString()
  } catch {
    // Not to be read: ssh2 says it in its own words, or the passphrase is wrong, which the caller knows.
  }
  return null
}

const keyHint =
  'Use an Ed25519, ECDSA or RSA key in the form of OpenSSH, as "ssh-keygen -t ed25519" makes it, or as PEM'

function needsPassphrase(user: string): BackupError {
  return unfit(user, 'the private key is encrypted and there is no passphrase', 'Add the passphrase to the credentials')
}

function unfit(user: string, why: string, hint: string): BackupError {
  return new BackupError(`Cannot log in as "${user}" over ssh with these credentials: ${why}`, {
    code: 'guest-credentials-unfit',
    kind: 'usage',
    hint,
    facts: { user },
  })
}
