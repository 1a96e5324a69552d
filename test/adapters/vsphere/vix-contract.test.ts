// The contract of ways into guests on the VMware Tools channel, against the simulator: real programs, files and processes.

import { describe } from 'vitest'
import { guestChannelContract, posixGuest } from '../../contract/guest-channel.ts'
import { modeOf, openVixKit, plainAccount, rootAccount } from './vix-kit.ts'

// Both at once: most of their time they wait.
describe('the contract of channels', { concurrent: true }, () => {
  for (const account of [plainAccount, rootAccount]) {
    guestChannelContract(`vix on the simulator as "${account.name}"`, async () => {
      const kit = await openVixKit({ account })
      return { channel: kit.channel, kind: posixGuest, modeOf, [Symbol.asyncDispose]: () => kit[Symbol.asyncDispose]() }
    })
  }
})
