// Opens the winrm channel: WS-Management over HTTPS to a Windows guest.

import type { GuestNetwork } from '../../ports/guest.ts'
import { winrmChannel } from './winrm-channel.ts'
import { accountOf } from './winrm-login.ts'
import { openShell } from './winrm-shell.ts'
import { openWsman } from './wsman-client.ts'

/**
 * Logs in, makes a shell and asks who we are, so that a channel that is handed over has proven to work.
 * @throws BackupError as GuestNetwork.openWinrm, and `guest-failed` where PowerShell does not run
 */
export const openWinrm: GuestNetwork['openWinrm'] = async ({ credentials, ...door }, cancel) => {
  cancel.signal.throwIfAborted()
  const client = await openWsman({ ...door, account: accountOf(credentials) }, cancel)
  const shell = openShell(client)
  const channel = winrmChannel(shell, door.address)
  try {
    await channel.whoAmI(cancel)
  } catch (error) {
    await shell[Symbol.asyncDispose]()
    client[Symbol.dispose]()
    throw error
  }
  const warnings =
    client.method === 'Basic'
      ? [`WinRM at "${client.place}" takes only Basic, so the guest itself sees the password; NTLM does not show it`]
      : []
  return {
    channel: {
      ...channel,
      [Symbol.asyncDispose]: async () => {
        await channel[Symbol.asyncDispose]()
        client[Symbol.dispose]()
      },
    },
    seen: client.seen,
    warnings,
  }
}
