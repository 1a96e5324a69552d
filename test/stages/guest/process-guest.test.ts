// The guest that the tests of this folder work in is itself a way into a guest, and must keep what each of them keeps.

import { stat } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { guestChannelContract, posixGuest } from '../../contract/guest-channel.ts'
import { openProcessGuest } from '../../kit/process-guest.ts'
import { until } from '../../kit/programs.ts'

const cancel = { signal: new AbortController().signal }
const plain = { environment: {}, workingDirectory: null, timeoutMs: 10_000, elevated: false }

guestChannelContract('processes of this machine', async () => {
  const guest = await openProcessGuest()
  return {
    channel: guest.open(),
    kind: posixGuest,
    modeOf: async (path) => ((await stat(path)).mode & 0o777).toString(8),
    [Symbol.asyncDispose]: () => guest[Symbol.asyncDispose](),
  }
})

it('a cut kills the program that runs, or leaves it, and every later call fails', async () => {
  for (const running of ['killed', 'left'] as const) {
    await using guest = await openProcessGuest()

    const channel = guest.open()
    const call = channel.run({ ...plain, program: '/bin/sh', args: ['-c', 'sleep 1000 & sleep 1000'] }, cancel)
    await until(async () => (await guest.processes()).length === 3)
    channel.cut(running)
    await expect(call).rejects.toMatchObject({ code: 'guest-unreachable' })
    expect(await guest.processes()).toHaveLength(running === 'killed' ? 0 : 3)
    await expect(channel.whoAmI(cancel)).rejects.toMatchObject({ code: 'guest-unreachable' })
    expect((await guest.open().whoAmI(cancel)).user).not.toBe('')
  }
})
