// Guests over the network: who answers at all, and the ways in.

import { connect } from 'node:net'
import { type Clock, systemClock } from '../../base/clock.ts'
import { type Random, systemRandom } from '../../base/random.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { GuestNetwork, NetworkDoor } from '../../ports/guest.ts'
import { openSshConnection, type SshConnection } from './ssh-connection.ts'
import { posixChannel } from './ssh-posix.ts'
import { windowsChannel } from './ssh-windows.ts'
import { reasonOfSocket } from './unreachable.ts'
import { openWinrm } from './winrm.ts'

export type GuestNetworkOptions = {
  readonly clock?: Clock
  readonly random?: Random
  /** For one connection over ssh with its login. */
  readonly connectMs?: number
  /** A guest that went silent is noticed after three times as long. */
  readonly keepaliveMs?: number
}

export function guestNetwork(options: GuestNetworkOptions = {}): GuestNetwork {
  const { clock = systemClock, random = systemRandom, connectMs = 20_000, keepaliveMs = 5000 } = options
  return {
    probe: (doors, { budgetMs }, { signal }) =>
      Promise.all(doors.map((door) => probeOne(door, { clock, budgetMs, signal }))),
    openSsh: async ({ family, ...request }, { signal }) => {
      const connection = await openSshConnection(request, { times: { connectMs, keepaliveMs }, signal })
      const channel =
        family === 'windows' ? windowsChannel(connection, { random }) : posixChannel(connection, { random })
      const warnings = warningsOf(connection, request.credentials.user)
      return { channel, seen: connection.seen, warnings }
    },
    openWinrm,
  }
}

function warningsOf({ loggedInWith, door }: SshConnection, user: string): readonly string[] {
  if (loggedInWith === 'key') return []
  const how =
    loggedInWith === null
      ? 'without key and password: anybody can'
      : 'with a password; a key cannot be guessed or spied out'
  return [`"${user}" logged in to "${door.address}" ${how}`]
}

type Answer = Awaited<ReturnType<GuestNetwork['probe']>>[number]

function probeOne(
  door: NetworkDoor,
  { clock, budgetMs, signal }: Cancel & { readonly clock: Clock; readonly budgetMs: number },
): Promise<Answer> {
  const startMs = clock.monotonicMs()
  const limit = withTimeLimit(signal, budgetMs)
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const socket = connect({ host: door.address, port: door.port })
    const finish = (settle: () => void): void => {
      limit.removeEventListener('abort', onLimit)
      socket.destroy()
      settle()
    }
    const onLimit = (): void =>
      finish(() => {
        if (signal.aborted) reject(signal.reason)
        else resolve({ kind: 'silent', reason: `it did not answer within ${budgetMs} ms` })
      })
    limit.addEventListener('abort', onLimit, { once: true })
    socket.once('connect', () => finish(() => resolve({ kind: 'answers', elapsedMs: clock.monotonicMs() - startMs })))
    socket.once('error', (error) => finish(() => resolve({ kind: 'silent', reason: reasonOfSocket(error) })))
  })
}
