// Only a whole reply counts, whatever stands around it.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseReply, runOf } from '../../../lib/stages/guest/wrapper-reply.ts'
import { cancel, prepare, recording } from './wrapper-kit.ts'

const whole = [
  'coldframe-wrapper 1',
  'answer held',
  'script pre-freeze f/1/pre-freeze 0 0 1 12 5',
  'stderr 6772 c3b6',
  'stderr df',
  'end',
  '',
]

function read(stdout: string) {
  return parseReply({ exitCode: 0, timedOut: false, stdout, stderr: '' }, 'try it')
}

describe('a reply of the wrapper', () => {
  it('is found among noise, with the line ends of any guest', () => {
    for (const newline of ['\n', '\r\n'])
      for (const noise of ['', `Welcome to the guest${newline}`, `end${newline}answer late${newline}`]) {
        const reply = read(`${noise}${whole.join(newline)}${noise}`)
        expect(reply.text('answer')).toBe('held')
        expect(runOf(reply)).toMatchObject({
          run: { stage: 'pre-freeze', exitCode: 0, succeeded: true, elapsedMs: 12, stderr: 'grö\ufffd' },
          path: 'f/1/pre-freeze',
          stderrBytes: 5,
        })
      }
  })

  it('is refused at whatever place it breaks off', () => {
    const text = whole.join('\n')
    fc.assert(
      fc.property(fc.nat(text.length - 'end\n'.length - 1), (length) => {
        expect(() => read(text.slice(0, length))).toThrow(/^Cannot try it in the guest: /)
      }),
    )
  })

  it('never makes a success of what it does not understand', () => {
    for (const [line, changed] of [
      [2, 'script pre-freeze f/1/pre-freeze - 0 1 12 5'],
      [2, 'script pre-freeze f/1/pre-freeze 0 1 1 12 5'],
      [2, 'script pre-freeze f/1/pre-freeze 0 0 yes 12 5'],
      [2, 'script before f/1/pre-freeze 0 0 1 12 5'],
      [2, 'script pre-freeze f/1/pre-freeze x 0 1 12 5'],
      [2, 'script pre-freeze f/1/pre-freeze 0 0 1 12'],
      [3, 'stderr 6g'],
    ] as const)
      expect(() => runOf(read(whole.with(line, changed).join('\n'))), changed).toThrow(/^Cannot try it in the guest: /)
  })

  it('that refuses becomes an error with its code, its reason and a hint', () => {
    const text = 'coldframe-wrapper 1\nrefused guest-no-memory-place\nreason No room\nend\n'
    expect(() => read(text)).toThrow(
      expect.objectContaining({
        code: 'guest-no-memory-place',
        message: 'Cannot try it in the guest: No room',
        hint: expect.stringContaining('tmpfs'),
      }),
    )
  })

  it('that does not come is shown by what came instead, at most 200 characters of it', () => {
    const result = { exitCode: 127, timedOut: false, stdout: '', stderr: `sh: not found ${'x'.repeat(300)}` }
    expect(() => parseReply(result, 'try it')).toThrow(
      expect.objectContaining({
        code: 'guest-wrapper-reply',
        message: expect.stringMatching(/the wrapper did not answer; it said "sh: not found x{186}…"$/),
      }),
    )
  })

  it('survives an account whose shell greets it', async () => {
    const environment = { GREETING: 'Welcome' }
    await using made = await prepare({ scripts: recording, environment })

    const channel = made.channel
    const noisy = {
      ...channel,
      run: async (...args: Parameters<typeof channel.run>) => {
        const result = await channel.run(...args)
        return { ...result, stdout: `Last login: never${result.stdout}logout` }
      },
    }
    const answer = await noisy.run(
      {
        program: '/bin/sh',
        args: [`${made.place.path}/wrapper.sh`, 'now'],
        environment,
        workingDirectory: null,
        timeoutMs: 10_000,
        elevated: false,
      },
      cancel,
    )
    expect(Number(parseReply(answer, 'read the clock').text('now'))).toBeGreaterThan(0)
  })
})
