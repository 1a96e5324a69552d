// What runs in the guest: Windows PowerShell 3 or later, .NET 4.5. Constant texts, a bootstrap and a script an operation:
// everything that varies is handed over as data, in base64, through standard input.
//
//   stdin   line 1 the script, line 2 its data as JSON, every further line a piece of a file; each in base64 of UTF-8 or bytes
//   stdout  lines that the script prints, then "coldframe:" and its answer as JSON in base64

/** Runs any of the scripts. cmd.exe takes 8,191 characters, so it is short and reads the rest. */
export const BOOTSTRAP = `begin {
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$state = @{ line = 0; failure = $null }
function ConvertFrom-Line($line) { [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($line)) }
function Start-Work { }
function Add-Line($line) { }
}
process {
$line = ([string]$_).Trim()
if ($line -ne '' -and $state.failure -eq $null) {
try {
if ($state.line -eq 0) { $state.script = ConvertFrom-Line $line }
elseif ($state.line -eq 1) {
$data = ConvertFrom-Json (ConvertFrom-Line $line)
. ([ScriptBlock]::Create($state.script))
Start-Work
}
else { Add-Line $line }
$state.line++
} catch { $state.failure = $_.Exception }
}
}
end {
try {
if ($state.failure -ne $null) { throw $state.failure }
if ($state.line -lt 2) { throw 'Standard input ended too early' }
$answer = @(Complete-Work)[-1]
} catch { $answer = @{ code = 'failed'; message = [string]$_.Exception.Message } }
$json = [Text.Encoding]::UTF8.GetBytes((ConvertTo-Json -InputObject $answer -Compress))
[Console]::Out.WriteLine('coldframe:' + [Convert]::ToBase64String($json))
}
`

/** FIPS mode refuses the managed SHA-256. */
const DIGEST = `function New-Digest { New-Object Security.Cryptography.SHA256CryptoServiceProvider }
function ConvertTo-Hex($bytes) { [BitConverter]::ToString($bytes).Replace('-', '').ToLowerInvariant() }
function Get-Digest($path) {
$file = [IO.File]::Open($path, 'Open', 'Read', 'ReadWrite')
try { ConvertTo-Hex ((New-Digest).ComputeHash($file)) } finally { $file.Dispose() }
}
`

/** A filtered token has Administrators for deny only: the role is not held, though whoami lists the group. */
const WHO_AM_I = `function Complete-Work {
$identity = [Security.Principal.WindowsIdentity]::GetCurrent()
$principal = New-Object Security.Principal.WindowsPrincipal($identity)
$groups = [string]::Join(' ', @(& ([IO.Path]::Combine([Environment]::SystemDirectory, 'whoami.exe')) /groups /fo csv /nh))
$integrity = 0
if ($groups -match 'S-1-16-([0-9]+)') { $integrity = [int]$Matches[1] }
@{
user = $identity.Name
administrator = $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
member = [bool]($groups -match 'S-1-5-32-544')
integrity = $integrity
}
}
`

/**
 * Standard input of the program is ours, which has ended. Waits one second after the program's end for streams that a
 * descendant still holds.
 */
