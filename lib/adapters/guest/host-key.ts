// Which host keys may answer. Pure: fingerprints and algorithms in, a verdict out.

import { createHash } from 'node:crypto'
import type { ServerHostKeyAlgorithm } from 'ssh2'
import { BackupError } from '../../base/errors.ts'
import type { NetworkDoor, PinRule } from '../../ports/guest.ts'

/** Kinds of host keys in the order in which they are asked for, each with the signature algorithms that prove it. */
const kinds: ReadonlyMap<string, readonly ServerHostKeyAlgorithm[]> = new Map<
  string,
  readonly ServerHostKeyAlgorithm[]
>([
  ['ssh-ed25519', ['ssh-ed25519']],
  ['ecdsa-sha2-nistp256', ['ecdsa-sha2-nistp256']],
  ['ecdsa-sha2-nistp384', ['ecdsa-sha2-nistp384']],
  ['ecdsa-sha2-nistp521', ['ecdsa-sha2-nistp521']],
  ['ssh-rsa', ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa']],
])

export type SeenKey = {
  /** The first field of the key itself (RFC 4253, 6.6). */
  readonly kind: string
  /** "SHA256:…" as ssh-keygen -l prints it. */
  readonly fingerprint: string
}

export function readHostKey(key: Uint8Array): SeenKey {
  const length = new DataView(key.buffer, key.byteOffset, key.byteLength).getUint32(0)
  return { kind: Buffer.from(key.subarray(4, 4 + length)).toString('latin1'), fingerprint: fingerprintOf(key) }
}

/** SHA-256 of the key as it is on the wire, base64 without padding. */
export function fingerprintOf(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** 'other': keys are pinned, and this is none of them. */
export function judgeHostKey({ fingerprint }: SeenKey, { pins, firstSeen }: PinRule): 'trusted' | 'unknown' | 'other' {
  if (pins.length === 0) return firstSeen ? 'trusted' : 'unknown'
  return pins.some((pin) => pin.trim().replace(/=+$/, '') === fingerprint) ? 'trusted' : 'other'
}

/** What to ask the server for when keys of some kinds were not the pinned ones; empty when no kind is left. */
export function algorithmsWithout(seen: readonly SeenKey[]): ServerHostKeyAlgorithm[] {
  return [...kinds].flatMap(([kind, algorithms]) => (seen.some((key) => key.kind === kind) ? [] : algorithms))
}

export function unknownHostKey(door: NetworkDoor, { fingerprint }: SeenKey): BackupError {
  return new BackupError(
    `Cannot trust the guest at "${door.address}" port ${door.port}: no host key is pinned, it has "${fingerprint}"`,
    {
      code: 'guest-host-key-unknown',
      kind: 'refused',
      hint: `Compare it in the guest with "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" (or the ecdsa or rsa key) and add "${fingerprint}" to the host keys of the guest's credentials, or let the policy trust the first key seen`,
      facts: { address: door.address, port: door.port, seen: fingerprint, pinned: [] },
    },
  )
}

/** @param seen every key that the server showed, the one it prefers first */
export function changedHostKey(
  door: NetworkDoor,
  about: { readonly seen: readonly SeenKey[]; readonly pins: readonly string[]; readonly cause?: unknown },
): BackupError {
  const { seen, pins, cause } = about
  const shown = seen.map(({ fingerprint }) => fingerprint)
  return new BackupError(
    `Cannot trust the guest at "${door.address}" port ${door.port}: it has the host key "${shown.join('", "')}", pinned is "${pins.join('", "')}"`,
    {
      code: 'guest-host-key-changed',
      kind: 'refused',
      hint: 'If the guest was installed anew or its keys were changed on purpose, pin the new key; if not, somebody else answers at this address',
      facts: {
        address: door.address,
        port: door.port,
        seen: shown[0] ?? '',
        alsoSeen: shown.slice(1),
        pinned: [...pins],
      },
      cause,
    },
  )
}
