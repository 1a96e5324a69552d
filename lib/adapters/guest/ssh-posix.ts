// The channel into a guest with a POSIX shell, over one SSH connection.

import { BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestIdentity } from '../../model/guest.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import { fileRefused, pathMissing, refuseRemoval } from './guest-path.ts'
import { bootstrapCommand, killCommands, programScript, quoteWord, scriptText } from './posix-script.ts'
import { shellFiles } from './shell-files.ts'
import type { SshConnection } from './ssh-connection.ts'
import { decodeStream, type OwnScript, ownScripts, programMissing, runProgram } from './ssh-program.ts'
import { type ScriptEnd, type ShellDialect, sshShell, sudoersLine } from './ssh-shell.ts'
import { checkedFiles, sftpDoor } from './ssh-transfer.ts'

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
  const own = ownScripts(shell, { connection, text: scriptText })
  const token = () => Buffer.from(random.bytes(16)).toString('hex')
  const digest = async (path: string, cancel: Cancel) => digestOf(path, await own(digestCommands(path), cancel))
  const door = sftpDoor(connection, { toServer: (path) => path, otherwise: shellFiles(own) })
  return {
    kind: 'ssh',
    family: 'linux',
    address: connection.door.address,
    whoAmI: (cancel) => whoAmI(own, cancel),
    run: (request, cancel) => {
      const { program, workingDirectory } = request
      const directory = workingDirectory ?? ''
      const refusals = {
        missing: () => programMissing(program),
        'directory-absent': () => pathMissing(directory),
        'directory-refused': () => fileRefused(directory, 'no program can be started in it'),
      }
      return runProgram(shell, { request, text: (mark) => programScript(request, mark), refusals }, cancel)
    },
    makeDirectory: async (cancel) => {
      const { word, stdout } = await own(directoryCommands(token()), cancel)
      if (word !== 'made')
        throw fileRefused('the temporary directory', `a directory in it cannot be made (${textOf(stdout)})`)
      return textOf(stdout)
    },
    ...checkedFiles(door, {
      draftOf: (path) => path.replace(/[^/]*$/, `.coldframe-${token()}`),
      place: async (draft, cancel) => {
        const { word, stdout } = await own(placeCommands(draft), cancel)
        if (word === 'damaged') return { kind: 'damaged', found: textOf(stdout) }
        if (word !== 'placed') throw fileRefused(draft.to, textOf(stdout))
        return { kind: 'placed' }
      },
      discard: (draft, cancel) => own(`begin ready 0; rm -f -- ${quoteWord(draft)}`, cancel),
      digest,
      modeOf: (executable) => (executable ? 0o700 : 0o600),
    }),
    digest,
    remove: async (path, cancel) => {
      refuseRemoval(path, 'linux')
      const { word, stdout } = await own(removeCommands(path), cancel)
      if (word !== 'gone') throw fileRefused(path, `it cannot be removed (${textOf(stdout)})`)
    },
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  }
}

async function whoAmI(own: OwnScript, cancel: Cancel): Promise<GuestIdentity> {
  const { stdout } = await own('begin ready 0; id -un; id -u', cancel)
  const [user = '', uid = ''] = textOf(stdout).split('\n')
  if (uid === '0') return { user, elevated: true, whyNot: null }
  try {
    const end = await own('begin ready 0; id -u', { ...cancel, elevated: true })
    if (textOf(end.stdout) === '0') return { user, elevated: true, whyNot: null }
    return { user, elevated: false, whyNot: `"${user}" is not root, and sudo gives another account than root` }
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== 'guest-elevation-refused') throw error
    const whyNot = `"${user}" is not root, and sudo refuses it without a password; this line of sudoers would allow it: ${sudoersLine(user)}`
    return { user, elevated: false, whyNot }
  }
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
  const digest = /\b[0-9a-f]{64}\b/.exec(decodeStream(stdout))?.[0]
  if (word === 'ready' && digest !== undefined) return digest
  const reason =
    word === 'ready' ? `the guest cannot compute its SHA-256 ${decodeStream(stderr)}`.trim() : 'it cannot be read'
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

function textOf(bytes: Uint8Array): string {
  return decodeStream(bytes).replace(/\n$/, '')
}
