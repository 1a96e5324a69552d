import { setInterval } from 'node:timers/promises'
import { type MemoryGuest, type MemoryProgram, memoryGuestChannel } from '../../../lib/adapters/memory/guest-channel.ts'
import type { ProgramResult } from '../../../lib/ports/guest.ts'
import { type GuestKind, guestChannelContract, posixGuest } from '../../contract/guest-channel.ts'

const ended: ProgramResult = { exitCode: 0, timedOut: false, stdout: '', stderr: '' }
const hex = (text: string) => Buffer.from(text).toString('hex')

const programs = new Map<string, MemoryProgram>([
  [
    'echo',
    async ({ args, environment, workingDirectory }) => {
      const lines = args.map((arg) => `argument ${hex(arg)}`)
      for (let index = 0; environment[`W${index}`] !== undefined; index++)
        lines.push(`word ${hex(environment[`W${index}`] ?? '')}`)
      lines.push(`directory ${hex(workingDirectory ?? '/')}`)
      return { ...ended, exitCode: 3, stdout: lines.join('\n'), stderr: 'not quite\n' }
    },
  ],
  [
    'heart',
    async ({ args: [path = ''] }, { files }, { signal }) => {
      for await (const _ of setInterval(100, undefined, { signal })) {
        files.set(path, new Uint8Array((files.get(path)?.byteLength ?? 0) + 1))
      }
      return ended
    },
  ],
  ['chatty', async () => ({ ...ended, exitCode: 4, stdout: 'gone\n' })],
  [
    'loud',
    async ({ args: [count] }) => ({ ...ended, stdout: 'x'.repeat(Number(count)), stderr: 'x'.repeat(Number(count)) }),
  ],
  ['rights', async (_, { elevated }) => ({ ...ended, stdout: elevated ? 'elevated' : 'plain' })],
])

const kind: GuestKind = {
  ...posixGuest,
  echo: { program: 'echo', args: [] },
  heart: { program: 'heart', args: [] },
  chatty: { program: 'chatty', args: [] },
  loud: { program: 'loud', args: [] },
  rights: { program: 'rights', args: [] },
}

for (const elevated of [true, false]) {
  guestChannelContract(`memory, ${elevated ? 'root' : 'any account'}`, async () => {
    const guest: MemoryGuest = { user: elevated ? 'root' : 'operator', elevated, files: new Map(), programs }
    return {
      channel: memoryGuestChannel(guest),
      kind,
      modeOf: null,
      [Symbol.asyncDispose]: async () => undefined,
    }
  })
}
