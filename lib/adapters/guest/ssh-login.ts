// How an account logs in over ssh: its key first, then its password. Nothing here is ever part of a message.

import { createPrivateKey } from 'node:crypto'
import type { AnyAuthMethod, ParsedKey } from 'ssh2'
import { BackupError, quote } from '../../base/errors.ts'
import type { GuestCredentials } from '../../ports/guest.ts'
import { parseSshKey } from './ssh2-package.ts'

/** What an account has to show; the key is opened. */
export type LoginMethods = { readonly user: string; readonly key: ParsedKey | null; readonly password: string | null }

export type LoginName = 'key' | 'password'

export type LoginStep =
  | { readonly kind: 'try'; readonly auth: AnyAuthMethod }
  /** Why nothing is left: "the guest refused the key". */
  | { readonly kind: 'refused'; readonly why: string }

/** One login on one connection. */
export type Login = {
  readonly tried: readonly LoginName[]
  /** @param left the methods that the guest goes on with; null before it was asked */
  next(left: readonly string[] | null): LoginStep
}

/** @throws BackupError `guest-credentials-unfit`: neither key nor password, or a key that cannot be used */
export function loginMethods(credentials: GuestCredentials): LoginMethods {
  const { user, password, privateKey } = credentials
  if (privateKey === null && password === null) {
    throw unfit(user, 'they have neither a private key nor a password', 'Give the credentials a private key')
  }
  return { user, password, key: privateKey === null ? null : parsePrivateKey(credentials, privateKey) }
}

/**
 * Tries the key and then the password, which is said once only: accounts are locked for wrong ones.
 * @param refuse called when the guest asks for what is not answered
 */
export function startLogin(
  { user: username, key, password }: LoginMethods,
  { refuse }: { readonly refuse: (why: string) => void },
): Login {
  const tried: LoginName[] = []
  const attempt = (name: LoginName, auth: AnyAuthMethod): LoginStep => {
    tried.push(name)
    return { kind: 'try', auth }
  }
  const refused = (left: readonly string[] | null): LoginStep => {
    const said = tried.map((name) => `the ${name}`).join(' and ')
    const deaf = password !== null && !tried.includes('password')
    const takes = deaf ? `takes no password (it offers "${left?.join('", "') ?? ''}")` : null
    const why = [said === '' ? null : `refused ${said}`, takes].filter((each) => each !== null)
    return { kind: 'refused', why: `the guest ${why.join(' and ')}` }
  }
  return {
    tried,
    next: (left) => {
      if (key !== null && tried.length === 0) return attempt('key', { type: 'publickey', username, key })
      if (password === null || tried.includes('password')) return refused(left)
      // A password where none is taken would stand in the guest's log as a wrong one, each time.
      if (left === null) return { kind: 'try', auth: { type: 'none', username } }
      if (left.includes('password')) return attempt('password', { type: 'password', username, password })
      if (!left.includes('keyboard-interactive')) return refused(left)
      const prompt = answerOnce(password, { refuse })
      return attempt('password', { type: 'keyboard-interactive', username, prompt })
    },
  }
}

type KeyboardCall = readonly [
  name: string,
  instructions: string,
  language: string,
  prompts: readonly { readonly prompt: string; readonly echo?: boolean }[],
  finish: (answers: string[]) => void,
]

/** Servers with PAM may take a password only as the answer to a question that is not shown. Every other one is for people. */
function answerOnce(password: string, { refuse }: { readonly refuse: (why: string) => void }) {
  let answered = false
  return (...[, , , prompts, finish]: KeyboardCall): void => {
    const [first, ...others] = prompts
    const fits = first !== undefined && others.length === 0 && first.echo !== true && !/\bnew\b/i.test(first.prompt)
    if (!fits || answered) {
      const asked = prompts
        .map(({ prompt }) => prompt)
        .join(' ')
        .replaceAll(/\s+/g, ' ')
        .trim()
      return refuse(`the guest asks ${quote(asked)}, which only a person can answer`)
    }
    answered = true
    finish([password])
  }
}

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
