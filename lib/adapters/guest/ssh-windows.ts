// The channel into a Windows guest with OpenSSH. Its default shell may be cmd or PowerShell: both run `powershell -EncodedCommand`
// alike, and the script itself comes on standard input, so neither reads it. Written from the documents of OpenSSH for Windows
// and PowerShell; never run against a real Windows.

import { createHash } from 'node:crypto'
import { BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestChannel, ProgramRequest, ProgramResult } from '../../ports/guest.ts'
import { damaged, fileRefused, pathMissing, refuseRemoval } from './guest-path.ts'
import type { Mark } from './posix-script.ts'
import type { SshConnection } from './ssh-connection.ts'
import { sftpFiles } from './ssh-files.ts'
import { type SshShell, STREAM_BYTES_MAX, sshShell } from './ssh-shell.ts'
import { commandLineOf } from './winrm-arguments.ts'

const OWN_SCRIPT_MS = 600_000

export function windowsChannel(connection: SshConnection, { random }: { readonly random: Random }): GuestChannel {
  const dialect = { bootstrap, kill: (session: number, mark: Mark) => script(killCommands(session), mark) }
  const shell = sshShell(connection, { random, dialect })
  const token = () => Buffer.from(random.bytes(16)).toString('hex')
  const own = async (commands: string, { signal }: Cancel) => {
    const request = { elevated: false, input: null, stdoutBytesMax: STREAM_BYTES_MAX, timeoutMs: OWN_SCRIPT_MS }
    const end = await shell.run({ ...request, text: (mark) => script(commands, mark) }, { signal })
    return { word: end.word, text: decode(end.stdout).trim(), stderr: decode(end.stderr).trim() }
  }
  const files = async (cancel: Cancel) => sftpFiles(await connection.sftp(cancel), serverPath)
  const digest = async (path: string, cancel: Cancel): Promise<string> => {
    const { word, text, stderr } = await own(digestCommands(path), cancel)
    if (word === 'absent') throw pathMissing(path)
    if (!/^[0-9a-f]{64}$/.test(text)) throw fileRefused(path, `the guest cannot compute its SHA-256 ${stderr}`.trim())
    return text
  }
  return {
    kind: 'ssh',
    family: 'windows',
    address: connection.door.address,
    whoAmI: async (cancel) => {
      const { text } = await own(`begin 'ready'; ${identity}; $who.Name; [int]$admin`, cancel)
      const [user = '', admin] = text.split(/\r?\n/)
      const elevated = admin === '1'
      return {
        user,
        elevated,
        whyNot: elevated ? null : `"${user}" has no elevated token: an administrator's account has one over ssh`,
      }
    },
    run: (request, { signal }) => runProgram(shell, { request, signal }),
    makeDirectory: async (cancel) => {
      const { text, stderr } = await own(
        `$d=Join-Path ([IO.Path]::GetTempPath()) 'coldframe-${token()}'; [void][IO.Directory]::CreateDirectory($d); begin 'made'; $d`,
        cancel,
      )
      if (text === '') throw fileRefused('the temporary directory', `a directory in it cannot be made ${stderr}`.trim())
      return text
    },
    put: async ({ path, bytes }, cancel) => {
      const draft = path.replace(/[^\\/]*$/, `.coldframe-${token()}`)
      await (await files(cancel)).write({ path: draft, bytes, mode: 0o700 }, cancel)
      const [needed, found] = [sha256(bytes), await digest(draft, cancel)]
      if (found !== needed) throw damaged(path, { needed, found })
      const move = `begin 'ready'; Move-Item -Force -LiteralPath ${quote(draft)} -Destination ${quote(path)} -ErrorAction Stop; 'moved'`
      const { text, stderr } = await own(move, cancel)
      if (text !== 'moved') throw fileRefused(path, stderr)
    },
    get: async ({ path, bytesMax }, cancel) => {
      const bytes = await (await files(cancel)).read({ path, bytesMax }, cancel)
      const [needed, found] = [await digest(path, cancel), sha256(bytes)]
      if (found !== needed) throw damaged(path, { needed, found })
      return bytes
    },
    digest,
    remove: async (path, cancel) => {
      refuseRemoval(path, 'windows')
      const { word, stderr } = await own(
        `Remove-Item -Recurse -Force -LiteralPath ${quote(path)} -ErrorAction SilentlyContinue
if (Test-Path -LiteralPath ${quote(path)}) { begin 'left' } else { begin 'gone' }`,
        cancel,
      )
      if (word !== 'gone') throw fileRefused(path, `it cannot be removed ${stderr}`.trim())
    },
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  }
}

