import { type MemoryGuest, memoryGuestChannel } from '../../../lib/adapters/memory/guest-channel.ts'
import type { ProgramRequest, ProgramResult } from '../../../lib/ports/guest.ts'
import { guestChannelContract } from '../../contract/guest-channel.ts'

guestChannelContract('memory', async () => {
  const programs: MemoryGuest['programs'] = new Map<string, (request: ProgramRequest) => Promise<ProgramResult>>([
    [
      '/bin/echo-words',
      async ({ args, environment }) => ({
        exitCode: 3,
        timedOut: false,
        stdout: `${args[0]} ${environment['WORD']}\n`,
        stderr: 'not quite\n',
      }),
    ],
    ['/bin/sleeper', () => new Promise(() => undefined)],
  ])
  return {
    channel: memoryGuestChannel({ user: 'root', elevated: true, files: new Map(), programs }),
    echo: '/bin/echo-words',
    sleeper: '/bin/sleeper',
    [Symbol.asyncDispose]: async () => undefined,
  }
})
