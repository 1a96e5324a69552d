// The channel into a guest with a POSIX shell, over one SSH connection.

import { createHash } from 'node:crypto'
import { BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { GuestIdentity } from '../../model/guest.ts'
import type { GuestChannel, ProgramRequest, ProgramResult } from '../../ports/guest.ts'
import { damaged, fileRefused, pathMissing, refuseRemoval } from './guest-path.ts'
import { bootstrapCommand, killCommands, programScript, quoteWord, scriptText } from './posix-script.ts'
import { shellFiles } from './shell-files.ts'
import type { SshConnection } from './ssh-connection.ts'
import { type FileDoor, sftpFiles } from './ssh-files.ts'
import {
  type ScriptEnd,
  type ShellDialect,
  type SshShell,
  STREAM_BYTES_MAX,
  sshShell,
  sudoersLine,
} from './ssh-shell.ts'
import { unreachable } from './unreachable.ts'

/** For scripts of ours; digests of large files take the longest. */
const OWN_SCRIPT_MS = 600_000
/** A server whose start-up files speak answers no SFTP that anybody understands. */
const SFTP_OPEN_MS = 10_000
const CLOSE_MS = 2000

/**
 * Files are the account's own: what an elevated program left in a directory of root's, remove() cannot remove; an elevated program
 * has to. A program that makes a session of its own (setsid) outlives run() by intention and is not killed with it.
 */
export function posixChannel(connection: SshConnection, { random }: { readonly random: Random }): GuestChannel {
  const dialect: ShellDialect = {
    bootstrap: bootstrapCommand,
    kill: (session, mark) => scriptText(killCommands(session), { mark, input: false }),
  }
  const shell = sshShell(connection, { random, dialect })
  const files = fileDoor(connection, { shell })
  const own = (commands: string, { signal }: Cancel) => ownScript(shell, { commands, connection, signal })
  const token = () => Buffer.from(random.bytes(16)).toString('hex')
  const digest = async (path: string, cancel: Cancel) => digestOf(path, await own(digestCommands(path), cancel))
  return {
    kind: 'ssh',
    family: 'linux',
    address: connection.door.address,
    whoAmI: (cancel) => whoAmI({ shell, connection, ...cancel }),
    run: (request, cancel) => runProgram(shell, { request, ...cancel }),
    makeDirectory: async (cancel) => {
      const { word, stdout } = await own(directoryCommands(token()), cancel)
      if (word !== 'made')
        throw fileRefused('the temporary directory', `a directory in it cannot be made (${textOf(stdout)})`)
      return textOf(stdout)
    },
    put: async ({ path, bytes, executable }, cancel) => {
      cancel.signal.throwIfAborted()
      const draft = path.replace(/[^/]*$/, `.coldframe-${token()}`)
      try {
        await files.write({ path: draft, bytes, mode: executable ? 0o700 : 0o600 }, cancel)
        const needed = sha256(bytes)
        const { word, stdout } = await own(placeCommands({ from: draft, to: path, needed }), cancel)
        if (word === 'damaged') throw damaged(path, { needed, found: textOf(stdout) })
        if (word !== 'placed') throw fileRefused(path, textOf(stdout))
      } catch (error) {
        await own(`begin ready 0; rm -f -- ${quoteWord(draft)}`, { signal: AbortSignal.timeout(SFTP_OPEN_MS) }).catch(
          () => undefined,
        )
        // The draft's name says nothing to anybody.
        if (error instanceof BackupError && error.code === 'guest-path-missing') throw pathMissing(path, error)
        throw error
      }
    },
    get: async ({ path, bytesMax }, cancel) => {
      cancel.signal.throwIfAborted()
      const bytes = await files.read({ path, bytesMax }, cancel)
      const [needed, found] = [await digest(path, cancel), sha256(bytes)]
      if (found !== needed) throw damaged(path, { needed, found })
      return bytes
    },
    digest,
    remove: async (path, cancel) => {
      refuseRemoval(path, 'linux')
      const { word, stdout } = await own(removeCommands(path), cancel)
      if (word !== 'gone') throw fileRefused(path, `it cannot be removed (${textOf(stdout)})`)
    },
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  }
}

async function runProgram(
  shell: SshShell,
  { request, signal }: Cancel & { readonly request: ProgramRequest },
): Promise<ProgramResult> {
  const { elevated, timeoutMs, program, workingDirectory } = request
  const end = await shell.run(
    {
      text: (mark) => programScript(request, mark),
      elevated,
      input: null,
      stdoutBytesMax: STREAM_BYTES_MAX,
      timeoutMs,
    },
    { signal },
  )
  if (end.word === 'missing') {
    throw new BackupError(`Cannot run "${program}" in the guest: there is no such program, or it may not be run`, {
      code: 'guest-program-missing',
      facts: { program },
    })
  }
  if (end.word === 'directory-absent') throw pathMissing(workingDirectory ?? '')
  if (end.word === 'directory-refused') throw fileRefused(workingDirectory ?? '', 'no program can be started in it')
  const { exitCode, timedOut, stdout, stderr } = end
  return { exitCode, timedOut, stdout: decode(stdout), stderr: decode(stderr) }
}

async function whoAmI(
  context: Cancel & { readonly shell: SshShell; readonly connection: SshConnection },
): Promise<GuestIdentity> {
  const { shell, connection, signal } = context
  const { stdout } = await ownScript(shell, { commands: 'begin ready 0; id -un; id -u', connection, signal })
  const [user = '', uid = ''] = textOf(stdout).split('\n')
  if (uid === '0') return { user, elevated: true, whyNot: null }
  try {
    const commands = 'begin ready 0; id -u'
    const end = await ownScript(shell, { commands, connection, signal, elevated: true })
    if (textOf(end.stdout) === '0') return { user, elevated: true, whyNot: null }
    return { user, elevated: false, whyNot: `"${user}" is not root, and sudo gives another account than root` }
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== 'guest-elevation-refused') throw error
    const whyNot = `"${user}" is not root, and sudo refuses it without a password; this line of sudoers would allow it: ${sudoersLine(user)}`
    return { user, elevated: false, whyNot }
  }
}

