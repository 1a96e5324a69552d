// Credentials of guests as secrets hold them: what is read, and that no fault tells a secret.

import { describe, expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import { parseGuestCredentials } from '../../lib/wire/guest-credentials.ts'

const fingerprint = `SHA256:${'A'.repeat(43)}`

describe('parseGuestCredentials()', () => {
  it('reads YAML with everything', () => {
    const text = `user: backup
privateKey: |
  -----BEGIN OPENSSH PRIVATE KEY-----
  abc
  -----END OPENSSH PRIVATE KEY-----
passphrase: open sesame
vix: {user: root, password: hunter2}
hostKeys: ["${fingerprint}"]
certificates: ["${'AB:'.repeat(31)}AB"]
sshPort: 2222
`
    expect(parseGuestCredentials(text, 'linux')).toEqual({
      user: 'backup',
      password: null,
      privateKey: '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n',
      passphrase: 'open sesame',
      domain: null,
      vix: { user: 'root', password: 'hunter2' },
      hostKeys: [fingerprint],
      certificates: ['ab'.repeat(32)],
      sshPort: 2222,
      winrmPort: 5986,
    })
  })

  it('reads JSON, as secret stores keep it', () => {
    expect(parseGuestCredentials('{"user":"Administrator","password":"x","domain":"CORP"}', 'win')).toMatchObject({
      user: 'Administrator',
      password: 'x',
      domain: 'CORP',
      vix: null,
    })
  })

  it.each([
    ['a bare password', 'hunter2'],
    ['a password of the wrong type', 'user: a\npassword: [hunter2]'],
    ['no user', 'password: hunter2'],
    ['nothing to log in with', 'user: a'],
    ['a passphrase of nothing', 'user: a\npassword: x\npassphrase: hunter2'],
    ['an unknown key', 'user: a\npassword: x\nhunter2: x'],
    ['a key given twice', 'user: a\npassword: hunter2\npassword: hunter2'],
    ['a fingerprint that is none', 'user: a\npassword: x\nhostKeys: [hunter2]'],
    ['a thumbprint that is none', 'user: a\npassword: x\ncertificates: [hunter2]'],
    ['a port that is none', 'user: a\npassword: x\nsshPort: 70000'],
    ['text that is not YAML', 'user: "hunter2\n- {'],
    ['a password that YAML takes for an alias', 'user: a\npassword: *hunter2'],
  ])('refuses %s, and does not repeat what it found', (_what, text) => {
    const error = thrownBy(() => parseGuestCredentials(text, 'linux'))
    expect(error).toMatchObject({ code: 'credentials-malformed', kind: 'usage', facts: { name: 'linux' } })
    expect(`${error.message} ${JSON.stringify(error.facts)}`).not.toContain('hunter2')
  })
})

function thrownBy(action: () => unknown): BackupError {
  try {
    action()
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('it was accepted')
}
