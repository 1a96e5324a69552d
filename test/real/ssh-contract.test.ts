// The contract of a guest's channel over ssh, with Debian's sshd as the guest: as this process's account, and as accounts that may and
// may not use sudo.

import { afterAll, beforeAll, describe } from 'vitest'
import { guestChannelContract, posixGuest } from '../contract/guest-channel.ts'
import { type AccountOptions, accountsSkip, type GuestAccount, openAccount } from '../kit/guest-account.ts'
import { peerSkip } from '../kit/peers.ts'
import { enterChannel, modeOf, openSshGuest, type SshGuest } from '../kit/ssh-guest.ts'
import type { SshdOptions } from '../kit/sshd.ts'

function contractOver(name: string, options: SshdOptions, account: AccountOptions | null): void {
  describe.skipIf(peerSkip('sshd') || (account !== null && accountsSkip() !== undefined))(name, () => {
    let guest: SshGuest
    let owner: GuestAccount | undefined
    beforeAll(async () => {
      owner = account === null ? undefined : await openAccount(account)
      guest = await openSshGuest({ ...options, ...(owner === undefined ? {} : { user: owner.user }) })
    })
    afterAll(async () => {
      await guest?.[Symbol.asyncDispose]()
      await owner?.[Symbol.asyncDispose]()
    })
    guestChannelContract(`ssh, ${name}`, async () => {
      const channel = await enterChannel(guest)
      return { channel, kind: posixGuest, modeOf, [Symbol.asyncDispose]: () => channel[Symbol.asyncDispose]() }
    })
  })
}

// At once: most of their time they wait.
describe('the contract of channels', { concurrent: true }, () => {
  contractOver('the account of this process', {}, null)
  contractOver('sudo allowed', {}, { sudo: 'allowed' })
  contractOver('no sudo, no SFTP', { sftp: 'off' }, { sudo: 'none', shell: '/bin/sh' })
})