async function ownScript(
  shell: SshShell,
  options: Cancel & { readonly commands: string; readonly connection: SshConnection; readonly elevated?: boolean },
): Promise<ScriptEnd> {
  const { commands, connection, signal, elevated = false } = options
  const request = { elevated, input: null, stdoutBytesMax: STREAM_BYTES_MAX, timeoutMs: OWN_SCRIPT_MS }
  const end = await shell.run({ ...request, text: (mark) => scriptText(commands, { mark, input: false }) }, { signal })
  if (!end.timedOut) return end
  throw unreachable(connection.door, { reason: `a command did not end within ${OWN_SCRIPT_MS} ms`, cause: undefined })
}

/**
 * SFTP where there is one, else `cat`. It is opened for each file and closed again: a server may allow one session at a time, and
 * the file's digest needs one.
 */
function fileDoor(connection: SshConnection, { shell }: { readonly shell: SshShell }): FileDoor {
  const byShell = shellFiles(shell)
  let useShell = false
  const through = async <Result>(call: (door: FileDoor) => Promise<Result>, { signal }: Cancel): Promise<Result> => {
    signal.throwIfAborted()
    if (useShell) return call(byShell)
    let sftp: Awaited<ReturnType<SshConnection['sftp']>>
    try {
      sftp = await connection.sftp({ signal: withTimeLimit(signal, SFTP_OPEN_MS) })
    } catch {
      signal.throwIfAborted()
      connection.lost.throwIfAborted()
      useShell = true
      return call(byShell)
    }
    try {
      return await held(call(sftpFiles(sftp, (path) => path)), { connection, signal })
    } finally {
      await closed(sftp)
    }
  }
  return {
    write: (file, cancel) => through((door) => door.write(file, cancel), cancel),
    read: (file, cancel) => through((door) => door.read(file, cancel), cancel),
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
  const ends = AbortSignal.any([signal, connection.lost])
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(connection.lost.aborted ? connection.lost.reason : signal.reason)
    if (ends.aborted) abort()
    ends.addEventListener('abort', abort, { once: true })
    work
      .then(resolve, (error: unknown) => reject(connection.lost.aborted ? connection.lost.reason : error))
      .finally(() => ends.removeEventListener('abort', abort))
  })
}

const sumFunction = `sum() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum
  elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256
  else shasum -a 256; fi | tr -c 0-9a-f '\\n' | grep -E '^[0-9a-f]{64}$'
}`

function digestCommands(path: string): string {
  const file = quoteWord(path)
  return `${sumFunction}
if { true <${file}; } 2>/dev/null && test ! -d ${file}; then begin ready 0; sum <${file}; else begin "$(look ${file})" 0; fi`
}

function digestOf(path: string, { word, stdout, stderr }: ScriptEnd): string {
  if (word === 'absent') throw pathMissing(path)
  const digest = /\b[0-9a-f]{64}\b/.exec(decode(stdout))?.[0]
  if (word === 'ready' && digest !== undefined) return digest
  const reason =
    word === 'ready' ? `the guest cannot compute its SHA-256 ${decode(stderr)}`.trim() : 'it cannot be read'
  throw fileRefused(path, reason)
}

function directoryCommands(token: string): string {
  return `umask 077; directory=\${TMPDIR:-/tmp}/coldframe-${token}
if words=$(mkdir -- "$directory" 2>&1) && cd -- "$directory"; then begin made 0; pwd -P; else begin refused 0; echo "$words"; fi`
}

/** Checks the draft and gives it its name. A directory of that name must not swallow it, as mv would let it. */
function placeCommands(draft: { readonly from: string; readonly to: string; readonly needed: string }): string {
  const [source, target] = [quoteWord(draft.from), quoteWord(draft.to)]
  return `${sumFunction}
if test -d ${target}; then begin refused 0; echo 'it is a directory'; exit 0; fi
found=$(sum <${source}) || { begin refused 0; echo 'the guest has no sha256sum, openssl or shasum'; exit 0; }
if test "$found" != ${draft.needed}; then begin damaged 0; echo "$found"
elif words=$(mv -f -- ${source} ${target} 2>&1); then begin placed 0
else begin refused 0; echo "$words"; fi`
}

function removeCommands(path: string): string {
  const file = quoteWord(path)
  return `words=$(rm -rf -- ${file} 2>&1)
if test -e ${file} || test -L ${file}; then begin left 0; echo "$words"; else
case $(LC_ALL=C ls -d -- ${file} 2>&1) in *ermission*) begin left 0; echo "$words" ;; *) begin gone 0 ;; esac; fi`
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A character that the cut at 64 KiB halved is left out. */
function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: bytes.byteLength >= STREAM_BYTES_MAX })
}

function textOf(bytes: Uint8Array): string {
  return decode(bytes).replace(/\n$/, '')
}
