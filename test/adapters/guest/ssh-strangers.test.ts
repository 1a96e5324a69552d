// Servers over ssh that no OpenSSH is: they break off, count passwords, ask what only people can answer, and speak nonsense.

import type { AuthContext, Connection } from 'ssh2'
import { describe, expect, it } from 'vitest'
import { hasCode } from '../../../lib/base/errors.ts'
import { isAbort } from '../../../lib/base/time-limit.ts'
import { credentialsOf } from '../../kit/guest-credentials.ts'
import { anyKey, openStrangeSshd } from '../../kit/strange-sshd.ts'

const cancel = { signal: new AbortController().signal }
const request = { args: [], environment: {}, workingDirectory: null, timeoutMs: 5000, elevated: false }
const password = credentialsOf('backup', { password: 'hunter2' })

const anyAccount = credentialsOf('root', { privateKey: anyKey() })

/** Answers each try to log in, and keeps what was tried. */
function asking(answer: (context: AuthContext) => void) {
  const tried: string[] = []
  const follow = (connection: Connection): void => {
    connection.on('authentication', (context) => {
      tried.push(context.method)
      answer(context)
    })
  }
  return { tried, follow }
}

const refused = (why: string) => ({
  code: 'guest-login-refused',
  kind: 'refused',
  message: expect.stringContaining(why),
})