const RUN = `function Open-Reader($stream) {
$buffer = New-Object byte[] 16384
@{ stream = $stream; buffer = $buffer; kept = New-Object IO.MemoryStream; open = $true; read = $stream.ReadAsync($buffer, 0, 16384) }
}
function Read-Ready($reader) {
while ($reader.open -and $reader.read.IsCompleted) {
$count = 0
if (-not $reader.read.IsFaulted) { $count = $reader.read.Result }
if ($count -eq 0) { $reader.open = $false; break }
$room = [Math]::Min($count, 65536 - [int]$reader.kept.Length)
if ($room -gt 0) { $reader.kept.Write($reader.buffer, 0, $room) }
$reader.read = $reader.stream.ReadAsync($reader.buffer, 0, 16384)
}
}
function Stop-Tree($process) {
$ErrorActionPreference = 'SilentlyContinue'
$null = & ([IO.Path]::Combine([Environment]::SystemDirectory, 'taskkill.exe')) /T /F /PID $process.Id 2>&1
if (-not $process.HasExited) { $process.Kill() }
$null = $process.WaitForExit(5000)
}
function Complete-Work {
$start = New-Object Diagnostics.ProcessStartInfo
$start.FileName = $data.program
$start.Arguments = $data.arguments
$start.UseShellExecute = $false
$start.CreateNoWindow = $true
$start.RedirectStandardOutput = $true
$start.RedirectStandardError = $true
if ($data.workingDirectory) {
if (-not [IO.Directory]::Exists($data.workingDirectory)) { return @{ code = 'path-missing'; path = $data.workingDirectory } }
$start.WorkingDirectory = $data.workingDirectory
}
foreach ($variable in @($data.environment)) { $start.EnvironmentVariables[$variable.name] = $variable.value }
$clock = [Diagnostics.Stopwatch]::StartNew()
try { $process = [Diagnostics.Process]::Start($start) } catch {
$inner = $_.Exception
while ($inner.InnerException) { $inner = $inner.InnerException }
if ($inner -is [ComponentModel.Win32Exception] -and (2, 3) -contains $inner.NativeErrorCode) { return @{ code = 'program-missing' } }
throw $inner
}
$readers = @((Open-Reader $process.StandardOutput.BaseStream), (Open-Reader $process.StandardError.BaseStream))
$timedOut = $false
$endedMs = -1
while ($true) {
foreach ($reader in $readers) { Read-Ready $reader }
$nowMs = $clock.ElapsedMilliseconds
if ($endedMs -lt 0 -and $process.HasExited) { $endedMs = $nowMs }
if ($endedMs -ge 0 -and (-not ($readers[0].open -or $readers[1].open) -or $nowMs - $endedMs -gt 1000)) { break }
if ($endedMs -lt 0 -and $nowMs -ge $data.timeoutMs) { $timedOut = $true; Stop-Tree $process; $endedMs = $clock.ElapsedMilliseconds }
$waiting = @($readers | Where-Object { $_.open } | ForEach-Object { $_.read })
if ($waiting.Count -eq 0) { Start-Sleep -Milliseconds 20 }
else { $null = [Threading.Tasks.Task]::WaitAny([Threading.Tasks.Task[]]$waiting, 50) }
}
$exitCode = $null
if (-not $timedOut) { $exitCode = $process.ExitCode }
@{
exitCode = $exitCode
timedOut = $timedOut
stdout = [Convert]::ToBase64String($readers[0].kept.ToArray())
stderr = [Convert]::ToBase64String($readers[1].kept.ToArray())
}
}
`

/** The directory is made with its access list, so nobody else can look in first. */
const MAKE_DIRECTORY = `function Complete-Work {
$path = [IO.Path]::Combine([IO.Path]::GetTempPath(), $data.name)
if ([IO.Directory]::Exists($path) -or [IO.File]::Exists($path)) { throw 'It is there already' }
$user = [Security.Principal.WindowsIdentity]::GetCurrent().User
$access = New-Object Security.AccessControl.DirectorySecurity
$access.SetAccessRuleProtection($true, $false)
$access.AddAccessRule((New-Object Security.AccessControl.FileSystemAccessRule($user, 'FullControl', 'ContainerInherit,ObjectInherit', 'None', 'Allow')))
$null = [IO.Directory]::CreateDirectory($path, $access)
@{ path = $path }
}
`

