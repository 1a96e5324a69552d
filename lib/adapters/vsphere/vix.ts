// The VMware Tools channel: programs and files in a guest through vCenter's guest operations, without any network to it.
//
// Nothing elevates here: programs run as the account itself. The Linux half runs in tests on real shells; the Windows half
// and real VMware Tools have not been met.

import { createHash } from 'node:crypto'
import { BackupError, hasCode, malformed } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import { faultNameOf } from './faults.ts'
import type { VimSession } from './session.ts'
import { replyMalformed, typed } from './values.ts'
import { type GuestCalls, openGuestCalls, type VixAccount } from './vix-calls.ts'
import { type GuestFiles, guestFiles } from './vix-files.ts'
import { transferHosts } from './vix-host.ts'
import { posixShell } from './vix-posix.ts'
import { type GuestRuns, type GuestShell, guestRuns } from './vix-run.ts'
import { windowsShell } from './vix-windows.ts'

/** The name of a directory for runs, which the script knows too when it looks for old ones. */
const RUNS_PREFIX = 'coldframe-vix-'
const DIGEST_LIMIT_MS = 10 * 60_000
const IDENTITY_LIMIT_MS = 60_000
const CLOSE_LIMIT_MS = 10_000

type Inside = {
  readonly calls: GuestCalls
  readonly files: GuestFiles
  readonly runs: GuestRuns
  readonly shell: GuestShell
  readonly user: string
}

/** @throws BackupError see VsphereSession.openGuest() */
export async function openVix(session: VimSession, account: VixAccount, cancel: Cancel): Promise<GuestChannel> {
  const { family, user } = account
  const calls = await openGuestCalls(session, account, cancel)
  await logIn(calls, account, cancel)
  const shell = family === 'linux' ? posixShell : windowsShell
  const hosts = transferHosts(session, account.vm)
  const files = guestFiles({ session, calls, hosts, family })
  const makeDirectory = (storage: string | null, inner: Cancel) => makeRunsDirectory({ calls, shell }, storage, inner)
  const runs = guestRuns({ calls, files, shell, clock: session.settings.clock, makeDirectory, user })
  const inside: Inside = { calls, files, runs, shell, user }
  return {
    kind: 'vix',
    family,
    address: null,
    run: runs.run,
    whoAmI: async (inner) => {
      const request = { ...shell.identify, environment: {}, workingDirectory: null, elevated: false }
      const { stdout } = await runs.run({ ...request, timeoutMs: IDENTITY_LIMIT_MS }, inner)
      return shell.identityOf(stdout, user)
    },
    makeDirectory: (inner) => makePrivateDirectory(inside, { prefix: 'coldframe-', parent: null }, inner),
    put: (file, inner) => put(inside, file, inner),
    get: (file, inner) => get(inside, file, inner),
    digest: (path, inner) => digest(inside, absolute(shell, path), inner),
    remove: (path, inner) => remove(inside, removable(shell, path), inner),
    [Symbol.asyncDispose]: async () => {
      await removeRuns(inside)
      hosts[Symbol.dispose]()
    },
  }
}

async function logIn(calls: GuestCalls, { vm, user }: VixAccount, cancel: Cancel): Promise<void> {
  const what = `Cannot log in to the guest of VM "${vm}" as "${user}" through VMware Tools`
  const method = 'ValidateCredentialsInGuest'
  try {
    await calls({ to: 'authManager', method, args: {}, what, repeat: 'here' }, cancel)
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== 'guest-path-refused') throw error
    const { kind, facts } = error
    throw new BackupError(error.message, { code: 'guest-login-refused', kind, facts, cause: error })
  }
}

function absolute(shell: GuestShell, path: string): string {
  if (shell.isAbsolute(path)) return path
  throw malformed('path in the guest', path, 'must be absolute')
}

/** What would take more than is meant, the whole disk for example, is never removed. */
function removable(shell: GuestShell, path: string): string {
  const parts = absolute(shell, path).split(shell.family === 'windows' ? /[\\/]/ : '/')
  const below = parts.slice(1).filter((part) => part !== '' && part !== '.')
  if (below.length > 0 && !below.includes('..') && !path.startsWith('\\\\')) return path
  throw new BackupError(`Cannot remove "${path}" in the guest: it must lie below the root, and have no ".." in it`, {
    code: 'guest-path-refused',
    kind: 'refused',
    facts: { path },
  })
}

async function makeRunsDirectory(
  inside: Pick<Inside, 'calls' | 'shell'>,
  storage: string | null,
  cancel: Cancel,
): Promise<string> {
  if (storage !== null) {
    try {
      return await makePrivateDirectory(inside, { prefix: RUNS_PREFIX, parent: storage }, cancel)
    } catch (error) {
      const elsewhere = ['guest-path-missing', 'guest-path-refused', 'guest-operation-failed'].some((code) =>
        hasCode(error, code),
      )
      if (!elsewhere) throw error
    }
  }
  return makePrivateDirectory(inside, { prefix: RUNS_PREFIX, parent: null }, cancel)
}

