// The wrapper with the largest bundle that is taken, and with names that are not ASCII, laid into a guest behind Debian's sshd.

import { createHash, randomBytes } from 'node:crypto'
import { statfsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { MiB } from '../../lib/base/bytes.ts'
import { freezeGuest, guestNowMs, thawGuest } from '../../lib/stages/guest/freeze.ts'
import { installWorkspace, removeWorkspace } from '../../lib/stages/guest/workspace.ts'
import { accountsSkip, openAccount } from '../kit/guest-account.ts'
import { peerSkip } from '../kit/peers.ts'
import { enterChannel, openSshGuest } from '../kit/ssh-guest.ts'
import { makeArchive } from '../stages/guest/archives.ts'

const cancel = { signal: new AbortController().signal }
const memory = '/dev/shm'
const skip = peerSkip('sshd') || accountsSkip() !== undefined || freeBytes() < 512 * MiB

function freeBytes(): number {
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize
}

/** A tar, packed to a little less than 64 MiB, whose one script writes the size of what lies beside it. */
function largeBundle(entry: string): Promise<Uint8Array> {
  return makeArchive(`head -c ${64 * MiB - 100_000} /dev/urandom >'größe 日本.bin'
printf '#!/bin/sh\\nwc -c <"größe 日本.bin" >"$DISK/size"\\n' >'${entry}'
tar -cf - . | gzip -1 >"$OUT"`)
}

describe.skipIf(skip)('a workspace over ssh', { timeout: 120_000 }, () => {
  it.each(['internal', 'off'] as const)(
    'takes a bundle of 64 MiB with names of any alphabet, SFTP %s',
    async (sftp) => {
      await using stack = new AsyncDisposableStack()
      // Of its own: other tests look whether anything is left in the usual places.
      const folder = await mkdtemp(join(memory, 'coldframe-size-'))
      stack.defer(() => rm(folder, { recursive: true, force: true }))
      await chmod(folder, 0o1777)
      await using account = await openAccount({ sudo: 'allowed' })
      const environment = { COLDFRAME_GUEST_DIRECTORY: folder }
      await using guest = await openSshGuest({ sftp, user: account.user, environment })
      await using channel = await enterChannel(guest)

      const entry = 'einfrieren größe 日本.sh'
      const bytes = await largeBundle(entry)
      expect(bytes.byteLength).toBeGreaterThan(63 * MiB)
      const limits = { timeoutMs: 60_000, successCodes: [0] }
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      const preFreeze = { stage: 'pre-freeze', fileName: 'bündel 日本.tgz', bytes, sha256, entry, ...limits } as const
      const scripts = [preFreeze, thawScript(limits)]
      const token = randomBytes(16).toString('hex')
      const told = { DISK: folder, WORT: 'größe, 日本語' }

      const began = performance.now()
      const { path } = await installWorkspace(channel, { token, elevated: true, scripts, environment: told }, cancel)
      process.stderr.write(`64 MiB installed over ssh, SFTP ${sftp}: ${Math.round(performance.now() - began)} ms\n`)
      const place = { family: 'linux', path, elevated: true } as const
      const request = { number: 1, limitMs: 60_000, notAfterMs: (await guestNowMs(channel, place, cancel)) + 60_000 }
      expect(await freezeGuest(channel, { place, request }, cancel)).toMatchObject({ kind: 'held' })
      expect(await thawGuest(channel, { place, request: { number: 1, by: 'capture' } }, cancel)).toMatchObject({
        by: 'capture',
      })
      expect((await readFile(join(folder, 'size'), 'utf8')).trim()).toBe(String(64 * MiB - 100_000))
      expect(await readFile(join(folder, 'wort'), 'utf8')).toBe('größe, 日本語\n')
      await removeWorkspace(channel, place, cancel)
      expect(dirname(path)).toBe(folder)
      expect((await readdir(folder)).toSorted()).toEqual(['size', 'wort'])
    },
  )
})

function thawScript(limits: { readonly timeoutMs: number; readonly successCodes: readonly number[] }) {
  const bytes = new TextEncoder().encode('#!/bin/sh\nprintf "%s\\n" "$WORT" >"$DISK/wort"\n')
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { stage: 'post-thaw', fileName: 'täuen.sh', entry: 'täuen.sh', bytes, sha256, ...limits } as const
}