/** Written beside its place and moved there when its digest is right. Each try has a name of its own: one that was lost may still be at work. */
const PUT = `${DIGEST}function Start-Work {
$state.part = $data.path + '.' + [Guid]::NewGuid().ToString('N') + '.part'
if ([IO.Directory]::Exists([IO.Path]::GetDirectoryName([IO.Path]::GetFullPath($data.path)))) {
$state.file = [IO.File]::Open($state.part, 'CreateNew', 'Write', 'None')
}
}
function Add-Line($line) {
if ($state.file -eq $null) { return }
try {
$bytes = [Convert]::FromBase64String($line)
$state.file.Write($bytes, 0, $bytes.Length)
} catch { $state.file.Dispose(); [IO.File]::Delete($state.part); throw }
}
function Complete-Work {
if ($state.file -eq $null) { return @{ code = 'path-missing'; path = $data.path } }
try {
$state.file.Dispose()
$digest = Get-Digest $state.part
if ($digest -ne $data.sha256) { return @{ code = 'damaged'; sha256 = $digest } }
if ([IO.File]::Exists($data.path)) { [IO.File]::Replace($state.part, $data.path, [NullString]::Value) }
else { [IO.File]::Move($state.part, $data.path) }
@{ sha256 = $digest }
} finally { [IO.File]::Delete($state.part) }
}
`

const GET = `${DIGEST}function Complete-Work {
if (-not [IO.File]::Exists($data.path)) { return @{ code = 'path-missing'; path = $data.path } }
$file = [IO.File]::Open($data.path, 'Open', 'Read', 'ReadWrite')
try {
if ($file.Length -gt $data.bytesMax) { return @{ code = 'large' } }
$digest = New-Digest
$buffer = New-Object byte[] 49152
$total = 0
while (($count = $file.Read($buffer, 0, 49152)) -gt 0) {
$total += $count
if ($total -gt $data.bytesMax) { return @{ code = 'large' } }
$null = $digest.TransformBlock($buffer, 0, $count, $null, 0)
[Console]::Out.WriteLine([Convert]::ToBase64String($buffer, 0, $count))
}
$null = $digest.TransformFinalBlock($buffer, 0, 0)
@{ sha256 = ConvertTo-Hex $digest.Hash }
} finally { $file.Dispose() }
}
`

const DIGEST_OF = `${DIGEST}function Complete-Work {
if (-not [IO.File]::Exists($data.path)) { return @{ code = 'path-missing'; path = $data.path } }
@{ sha256 = Get-Digest $data.path }
}
`

/** Files that are read-only, or still open for a moment, are why it is tried more than once. Links are removed, not followed. */
const REMOVE = `function Test-Gone { -not ([IO.Directory]::Exists($data.path) -or [IO.File]::Exists($data.path)) }
function Complete-Work {
for ($try = 0; $try -lt 5 -and -not (Test-Gone); $try++) {
if ($try -gt 0) { Start-Sleep -Milliseconds 200 }
try {
if ([IO.Directory]::Exists($data.path)) {
if ($try -gt 0) {
Get-ChildItem -LiteralPath $data.path -Recurse -Force | Where-Object { -not ($_.Attributes -band [IO.FileAttributes]::ReparsePoint) } | ForEach-Object { $_.Attributes = 'Normal' }
}
[IO.Directory]::Delete($data.path, $true)
} else {
[IO.File]::SetAttributes($data.path, 'Normal')
[IO.File]::Delete($data.path)
}
} catch { $state.reason = [string]$_.Exception.Message }
}
if (Test-Gone) { return @{ gone = $true } }
@{ code = 'failed'; message = $state.reason }
}
`

export const SCRIPTS = {
  whoAmI: WHO_AM_I,
  run: RUN,
  makeDirectory: MAKE_DIRECTORY,
  put: PUT,
  get: GET,
  digest: DIGEST_OF,
  remove: REMOVE,
} as const

export type ScriptName = keyof typeof SCRIPTS

/** cmd.exe fills in %SystemRoot%, so that no other powershell.exe is found first. Plain text on stderr, no CLIXML. */
export const POWERSHELL = {
  program: '%SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe',
  args: [
    '-NoLogo',
    '-NoProfile',
    '-NonInteractive',
    '-ExecutionPolicy',
    'Bypass',
    '-OutputFormat',
    'Text',
    '-EncodedCommand',
    Buffer.from(BOOTSTRAP, 'utf16le').toString('base64'),
  ],
} as const
