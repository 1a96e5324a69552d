// What the tests of the wrapper share: a guest with a workspace in it, and scripts that keep a record of what they do.

import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GuestChannel } from '../../../lib/ports/guest.ts'
import { freezeGuest, guestNowMs, type ThawRequest, thawGuest } from '../../../lib/stages/guest/freeze.ts'
import { installWorkspace } from '../../../lib/stages/guest/workspace.ts'
import type { FreezeRequest, LoadedScript, WrapperPlace } from '../../../lib/stages/guest/wrapper.ts'
import { type ChannelOptions, openProcessGuest, type ProcessGuest } from '../../kit/process-guest.ts'

export const cancel = { signal: new AbortController().signal }

/** A script that is no bundle. */
export function script(stage: LoadedScript['stage'], text: string, more: Partial<LoadedScript> = {}): LoadedScript {
  const bytes = new TextEncoder().encode(text)
  return bundle(stage, bytes, { fileName: `${stage}.sh`, entry: `${stage}.sh`, ...more })
}

export function bundle(stage: LoadedScript['stage'], bytes: Uint8Array, more: Partial<LoadedScript>): LoadedScript {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const entry = `${stage}.sh`
  return { stage, fileName: `${stage}.tgz`, bytes, sha256, entry, timeoutMs: 20_000, successCodes: [0], ...more }
}

export type Prepared = AsyncDisposable & {
  readonly guest: ProcessGuest
  readonly channel: GuestChannel
  readonly place: WrapperPlace
  readonly token: string
  freeze(request?: Partial<FreezeRequest>): ReturnType<typeof freezeGuest>
  thaw(request?: Partial<ThawRequest>): ReturnType<typeof thawGuest>
  /** The lines that scripts wrote to the file `name` on the guest's disk; none when there is no such file. */
  lines(name?: string): Promise<readonly string[]>
}

export type Preparation = {
  /** `DISK` in their texts stands for the guest's disk. */
  readonly scripts: readonly LoadedScript[]
  readonly environment?: Readonly<Record<string, string>>
  readonly channel?: ChannelOptions
  readonly elevated?: boolean
}

/** A guest with a workspace. */
export async function prepare(preparation: Preparation): Promise<Prepared> {
  const guest = await openProcessGuest()
  try {
    return await prepareIn(guest, preparation)
  } catch (error) {
    await guest[Symbol.asyncDispose]()
    throw error
  }
}

/** Lays a workspace into a guest; disposing disposes of the guest. */
export async function prepareIn(
  guest: ProcessGuest,
  { scripts, environment = {}, channel: options = {}, elevated = false }: Preparation,
): Promise<Prepared> {
  const channel = guest.open(options)
  const token = randomBytes(16).toString('hex')
  const told = { DISK: guest.place.disk, ...environment }
  const { path } = await installWorkspace(channel, { token, elevated, scripts, environment: told }, cancel)
  return prepared({ guest, channel, token, place: { family: 'linux', path, elevated } })
}

/** The same workspace through another channel. */
export function through({ guest, token, place }: Prepared, channel: GuestChannel): Prepared {
  return prepared({ guest, token, place, channel })
}

function prepared(made: Pick<Prepared, 'guest' | 'channel' | 'place' | 'token'>): Prepared {
  const { guest, channel, place } = made
  return {
    ...made,
    freeze: async (request = {}) => {
      const notAfterMs = (await guestNowMs(channel, place, cancel)) + 60_000
      const whole = { number: 1, limitMs: 30_000, notAfterMs, ...request }
      return freezeGuest(channel, { place, request: whole }, cancel)
    },
    thaw: (request = {}) => thawGuest(channel, { place, request: { number: 1, by: 'capture', ...request } }, cancel),
    lines: (name = 'record') => linesOf(join(guest.place.disk, name)),
    [Symbol.asyncDispose]: () => guest[Symbol.asyncDispose](),
  }
}

export async function linesOf(path: string): Promise<readonly string[]> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}

/** Scripts that write "freeze" and "thaw" with the guest's clock to the record. */
export const recording = [
  script('pre-freeze', '#!/bin/sh\nread -r up rest < /proc/uptime\necho "freeze $up" >> "$DISK/record"\n'),
  script('post-thaw', '#!/bin/sh\nread -r up rest < /proc/uptime\necho "thaw $up" >> "$DISK/record"\n'),
]
