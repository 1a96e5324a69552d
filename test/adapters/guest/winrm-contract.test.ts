// The winrm channel keeps what every channel keeps, against a listener of our own.

import { describe } from 'vitest'
import { openWinrm } from '../../../lib/adapters/guest/winrm.ts'
import { guestChannelContract, posixGuest } from '../../contract/guest-channel.ts'
import { peerSkip } from '../../kit/peers.ts'
import { startWinrmServer, type WinrmServerOptions } from '../../kit/winrm-server.ts'
import { cancel, credentialsOf } from './winrm-guest.ts'

/** The programs of the guest run as the account of this process. */
const token =
  process.getuid?.() === 0
    ? { administrator: true, member: true, integrity: 12_288 }
    : { administrator: false, member: false, integrity: 8192 }

async function open(changes: Partial<WinrmServerOptions>) {
  const server = await startWinrmServer({ token, ...changes })
  const rule = { pins: [server.fingerprint], firstSeen: false }
  const request = { address: '127.0.0.1', port: server.port, credentials: credentialsOf(), rule }
  const { channel } = await openWinrm(request, cancel)
  return {
    channel,
    kind: posixGuest,
    modeOf: null,
    [Symbol.asyncDispose]: async () => {
      await channel[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

describe.skipIf(peerSkip('openssl'))('the contract of channels', () => {
  guestChannelContract('winrm by NTLM with strict channel binding', () => open({}))
  guestChannelContract('winrm by Basic under TLS 1.2', () => open({ offers: ['Basic'], tls: 'TLSv1.2' }))
})
