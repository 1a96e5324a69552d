// The channel into a Windows guest with OpenSSH. Its default shell may be cmd or PowerShell: both run `powershell -EncodedCommand`
// alike, and the script itself comes on standard input, so neither reads it. Written from the documents of OpenSSH for Windows
// and PowerShell; never run against a real Windows.

import { BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestIdentity } from '../../model/guest.ts'
import type { GuestChannel, ProgramRequest } from '../../ports/guest.ts'
import { fileRefused, pathMissing, refuseRemoval } from './guest-path.ts'
import type { Mark } from './posix-script.ts'
import type { SshConnection } from './ssh-connection.ts'
import { decodeStream, ownScripts, programMissing, runProgram } from './ssh-program.ts'
import { sshShell } from './ssh-shell.ts'
import { checkedFiles, sftpDoor } from './ssh-transfer.ts'
import { commandLineOf } from './winrm-arguments.ts'

export function windowsChannel(connection: SshConnection, { random }: { readonly random: Random }): GuestChannel {
  const dialect = { bootstrap, kill: (session: number, mark: Mark) => script(killCommands(session), mark) }
  const shell = sshShell(connection, { random, dialect })
  const token = () => Buffer.from(random.bytes(16)).toString('hex')
  const scripts = ownScripts(shell, { connection, text: (commands, { mark }) => script(commands, mark) })
  const own = async (commands: string, cancel: Cancel) => {
    const { word, stdout, stderr } = await scripts(commands, cancel)
    return { word, text: decodeStream(stdout).trim(), stderr: decodeStream(stderr).trim() }
  }
  const digest = async (path: string, cancel: Cancel): Promise<string> => {
    const { word, text, stderr } = await own(digestCommands(path), cancel)
    if (word === 'absent') throw pathMissing(path)
    if (!/^[0-9a-f]{64}$/.test(text)) throw fileRefused(path, `the guest cannot compute its SHA-256 ${stderr}`.trim())
    return text
  }
  const door = sftpDoor(connection, { toServer: serverPath, otherwise: null })
  return {
    kind: 'ssh',
    family: 'windows',
    address: connection.door.address,
    whoAmI: async (cancel) => {
      const { text } = await own(`begin 'ready'; ${identity}; $who.Name; [int]$admin`, cancel)
      return identityOf(text)
    },
    run: (request, cancel) => {
      const { program, workingDirectory } = request
      const refusals = {
        missing: () => programMissing(program),
        absent: () => pathMissing(workingDirectory ?? ''),
        plain: () => notElevated(program),
      }
      return runProgram(shell, { request, text: (mark) => script(programCommands(request), mark), refusals }, cancel)
    },
    makeDirectory: async (cancel) => {
      const { text, stderr } = await own(
        `$d=Join-Path ([IO.Path]::GetTempPath()) 'coldframe-${token()}'; [void][IO.Directory]::CreateDirectory($d); begin 'made'; $d`,
        cancel,
      )
      if (text === '') throw fileRefused('the temporary directory', `a directory in it cannot be made ${stderr}`.trim())
      return text
    },
    ...checkedFiles(door, {
      draftOf: (path) => path.replace(/[^\\/]*$/, `.coldframe-${token()}`),
      place: async (draft, cancel) => {
        const { word, text, stderr } = await own(placeCommands(draft), cancel)
        if (word === 'damaged') return { kind: 'damaged', found: text }
        if (word !== 'placed') throw fileRefused(draft.to, `${text} ${stderr}`.trim())
        return { kind: 'placed' }
      },
      discard: (draft, cancel) => own(`begin 'ready'; ${removal(draft)}`, cancel),
      digest,
      modeOf: () => null,
    }),
    digest,
    remove: async (path, cancel) => {
      refuseRemoval(path, 'windows')
      const { word, stderr } = await own(
        `${removal(path)}
if (Test-Path -LiteralPath ${quote(path)}) { begin 'left' } else { begin 'gone' }`,
        cancel,
      )
      if (word !== 'gone') throw fileRefused(path, `it cannot be removed ${stderr}`.trim())
    },
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  }
}

function identityOf(text: string): GuestIdentity {
  const [user = '', admin] = text.split(/\r?\n/)
  const elevated = admin === '1'
  const whyNot = elevated ? null : `"${user}" has no elevated token: an administrator's account has one over ssh`
  return { user, elevated, whyNot }
}

function notElevated(program: string): BackupError {
  return new BackupError(`Cannot run "${program}" elevated: the account has no elevated token`, {
    code: 'guest-elevation-refused',
    kind: 'refused',
    hint: 'Use an account of the group Administrators',
  })
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
${sumOf(path)}; $sum`
}

/** Sets $sum to a file's SHA-256. */
function sumOf(path: string): string {
  return `$f=[IO.File]::OpenRead(${quote(path)}); $h=[Security.Cryptography.SHA256]::Create().ComputeHash($f); $f.Close()
$sum=[BitConverter]::ToString($h).Replace('-', '').ToLowerInvariant()`
}

/** Checks the draft and gives it its name. A directory of that name must not swallow it, as Move-Item would let it. */
function placeCommands(draft: { readonly from: string; readonly to: string; readonly needed: string }): string {
  const [from, to] = [quote(draft.from), quote(draft.to)]
  return `${sumOf(draft.from)}
if ($sum -ne '${draft.needed}') { begin 'damaged'; $sum; exit 0 }
if (Test-Path -PathType Container -LiteralPath ${to}) { begin 'refused'; 'it is a directory'; exit 0 }
try { Move-Item -Force -LiteralPath ${from} -Destination ${to} -ErrorAction Stop } catch { begin 'refused'; $_.Exception.Message; exit 0 }
begin 'placed'`
}

function removal(path: string): string {
  return `Remove-Item -Recurse -Force -LiteralPath ${quote(path)} -ErrorAction SilentlyContinue`
}

/** A string of PowerShell that stands for exactly this text; it takes typographic quotes for quotes too. */
function quote(text: string): string {
  return `'${text.replace(/['\u2018\u2019\u201a\u201b]/g, '$&$&')}'`
}

/** "C:\\a" is "/C:/a" to OpenSSH's SFTP server. */
function serverPath(path: string): string {
  return `/${path.replaceAll('\\', '/')}`
}
