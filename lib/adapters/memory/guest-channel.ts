// A guest of this process: files in a map, programs as functions. For tests of what goes on in guests.

import { createHash } from 'node:crypto'
import { BackupError } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { GuestChannel, ProgramRequest, ProgramResult } from '../../ports/guest.ts'

/** What survives the channel: the guest itself. */
export type MemoryGuest = {
  readonly user: string
  readonly elevated: boolean
  readonly files: Map<string, Uint8Array>
  /** By path; a program that is not here cannot be run. */
  readonly programs: ReadonlyMap<string, MemoryProgram>
}

/** A program is killed by its signal; what it does after that, no guest would do. */
export type MemoryProgram = (request: ProgramRequest, guest: MemoryGuest, cancel: Cancel) => Promise<ProgramResult>

const STREAM_BYTES_MAX = 65_536

/** A file in a directory is a key below "<directory>/"; a directory is known by its own key with no bytes. */
export function memoryGuestChannel(guest: MemoryGuest): GuestChannel {
  let directories = 0
  const read = (path: string): Uint8Array => {
    const bytes = guest.files.get(path)
    if (bytes === undefined) throw missing('file', { path, code: 'guest-path-missing' })
    return bytes
  }
  return {
    kind: 'vix',
    family: 'linux',
    address: null,
    whoAmI: async ({ signal }) => {
      signal.throwIfAborted()
      return { user: guest.user, elevated: guest.elevated, whyNot: guest.elevated ? null : 'The account is not root' }
    },
    run: (request, cancel) => run(request, { guest, cancel }),
    makeDirectory: async ({ signal }) => {
      signal.throwIfAborted()
      const path = `/run/coldframe-${guest.files.size}-${++directories}`
      guest.files.set(`${path}/`, new Uint8Array())
      return path
    },
    put: async ({ path, bytes }, { signal }) => {
      signal.throwIfAborted()
      if (!guest.files.has(`${path.replace(/\/[^/]*$/, '')}/`)) {
        throw missing('directory of', { path, code: 'guest-path-missing' })
      }
      guest.files.set(path, bytes.slice())
    },
    get: async ({ path, bytesMax }, { signal }) => {
      signal.throwIfAborted()
      const bytes = read(path)
      if (bytes.byteLength > bytesMax) throw tooLarge(path, bytesMax)
      return bytes.slice()
    },
    digest: async (path, { signal }) => {
      signal.throwIfAborted()
      return createHash('sha256').update(read(path)).digest('hex')
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

async function run(
  request: ProgramRequest,
  { guest, cancel }: { readonly guest: MemoryGuest; readonly cancel: Cancel },
): Promise<ProgramResult> {
  cancel.signal.throwIfAborted()
  if (request.elevated && !guest.elevated) {
    throw new BackupError(`Cannot run "${request.program}" elevated: "${guest.user}" is not root`, {
      code: 'guest-elevation-refused',
      kind: 'refused',
    })
  }
  const program = guest.programs.get(request.program)
  if (program === undefined) throw missing('program', { path: request.program, code: 'guest-program-missing' })
  if (request.workingDirectory !== null && !guest.files.has(`${request.workingDirectory}/`)) {
    throw missing('directory', { path: request.workingDirectory, code: 'guest-path-missing' })
  }
  const signal = withTimeLimit(cancel.signal, request.timeoutMs)
  const running = program(request, guest, { signal }).catch((error: unknown) => {
    if (signal.aborted) return null
    throw error
  })
  const ended = await Promise.race([running, aborted(signal)])
  cancel.signal.throwIfAborted()
  if (ended === null) return { exitCode: null, timedOut: true, stdout: '', stderr: '' }
  return { ...ended, stdout: cut(ended.stdout), stderr: cut(ended.stderr) }
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }))
}

function cut(text: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, STREAM_BYTES_MAX), { stream: true })
}

function tooLarge(path: string, bytesMax: number): BackupError {
  return new BackupError(`Cannot fetch "${path}" from the guest: it is larger than ${bytesMax} bytes`, {
    code: 'guest-file-large',
    facts: { path, bytesMax },
  })
}

function missing(what: string, { path, code }: { readonly path: string; readonly code: string }): BackupError {
  return new BackupError(`Cannot find the ${what} "${path}" in the guest`, { code, facts: { path } })
}
