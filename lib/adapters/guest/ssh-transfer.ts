// Whole files over one SSH connection: through SFTP, written beside their place, compared by the guest's own digest, then moved there.

import { createHash } from 'node:crypto'
import { BackupError, messageOf } from '../../base/errors.ts'
import { anySignal, type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import { damaged, fileRefused, pathMissing } from './guest-path.ts'
import type { SshConnection } from './ssh-connection.ts'
import { type FileDoor, sftpFiles } from './ssh-files.ts'

/** A server whose start-up files speak answers no SFTP that anybody understands. */
const SFTP_OPEN_MS = 10_000
const CLOSE_MS = 2000
/** What is left of a file that came to nothing. */
const DISCARD_MS = 5000

export type Placed = { readonly kind: 'placed' } | { readonly kind: 'damaged'; readonly found: string }

export type GuestSide = {
  /** Where a file is written before it has its name. */
  draftOf(path: string): string
  /** Gives the draft its name if it has this SHA-256. @throws BackupError `guest-path-refused` */
  place(draft: { readonly from: string; readonly to: string; readonly needed: string }, cancel: Cancel): Promise<Placed>
  discard(draft: string, cancel: Cancel): Promise<unknown>
  digest: GuestChannel['digest']
  /** Null where rights come from the directory. */
  modeOf(executable: boolean): number | null
}

export function checkedFiles(door: FileDoor, guest: GuestSide): Pick<GuestChannel, 'put' | 'get'> {
  return {
    put: async ({ path, bytes, executable }, cancel) => {
      cancel.signal.throwIfAborted()
      const draft = guest.draftOf(path)
      try {
        await door.write({ path: draft, bytes, mode: guest.modeOf(executable) }, cancel)
        const needed = sha256(bytes)
        const placed = await guest.place({ from: draft, to: path, needed }, cancel)
        if (placed.kind === 'damaged') throw damaged(path, { needed, found: placed.found })
      } catch (error) {
        await guest.discard(draft, { signal: AbortSignal.timeout(DISCARD_MS) }).catch(() => undefined)
        // The draft's name says nothing to anybody.
        if (error instanceof BackupError && error.code === 'guest-path-missing') throw pathMissing(path, error)
        throw error
      }
    },
    get: async ({ path, bytesMax }, cancel) => {
      cancel.signal.throwIfAborted()
      const bytes = await door.read({ path, bytesMax }, cancel)
      const [needed, found] = [await guest.digest(path, cancel), sha256(bytes)]
      if (found !== needed) throw damaged(path, { needed, found })
      return bytes
    },
  }
}

/**
 * SFTP where there is one, else the other door. It is opened for each file and closed again: a server may allow one session at a time,
 * and the file's digest needs one.
 * @param options.toServer how the server writes a path of the guest
 * @param options.otherwise null: there is no other door, and no SFTP is a refusal
 */
export function sftpDoor(
  connection: SshConnection,
  options: { readonly toServer: (path: string) => string; readonly otherwise: FileDoor | null },
): FileDoor {
  const { toServer, otherwise } = options
  let useOther = false
  const through = async <Result>(
    call: (door: FileDoor) => Promise<Result>,
    { path, signal }: Cancel & { readonly path: string },
  ): Promise<Result> => {
    signal.throwIfAborted()
    if (useOther && otherwise !== null) return call(otherwise)
    let sftp: Awaited<ReturnType<SshConnection['sftp']>>
    try {
      sftp = await connection.sftp({ signal: withTimeLimit(signal, SFTP_OPEN_MS) })
    } catch (error) {
      signal.throwIfAborted()
      connection.lost.throwIfAborted()
      if (otherwise === null) throw fileRefused(path, `the server offers no SFTP (${messageOf(error)})`)
      useOther = true
      return call(otherwise)
    }
    try {
      return await held(call(sftpFiles(sftp, toServer)), { connection, signal })
    } finally {
      await closed(sftp)
    }
  }
  return {
    write: (file, { signal }) => through((door) => door.write(file, { signal }), { path: file.path, signal }),
    read: (file, { signal }) => through((door) => door.read(file, { signal }), { path: file.path, signal }),
  }
}

function closed(sftp: Awaited<ReturnType<SshConnection['sftp']>>): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, CLOSE_MS)
    sftp.once('close', () => {
      clearTimeout(late)
      resolve()
    })
    sftp.end()
  })
}

/** Ends early when the caller gives up or the connection is lost; ssh2 then never calls back. */
function held<Result>(
  work: Promise<Result>,
  { connection, signal }: Cancel & { readonly connection: SshConnection },
): Promise<Result> {
  const ends = anySignal([signal, connection.lost])
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(connection.lost.aborted ? connection.lost.reason : signal.reason)
    if (ends.aborted) abort()
    ends.addEventListener('abort', abort, { once: true })
    work
      .then(resolve, (error: unknown) => reject(connection.lost.aborted ? connection.lost.reason : error))
      .finally(() => ends.removeEventListener('abort', abort))
  })
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