async function runProgram(
  shell: SshShell,
  { request, signal }: Cancel & { readonly request: ProgramRequest },
): Promise<ProgramResult> {
  const { elevated, timeoutMs, program, workingDirectory } = request
  const base = { elevated, input: null, stdoutBytesMax: STREAM_BYTES_MAX, timeoutMs }
  const end = await shell.run({ ...base, text: (mark) => script(programCommands(request), mark) }, { signal })
  if (end.word === 'missing') {
    throw new BackupError(`Cannot run "${program}" in the guest: there is no such program`, {
      code: 'guest-program-missing',
      facts: { program },
    })
  }
  if (end.word === 'absent') throw pathMissing(workingDirectory ?? '')
  if (end.word === 'plain') {
    throw new BackupError(`Cannot run "${program}" elevated: the account has no elevated token`, {
      code: 'guest-elevation-refused',
      kind: 'refused',
      hint: 'Use an account of the group Administrators',
    })
  }
  const { exitCode, timedOut, stdout, stderr } = end
  return { exitCode, timedOut, stdout: decode(stdout), stderr: decode(stderr) }
}

function bootstrap({ greeting }: { readonly greeting: string }): string {
  const commands = `[Console]::Out.WriteLine('${greeting} ' + $PID); [Console]::Error.WriteLine('${greeting}')
$t=[Text.Encoding]::UTF8.GetString([Convert]::FromBase64String([Console]::In.ReadLine())); & ([ScriptBlock]::Create($t))`
  return `powershell -NoProfile -NonInteractive -EncodedCommand ${Buffer.from(commands, 'utf16le').toString('base64')}`
}

/** One line of base64: neither code page nor line ends matter. */
function script(commands: string, { head, tail }: Mark): string {
  const text = `$ProgressPreference='SilentlyContinue'; [Console]::OutputEncoding=New-Object Text.UTF8Encoding $false
function begin($w) { [Console]::Out.WriteLine('${head}' + '${tail} ' + $w + ' 0'); [Console]::Error.WriteLine('${head}' + '${tail}') }
${commands}`
  return `${Buffer.from(text, 'utf8').toString('base64')}\n`
}

const identity = `$who=[Security.Principal.WindowsIdentity]::GetCurrent()
$admin=(New-Object Security.Principal.WindowsPrincipal $who).IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)`

/** The program inherits our output streams: what it writes is not decoded on the way. */
function programCommands({ program, args, environment, workingDirectory, elevated }: ProgramRequest): string {
  const line = commandLineOf(program, args)
  const directory = workingDirectory === null ? null : quote(workingDirectory)
  return [
    ...(elevated ? [`${identity}; if (-not $admin) { begin 'plain'; exit 0 }`] : []),
    ...(directory === null ? [] : [`if (-not (Test-Path -LiteralPath ${directory})) { begin 'absent'; exit 0 }`]),
    `$found=Get-Command -CommandType Application -ErrorAction SilentlyContinue -Name ([Management.Automation.WildcardPattern]::Escape(${quote(program)})) | Select-Object -First 1`,
    `if ($null -eq $found) { begin 'missing'; exit 0 }`,
    `$p=New-Object Diagnostics.ProcessStartInfo; $p.UseShellExecute=$false`,
    `$p.FileName=${line.program === program ? '$found.Path' : quote(line.program)}`,
    `$p.Arguments=${quote(line.arguments)}`,
    ...(directory === null ? [] : [`$p.WorkingDirectory=${directory}`]),
    ...Object.entries(environment).map(([name, value]) => `$p.EnvironmentVariables[${quote(name)}]=${quote(value)}`),
    `begin 'shared'; [Console]::Out.Flush(); [Console]::Error.Flush()`,
    '$p.RedirectStandardInput=$true; $q=[Diagnostics.Process]::Start($p); $q.StandardInput.Close(); $q.WaitForExit(); exit $q.ExitCode',
  ].join('\n')
}

/** The PowerShell of the script is the root of the tree. */
function killCommands(session: number): string {
  return `begin 'ready'; taskkill /T /F /PID ${session}`
}

function digestCommands(path: string): string {
  return `if (Test-Path -PathType Leaf -LiteralPath ${quote(path)}) { begin 'ready' } else { begin 'absent'; exit 0 }
$f=[IO.File]::OpenRead(${quote(path)}); $h=[Security.Cryptography.SHA256]::Create().ComputeHash($f); $f.Close()
[BitConverter]::ToString($h).Replace('-', '').ToLowerInvariant()`
}

/** A string of PowerShell that stands for exactly this text; it takes typographic quotes for quotes too. */
function quote(text: string): string {
  return `'${text.replace(/['\u2018\u2019\u201a\u201b]/g, '$&$&')}'`
}

/** "C:\\a" is "/C:/a" to OpenSSH's SFTP server. */
function serverPath(path: string): string {
  return `/${path.replaceAll('\\', '/')}`
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes, { stream: bytes.byteLength >= STREAM_BYTES_MAX })
}