async function makePrivateDirectory(
  { calls, shell }: Pick<Inside, 'calls' | 'shell'>,
  { prefix, parent }: { readonly prefix: string; readonly parent: string | null },
  cancel: Cancel,
): Promise<string> {
  cancel.signal.throwIfAborted()
  const what = `Cannot make a directory in the guest${parent === null ? '' : ` in "${parent}"`}`
  const args = { prefix, suffix: '', directoryPath: parent ?? undefined }
  const call = { method: 'CreateTemporaryDirectoryInGuest', args, what, repeat: 'never' } as const
  const path = await calls({ to: 'fileManager', ...call }, cancel)
  if (typeof path !== 'string' || !shell.isAbsolute(path)) throw replyMalformed('it names no directory in the guest')
  if (shell.family === 'windows') return path
  // Tools make it for the account alone, but the interface does not promise that.
  const attributes = typed('GuestPosixFileAttributes', { permissions: 0o700 })
  const change = { method: 'ChangeFileAttributesInGuest', what: `Cannot make "${path}" in the guest private` } as const
  const changed = { guestFilePath: path, fileAttributes: attributes }
  await calls({ to: 'fileManager', ...change, args: changed, repeat: 'here' }, cancel)
  return path
}

async function put(
  inside: Inside,
  { path, bytes, executable }: Parameters<GuestChannel['put']>[0],
  cancel: Cancel,
): Promise<void> {
  cancel.signal.throwIfAborted()
  await inside.files.upload({ path: absolute(inside.shell, path), bytes, executable }, cancel)
  await compare(inside, { path, bytes, what: `Cannot write "${path}" in the guest` }, cancel)
}

async function get(
  inside: Inside,
  { path, bytesMax }: Parameters<GuestChannel['get']>[0],
  cancel: Cancel,
): Promise<Uint8Array> {
  cancel.signal.throwIfAborted()
  const bytes = await inside.files.download({ path: absolute(inside.shell, path), bytesMax }, cancel)
  await compare(inside, { path, bytes, what: `Cannot read "${path}" in the guest` }, cancel)
  return bytes
}

async function compare(
  inside: Inside,
  { path, bytes, what }: { readonly path: string; readonly bytes: Uint8Array; readonly what: string },
  cancel: Cancel,
): Promise<void> {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const inGuest = await digest(inside, path, cancel)
  if (inGuest === sha256) return
  throw new BackupError(`${what}: the guest has other bytes: SHA-256 "${inGuest}", sent or received were "${sha256}"`, {
    code: 'guest-file-damaged',
    kind: 'integrity',
    retry: 'later',
    facts: { path, inGuest, sha256 },
  })
}

async function digest(inside: Inside, path: string, cancel: Cancel): Promise<string> {
  cancel.signal.throwIfAborted()
  const what = `Cannot compute the digest of "${path}" in the guest`
  const request = { ...inside.shell.digest(path), environment: {}, workingDirectory: null, elevated: false }
  const { stdout, stderr, exitCode } = await inside.runs.run({ ...request, timeoutMs: DIGEST_LIMIT_MS }, cancel)
  const [sha256] = /^[0-9a-f]{64}/i.exec(stdout) ?? []
  if (exitCode === 0 && sha256 !== undefined) return sha256.toLowerCase()
  // Tools tell what is absent from what the account may not see.
  if (exitCode === 44) await look(inside, { path, what }, cancel)
  if (exitCode === 43)
    throw new BackupError(`${what}: it has none of sha256sum, shasum and openssl`, {
      code: 'guest-program-missing',
      kind: 'not-found',
    })
  throw new BackupError(`${what}: exit code ${exitCode}, "${stderr.trim().slice(0, 200)}"`, {
    code: 'guest-digest-failed',
    facts: { path, exitCode },
  })
}

/** @throws BackupError `guest-path-missing` when nothing is there, and what else Tools say */
async function look(
  { calls }: Inside,
  { path, what }: { readonly path: string; readonly what: string },
  cancel: Cancel,
): Promise<void> {
  const args = { filePath: path, maxResults: 1 }
  await calls({ to: 'fileManager', method: 'ListFilesInGuest', args, what, repeat: 'here' }, cancel)
}

async function remove(inside: Inside, path: string, cancel: Cancel): Promise<void> {
  cancel.signal.throwIfAborted()
  const what = `Cannot remove "${path}" in the guest`
  const ask = (method: string, args: Readonly<Record<string, string | boolean>>) =>
    inside.calls({ to: 'fileManager', method, args, what, repeat: 'here' }, cancel)
  try {
    await ask('DeleteDirectoryInGuest', { directoryPath: path, recursive: true })
  } catch (error) {
    const isFile = faultNameOf(error) === 'NotADirectory'
    if (!isFile && !hasCode(error, 'guest-path-missing')) throw error
    if (!isFile) return
    await ask('DeleteFileInGuest', { filePath: path }).catch(absentIsFine)
  }
  if (await look(inside, { path, what }, cancel).then(() => true, absentIsFine))
    throw new BackupError(`${what}: it is still there`, {
      code: 'guest-remove-failed',
      retry: 'later',
      facts: { path },
    })
}

function absentIsFine(error: unknown): false {
  if (hasCode(error, 'guest-path-missing')) return false
  throw error
}

/** Best effort: what stays is removed by the first run of a later channel, a day after. */
async function removeRuns(inside: Inside): Promise<void> {
  const directory = inside.runs.directory()
  if (directory === null) return
  const cancel = { signal: withTimeLimit(new AbortController().signal, CLOSE_LIMIT_MS) }
  await remove(inside, directory, cancel).catch(() => undefined)
}