describe('a strange server over ssh', () => {
  it('that shows a key which is not pinned stays a stranger when it breaks off afterwards', async () => {
    const { follow } = asking((context) => context.accept())
    await using server = await openStrangeSshd({ follow, connectionsMax: 1 })

    const rule = { pins: [`SHA256:${'A'.repeat(43)}`], firstSeen: false }
    await expect(server.enter({ credentials: anyAccount, rule }, cancel)).rejects.toMatchObject({
      code: 'guest-host-key-changed',
      facts: { pinned: rule.pins, seen: expect.stringMatching(/^SHA256:/) },
    })
    expect(server.count()).toBe(2)
  })

  it('hears a wrong password once', async () => {
    const { tried, follow } = asking((context) => context.reject(['password', 'keyboard-interactive']))
    await using server = await openStrangeSshd({ follow })

    await expect(server.enter({ credentials: password }, cancel)).rejects.toMatchObject(refused('refused the password'))
    expect(tried).toEqual(['none', 'password'])
  })

  it('that takes no password hears none', async () => {
    const { tried, follow } = asking((context) => context.reject(['publickey', 'hostbased']))
    await using server = await openStrangeSshd({ follow })

    const takes = 'takes no password (it offers "publickey", "hostbased")'
    await expect(server.enter({ credentials: password }, cancel)).rejects.toMatchObject(refused(`guest ${takes}`))
    expect(tried).toEqual(['none'])
    const both = credentialsOf('backup', { password: 'hunter2', privateKey: anyKey() })
    await expect(server.enter({ credentials: both }, cancel)).rejects.toMatchObject({
      ...refused(`refused the key and ${takes}`),
      facts: expect.objectContaining({ tried: ['key'] }),
    })
  })

  it.each([
    ['a second question', [['Password: '], ['Verification code: ']], 1],
    ['two questions at once', [['Password: ', 'Verification code: ']], 0],
    ['a new password', [['New password: ']], 0],
    ['a new password after the old one', [['Password: '], ['Current password: ']], 1],
  ] as const)('that asks %s gets no answer but the one', async (_name, rounds, answersMax) => {
    const answers: string[] = []
    const { follow } = asking((context) => {
      if (context.method !== 'keyboard-interactive') return context.reject(['keyboard-interactive'])
      const ask = ([round, ...later]: readonly (readonly string[])[]): void => {
        if (round === undefined) return context.accept()
        const prompts = round.map((prompt) => ({ prompt, echo: false }))
        context.prompt(prompts, (given) => {
          answers.push(...given)
          ask(later)
        })
      }
      ask(rounds)
    })
    await using server = await openStrangeSshd({ follow })

    const asked = rounds.at(-1)?.at(-1)?.trim() ?? ''
    const error = await server.enter({ credentials: password }, cancel).catch((reason: unknown) => reason)
    expect(error).toMatchObject(refused(asked))
    expect(JSON.stringify(error)).not.toContain('hunter2')
    expect(answers).toEqual(Array.from({ length: answersMax }, () => 'hunter2'))
  })

  it('that wants another password first is a refusal', async () => {
    const { follow } = asking((context) => {
      if (context.method === 'password') context.requestChange('Choose another', () => undefined)
      else context.reject(['password'])
    })
    await using server = await openStrangeSshd({ follow })

    await expect(server.enter({ credentials: password }, cancel)).rejects.toMatchObject(refused('another password'))
  })

  it('that lets everybody in is warned of', async () => {
    const { follow } = asking((context) => context.accept())
    await using server = await openStrangeSshd({ follow })

    const { channel, warnings } = await server.enter({ credentials: password }, cancel)
    await channel[Symbol.asyncDispose]()
    expect(warnings).toEqual([expect.stringContaining('anybody can')])
  })

  it.each(['this end', 'the guest'] as const)(
    'a call right after %s has ended the connection is told so',
    async (who) => {
      const { follow } = asking((context) => context.accept())
      await using server = await openStrangeSshd({ follow })
      const { channel } = await server.enter({ credentials: anyAccount }, cancel)

      if (who === 'this end') void channel[Symbol.asyncDispose]()
      else server.endAll()
      const gone = { code: 'guest-unreachable', retry: 'later' }
      await expect(channel.run({ ...request, program: 'true' }, cancel)).rejects.toMatchObject(gone)
      await expect(channel.get({ path: '/tmp/x', bytesMax: 1 }, cancel)).rejects.toMatchObject(gone)
      await channel[Symbol.asyncDispose]()
    },
  )

  const VERSION = [0, 0, 0, 5, 2, 0, 0, 0, 3]
  it.each([
    ['nothing', []],
    ['a status without an end', [0, 0, 0, 2, 101, 0]],
    ['data without a length', [0, 0, 0, 6, 103, 0, 0, 0, 0, 9]],
    ['a packet of no kind', [0, 0, 0, 5, 250, 0, 0, 0, 0]],
    ['a packet without end', [255, 255, 255, 255, 1, 2, 3]],
  ] as const)(
    'whose SFTP answers %s holds nobody beyond the time limit, and no session stays open',
    async (_name, answer) => {
      let open = 0
      const follow = (connection: Connection): void => {
        connection.on('authentication', (context) => context.accept())
        connection.on('session', (accept) => {
          accept().on('subsystem', (take) => {
            const stream = take()
            open++
            stream.on('close', () => open--)
            stream.once('data', () => {
              stream.write(Buffer.from(VERSION))
              stream.on('data', () => answer.length > 0 && stream.write(Buffer.from(answer)))
            })
          })
        })
      }
      await using server = await openStrangeSshd({ follow })

      for (const family of ['linux', 'windows'] as const) {
        const { channel } = await server.enter({ credentials: anyAccount, family }, cancel)
        const path = family === 'windows' ? 'C:\\x' : '/tmp/x'
        const calls = [
          () => channel.get({ path, bytesMax: 100 }, { signal: AbortSignal.timeout(500) }),
          () => channel.put({ path, bytes: Buffer.from('x'), executable: false }, { signal: AbortSignal.timeout(500) }),
        ]
        for (const call of calls) {
          const error = await call().catch((reason: unknown) => reason)
          expect(isAbort(error) || hasCode(error, 'guest-unreachable')).toBe(true)
        }
        await channel[Symbol.asyncDispose]()
      }
      await expect.poll(() => open, { timeout: 10_000 }).toBe(0)
    },
  )
})
