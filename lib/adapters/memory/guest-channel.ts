// A guest of this process: files in a map, programs as functions. For tests of what goes on in guests.

import { createHash } from 'node:crypto'
import { BackupError } from '../../base/errors.ts'
import type { GuestChannel, ProgramRequest, ProgramResult } from '../../ports/guest.ts'

/** What survives the channel: the guest itself. */
export type MemoryGuest = {
  readonly user: string
  readonly elevated: boolean
  readonly files: Map<string, Uint8Array>
  /** By path; a program that is not here cannot be run. */
  readonly programs: ReadonlyMap<string, (request: ProgramRequest, guest: MemoryGuest) => Promise<ProgramResult>>
}

const STREAM_CHARS_MAX = 65_536

/** A file in a directory is a key below "<directory>/"; a directory is known by its own key with no bytes. */
export function memoryGuestChannel(guest: MemoryGuest): GuestChannel {
  let directories = 0
  return {
    kind: 'vix',
    family: 'linux',
    address: null,
    whoAmI: async ({ signal }) => {
      signal.throwIfAborted()
      return { user: guest.user, elevated: guest.elevated, whyNot: guest.elevated ? null : 'The account is not root' }
    },
    run: async (request, { signal }) => {
      signal.throwIfAborted()
      const program = guest.programs.get(request.program)
      if (program === undefined) throw missing('program', request.program)
      const ended = await Promise.race([program(request, guest), timeout(request.timeoutMs)])
      if (ended === null) return { exitCode: null, timedOut: true, stdout: '', stderr: '' }
      const { stdout, stderr } = ended
      return { ...ended, stdout: stdout.slice(0, STREAM_CHARS_MAX), stderr: stderr.slice(0, STREAM_CHARS_MAX) }
    },
    makeDirectory: async ({ signal }) => {
      signal.throwIfAborted()
      const path = `/run/coldframe-${guest.files.size}-${++directories}`
      guest.files.set(`${path}/`, new Uint8Array())
      return path
    },
    put: async ({ path, bytes }, { signal }) => {
      signal.throwIfAborted()
      if (!guest.files.has(`${path.replace(/\/[^/]*$/, '')}/`)) throw missing('directory of', path)
      guest.files.set(path, bytes.slice())
    },
    get: async ({ path, bytesMax }, { signal }) => {
      signal.throwIfAborted()
      const bytes = guest.files.get(path)
      if (bytes === undefined) throw missing('file', path)
      if (bytes.byteLength > bytesMax) throw tooLarge(path, bytesMax)
      return bytes.slice()
    },
    digest: async (path, { signal }) => {
      signal.throwIfAborted()
      const bytes = guest.files.get(path)
      if (bytes === undefined) throw missing('file', path)
      return createHash('sha256').update(bytes).digest('hex')
    },
    remove: async (path, { signal }) => {
      signal.throwIfAborted()
      for (const name of [...guest.files.keys()]) {
        if (name === path || name.startsWith(`${path}/`)) guest.files.delete(name)
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

function timeout(ms: number): Promise<null> {
  return new Promise((resolve) => setTimeout(() => resolve(null), ms).unref())
}

function tooLarge(path: string, bytesMax: number): BackupError {
  return new BackupError(`Cannot fetch "${path}" from the guest: it is larger than ${bytesMax} bytes`, {
    code: 'guest-file-large',
    facts: { path, bytesMax },
  })
}

function missing(what: string, path: string): BackupError {
  return new BackupError(`Cannot find the ${what} "${path}" in the guest`, {
    code: 'guest-path-missing',
    facts: { path },
  })
}
