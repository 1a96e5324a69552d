// What every way into a guest keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import type { GuestChannel } from '../../lib/ports/guest.ts'

const cancel = { signal: new AbortController().signal }

export type OpenedGuest = {
  readonly channel: GuestChannel
  /** A program that prints its first argument and the variable WORD, complains on stderr, and exits with 3. */
  readonly echo: string
  /** A program that never ends by itself. */
  readonly sleeper: string
} & AsyncDisposable

const plain = { environment: {}, workingDirectory: null, timeoutMs: 10_000, elevated: false }

export function guestChannelContract(name: string, open: () => Promise<OpenedGuest>): void {
  describe(`guest channel: ${name}`, () => {
    it('says who we are', async () => {
      await using guest = await open()

      const { user, elevated } = await guest.channel.whoAmI(cancel)
      expect(user).not.toBe('')
      expect(typeof elevated).toBe('boolean')
    })

    it('runs a program with arguments and environment, and gives both streams and the exit code', async () => {
      await using guest = await open()

      const request = { ...plain, program: guest.echo, args: ['ünïcode and "quotes"'], environment: { WORD: 'freeze' } }
      const { exitCode, timedOut, stdout, stderr } = await guest.channel.run(request, cancel)
      expect({ exitCode, timedOut }).toEqual({ exitCode: 3, timedOut: false })
      expect(stdout).toContain('ünïcode and "quotes"')
      expect(stdout).toContain('freeze')
      expect(stderr).not.toBe('')
    })

    it('says that a program timed out, without an exit code', async () => {
      await using guest = await open()

      const request = { ...plain, program: guest.sleeper, args: [], timeoutMs: 200 }
      expect(await guest.channel.run(request, cancel)).toMatchObject({ timedOut: true, exitCode: null })
    })

    it('keeps files byte for byte in a fresh directory, and removes it with everything in it', async () => {
      await using guest = await open()

      const { channel } = guest
      const directory = await channel.makeDirectory(cancel)
      expect(await channel.makeDirectory(cancel)).not.toBe(directory)
      const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 31) & 0xff)
      await channel.put({ path: `${directory}/größe.bin`, bytes, executable: false }, cancel)
      expect(await channel.get({ path: `${directory}/größe.bin`, bytesMax: 100_000 }, cancel)).toEqual(bytes)
      await channel.remove(directory, cancel)
      await expect(channel.get({ path: `${directory}/größe.bin`, bytesMax: 100_000 }, cancel)).rejects.toMatchObject({
        code: 'guest-path-missing',
      })
      await channel.remove(directory, cancel)
    })

    it('does nothing for a caller that has been cancelled', async () => {
      await using guest = await open()

      await expect(guest.channel.whoAmI({ signal: AbortSignal.abort(new Error('over')) })).rejects.toThrow('over')
    })
  })
}
