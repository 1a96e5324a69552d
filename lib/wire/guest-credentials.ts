// An account in guests as a secret holds it: YAML or JSON. Faults name keys, never values.

import * as z from 'zod'
import { BackupError } from '../base/errors.ts'
import type { GuestCredentials } from '../model/guest.ts'
import { faultLines, readYaml } from './yaml-reader.ts'

const port = z.int().min(1).max(65_535)
const text = z.string().min(1)

const fingerprint = z
  .string()
  .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'must be "SHA256:" and 43 characters, as "ssh-keygen -lf" prints it')

const thumbprint = z
  .string()
  .transform((given) => given.replaceAll(/[:\s-]/g, '').toLowerCase())
  .refine((hex) => /^[0-9a-f]{64}$/.test(hex), { error: 'must be a SHA-256 of 64 hex digits' })

const schema = z
  .strictObject({
    user: text,
    password: z.exactOptional(text),
    privateKey: z.exactOptional(text),
    passphrase: z.exactOptional(text),
    domain: z.exactOptional(text),
    vix: z.exactOptional(z.strictObject({ user: text, password: text })),
    hostKeys: z.array(fingerprint).default([]),
    certificates: z.array(thumbprint).default([]),
    sshPort: port.default(22),
    winrmPort: port.default(5986),
  })
  .refine((given) => given.password !== undefined || given.privateKey !== undefined || given.vix !== undefined, {
    error: 'needs password, privateKey or vix',
    when: ({ value }) => typeof value === 'object' && value !== null,
  })
  .refine((given) => given.passphrase === undefined || given.privateKey !== undefined, {
    path: ['passphrase'],
    error: 'is of no use without privateKey',
    when: ({ value }) => typeof value === 'object' && value !== null,
  })

/**
 * @param name the secret's, for the message
 * @throws BackupError `credentials-malformed` (kind usage); facts.faults holds one line a fault, never a value
 */
export function parseGuestCredentials(secret: string, name: string): GuestCredentials {
  const result = readYaml(secret, schema)
  if (result.kind === 'read') {
    const { password, privateKey, passphrase, domain, vix, ...rest } = result.value
    return {
      ...rest,
      password: password ?? null,
      privateKey: privateKey ?? null,
      passphrase: passphrase ?? null,
      domain: domain ?? null,
      vix: vix ?? null,
    }
  }
  // A fault may quote what it found, which may be the secret itself: only places and keys are told.
  const faults = faultLines(
    result.faults.map(({ line, message }) => ({
      line,
      message: message.startsWith('not YAML') ? 'not YAML' : message,
    })),
  ).map((line) => line.replaceAll(/"[^"]*"/g, (quoted) => keyOrNothing(quoted)))
  throw new BackupError(`Cannot read secret "${name}" as credentials of a guest: ${faults.join('; ')}`, {
    code: 'credentials-malformed',
    kind: 'usage',
    hint: 'It must be YAML with user and password or privateKey; docs/GUESTS.md shows one',
    facts: { name, faults },
  })
}

const KEYS: ReadonlySet<string> = new Set(
  [
    'user',
    'password',
    'privateKey',
    'passphrase',
    'domain',
    'vix',
    'hostKeys',
    'certificates',
    'sshPort',
    'winrmPort',
  ].map((key) => `"${key}"`),
)

function keyOrNothing(quoted: string): string {
  return KEYS.has(quoted) ? quoted : '"…"'
}
