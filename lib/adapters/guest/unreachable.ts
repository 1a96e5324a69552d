// Words for a guest that does not answer over the network.

import { BackupError, messageOf } from '../../base/errors.ts'
import type { NetworkDoor } from '../../ports/guest.ts'

export function unreachable(
  door: NetworkDoor,
  { reason, cause }: { readonly reason: string; readonly cause: unknown },
): BackupError {
  return new BackupError(`Cannot reach the guest at "${door.address}" port ${door.port}: ${reason}`, {
    code: 'guest-unreachable',
    retry: 'later',
    hint: 'Check that the guest runs, that the port is open in its firewall and that this network has a route to it',
    facts: { address: door.address, port: door.port, reason },
    cause,
  })
}

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  ETIMEDOUT: 'it did not answer in time',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to its network',
  EADDRNOTAVAIL: 'this machine has no address of its kind',
  ENOTFOUND: 'its name is not known',
}

/** Why a socket failed, in words for operators. */
export function reasonOfSocket(error: unknown): string {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  const known = words[code]
  if (known !== undefined) return known
  const message = messageOf(error)
  if (/keepalive timeout/i.test(message)) return 'the connection went silent'
  return message === '' ? 'the connection failed' : message
}
