// The first part of the wrapper for Windows guests (see windows-wrapper.ts): the clock, claims, processes, runs of scripts.
// Untested on Windows.

export const windowsProcesses = String.raw`
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
try { [Console]::OutputEncoding = New-Object System.Text.UTF8Encoding($false) } catch { }
# Arguments come on the command line, or as JSON in the environment, which no rule of quoting can change.
$words = @($args)
if ($words.Count -eq 0) { $words = @((ConvertFrom-Json -InputObject $env:COLDFRAME_WORDS).words) }
$script:W = $PSScriptRoot
$script:reply = New-Object System.Collections.ArrayList
$shell = [IO.Path]::Combine($PSHOME, 'powershell.exe')

function Say([string]$line) {
  [void]$script:reply.Add(($line -replace '[\r\n]+', ' '))
}

function Send-Reply {
  $newline = [string][char]10
  $lines = @('', 'coldframe-wrapper 1') + $script:reply.ToArray() + @('end', '')
  [Console]::Out.Write(($lines -join $newline))
  [Console]::Out.Flush()
  exit 0
}

function Stop-With([string]$code, [string]$reason) {
  $script:reply.Clear()
  Say "refused $code"
  Say "reason $reason"
  Send-Reply
}

# The guest's monotonic clock in milliseconds: the performance counter is the same in all processes and never goes back.
function Get-Clock {
  return [long][Math]::Floor([Diagnostics.Stopwatch]::GetTimestamp() / ([Diagnostics.Stopwatch]::Frequency / 1000.0))
}

function Get-Place([string]$name) {
  return [IO.Path]::Combine($script:W, $name)
}

function Read-Text([string]$path) {
  return [IO.File]::ReadAllText($path).Trim()
}

# The words of a record of ours: pid, birth, 0, clock, on whose behalf.
function Read-Record([string]$path) {
  return , @((Read-Text $path) -split ' ')
}

# Writes the file unless it exists, whole or not at all: a move fails when the name is taken.
function New-Claim([string]$path, [string]$text) {
  $made = $path + '.' + [Guid]::NewGuid().ToString('N')
  [IO.File]::WriteAllText($made, $text)
  try {
    [IO.File]::Move($made, $path)
    return $true
  } catch {
    if (-not [IO.File]::Exists($path)) { throw }
    return $false
  } finally {
    [IO.File]::Delete($made)
  }
}

function Get-Birth {
  return [Diagnostics.Process]::GetCurrentProcess().StartTime.ToFileTimeUtc()
}

function Test-Alive([string]$id, [string]$born) {
  try {
    $process = [Diagnostics.Process]::GetProcessById([int]$id)
    return (-not $process.HasExited) -and ([string]$process.StartTime.ToFileTimeUtc() -eq $born)
  } catch {
    return $false
  }
}

function Wait-Until([scriptblock]$condition, [long]$limitMs) {
  $end = (Get-Clock) + $limitMs
  while (-not (& $condition)) {
    if ((Get-Clock) -ge $end) { return $false }
    Start-Sleep -Milliseconds 50
  }
  return $true
}

# Starts this program once more, through WMI: outside of the job object of the shell that WinRM ends with the connection.
function Start-Detached([string[]]$arguments) {
  $command = '"' + $shell + '" -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "'
  $command += (Get-Place 'wrapper.ps1') + '" ' + ($arguments -join ' ')
  $startup = New-CimInstance -CimClass (Get-CimClass -ClassName Win32_ProcessStartup) -ClientOnly -Property @{ ShowWindow = [uint16]0 }
  $creation = @{ CommandLine = $command; CurrentDirectory = $env:SystemRoot; ProcessStartupInformation = $startup }
  $made = Invoke-CimMethod -ClassName Win32_Process -MethodName Create -Arguments $creation
  if ($made.ReturnValue -ne 0) { throw "Win32_Process.Create gave $($made.ReturnValue)" }
}

# A job object that this process enters with all that it will start. With $killOnClose its members end with this process.
function Enter-Job([bool]$killOnClose) {
  Add-Type -TypeDefinition @'
using System;
using System.Runtime.InteropServices;
public static class ColdframeJob {
  [StructLayout(LayoutKind.Sequential)]
  struct Limits {
    public long ProcessTime, JobTime;
    public uint Flags;
    public UIntPtr WorkingSetMin, WorkingSetMax;
    public uint ProcessesMax;
    public UIntPtr Affinity;
    public uint Priority, Scheduling;
    public ulong ReadCount, WriteCount, OtherCount, ReadBytes, WriteBytes, OtherBytes;
    public UIntPtr ProcessMemory, JobMemory, ProcessPeak, JobPeak;
  }
  [DllImport("kernel32.dll", CharSet = CharSet.Unicode)]
  static extern IntPtr CreateJobObject(IntPtr security, string name);
  [DllImport("kernel32.dll")]
  static extern bool SetInformationJobObject(IntPtr job, int kind, ref Limits limits, uint bytes);
  [DllImport("kernel32.dll")]
  static extern bool AssignProcessToJobObject(IntPtr job, IntPtr process);
  [DllImport("kernel32.dll")]
  static extern IntPtr GetCurrentProcess();
  [DllImport("kernel32.dll")]
  static extern bool TerminateJobObject(IntPtr job, uint code);
  static IntPtr job;
  public static bool Enter(bool killOnClose) {
    job = CreateJobObject(IntPtr.Zero, null);
    if (job == IntPtr.Zero) return false;
    if (killOnClose) {
      // 9: JobObjectExtendedLimitInformation; 0x2000: JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE.
      Limits limits = new Limits();
      limits.Flags = 0x2000;
      if (!SetInformationJobObject(job, 9, ref limits, (uint)Marshal.SizeOf(typeof(Limits)))) return false;
    }
    return AssignProcessToJobObject(job, GetCurrentProcess());
  }
  public static void End() { TerminateJobObject(job, 1); }
}
'@
  if (-not [ColdframeJob]::Enter($killOnClose)) { throw 'No job object could be entered' }
}

# What starts the script at $path.
function Get-StartOf([string]$path) {
  $start = New-Object System.Diagnostics.ProcessStartInfo
  switch ([IO.Path]::GetExtension($path).ToLowerInvariant()) {
    '.ps1' {
      $start.FileName = $shell
      $start.Arguments = '-NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "' + $path + '"'
    }
    '.exe' { $start.FileName = $path }
    default {
      $start.FileName = [IO.Path]::Combine($env:SystemRoot, 'System32\cmd.exe')
      $start.Arguments = '/d /s /c ""' + $path + '""'
    }
  }
  $start.UseShellExecute = $false
  $start.CreateNoWindow = $true
  $start.RedirectStandardInput = $true
  $start.RedirectStandardOutput = $true
  $start.RedirectStandardError = $true
  return $start
}

# A stream that is read to its end without waiting for it; its first 64 KiB go into a file at once.
function New-Drain([IO.Stream]$stream, [string]$path) {
  $file = [IO.File]::Open($path, [IO.FileMode]::Create, [IO.FileAccess]::Write, [IO.FileShare]::ReadWrite)
  $buffer = New-Object byte[] 65536
  $task = $stream.ReadAsync($buffer, 0, $buffer.Length)
  return @{ Stream = $stream; File = $file; Buffer = $buffer; Task = $task; Left = 65536; Done = $false }
}

# Takes what has come. Whether there was anything.
function Step-Drain([hashtable]$drain) {
  if ($drain.Done -or -not $drain.Task.IsCompleted) { return $false }
  $count = 0
  if (-not $drain.Task.IsFaulted) { $count = $drain.Task.Result }
  if ($count -eq 0) {
    $drain.Done = $true
    return $false
  }
  $kept = [Math]::Min($count, $drain.Left)
  if ($kept -gt 0) {
    $drain.File.Write($drain.Buffer, 0, $kept)
    $drain.File.Flush()
    $drain.Left -= $kept
  }
  $drain.Task = $drain.Stream.ReadAsync($drain.Buffer, 0, $drain.Buffer.Length)
  return $true
}

# Runs the script of a stage as the run $run of freeze $number on behalf of $by, unless it is claimed or too late.
function Invoke-ScriptCommand([string]$stage, [string]$run, [string]$number, [string]$by, [string]$notAfter) {
  $run = Get-Place $run
  $holds = $stage -eq 'pre-freeze'
  # A thaw without a job object is better than none.
  $inJob = $true
  try { Enter-Job $holds } catch { if ($holds) { throw } else { $inJob = $false } }
  $start = Get-StartOf ([IO.Path]::Combine((Get-Place "b\$stage"), (Read-Text (Get-Place "s\$stage.entry"))))
  $start.WorkingDirectory = Get-Place "b\$stage"
  foreach ($file in [IO.Directory]::GetFiles((Get-Place 'env'))) {
    $start.EnvironmentVariables[[IO.Path]::GetFileName($file)] = [IO.File]::ReadAllText($file)
  }
  $start.EnvironmentVariables['COLDFRAME_STAGE'] = $stage
  $start.EnvironmentVariables['COLDFRAME_FREEZE'] = $number
  $now = Get-Clock
  if (([long]$notAfter -gt 0) -and ($now -gt [long]$notAfter)) { return }
  if (-not (New-Claim "$run.run" "$PID $(Get-Birth) 0 $now $by")) { return }
  try {
    $process = [Diagnostics.Process]::Start($start)
  } catch {
    [IO.File]::WriteAllText("$run.err", $_.Exception.Message)
    [void](New-Claim "$run.exit" "127 $(Get-Clock)")
    return
  }
  $process.StandardInput.Close()
  $drains = @((New-Drain $process.StandardOutput.BaseStream "$run.out"), (New-Drain $process.StandardError.BaseStream "$run.err"))
  $quietSince = $null
  while ($true) {
    $moved = (Step-Drain $drains[0]) -bor (Step-Drain $drains[1])
    if ([IO.File]::Exists("$run.killed")) {
      if ($inJob) { [ColdframeJob]::End() }
      & ([IO.Path]::Combine($env:SystemRoot, 'System32\taskkill.exe')) /T /F /PID $process.Id | Out-Null
      return
    }
    if ($process.HasExited -and -not $moved) {
      # A process that the script left behind may keep the streams open.
      if ($null -eq $quietSince) { $quietSince = Get-Clock }
      if (($drains[0].Done -and $drains[1].Done) -or ((Get-Clock) - $quietSince -gt 300)) { break }
    }
    if (-not $moved) { Start-Sleep -Milliseconds 20 }
  }
  [void](New-Claim "$run.exit" "$($process.ExitCode) $(Get-Clock)")
  if (-not $holds) { return }
  # What pre-freeze left running goes on until the thaw, and ends with this process.
  $ended = [IO.Path]::Combine([IO.Path]::GetDirectoryName($run), 'end')
  while ([IO.Directory]::Exists((Split-Path -Parent $run)) -and -not [IO.File]::Exists($ended)) {
    $moved = (Step-Drain $drains[0]) -bor (Step-Drain $drains[1])
    if (-not $moved) { Start-Sleep -Milliseconds 50 }
  }
}

# Ends what the run $run started, because of $why.
function Stop-Run([string]$run, [string]$why) {
  if (-not [IO.File]::Exists("$run.run")) { return }
  $pair = Read-Record "$run.run"
  if ($pair[0] -eq '0') { return }
  [void](New-Claim "$run.killed" "$why $(Get-Clock)")
  if (Wait-Until { -not (Test-Alive $pair[0] $pair[1]) } 5000) { return }
  & ([IO.Path]::Combine($env:SystemRoot, 'System32\taskkill.exe')) /T /F /PID $pair[0] | Out-Null
  [void](Wait-Until { -not (Test-Alive $pair[0] $pair[1]) } 5000)
}

# Waits for the end of the run $run. At $deadline on the clock it is ended; it is left alone when the file $unless appears.
function Wait-Run([string]$run, [long]$deadline, [string]$unless) {
  $pair = Read-Record "$run.run"
  while (-not [IO.File]::Exists("$run.exit")) {
    if (($unless -ne '') -and [IO.File]::Exists($unless)) { return }
    if ([IO.File]::Exists("$run.killed")) { Stop-Run $run 'again'; return }
    if ((Get-Clock) -ge $deadline) { Stop-Run $run 'timeout'; return }
    if ((-not (Test-Alive $pair[0] $pair[1])) -and (-not [IO.File]::Exists("$run.exit"))) { Stop-Run $run 'lost'; return }
    Start-Sleep -Milliseconds 50
  }
}

# Starts the run unless it was started, and waits for its end. Whether it was started.
function Invoke-Run([string]$name, [string]$stage, [string]$number, [string]$by) {
  $run = Get-Place $name
  for ($try = 0; ($try -lt 3) -and -not [IO.File]::Exists("$run.run"); $try++) {
    try { Start-Detached @('script', $stage, $name, $number, $by, '0') } catch { Start-Sleep -Milliseconds 500 }
    [void](Wait-Until { [IO.File]::Exists("$run.run") } 15000)
  }
  if (-not [IO.File]::Exists("$run.run")) { return $false }
  $record = Read-Record "$run.run"
  Wait-Run $run ([long]$record[3] + [long](Read-Text (Get-Place "s\$stage.timeout"))) ''
  return $true
}

function Test-Lost([string]$run) {
  return [IO.File]::Exists("$run.killed") -and (Read-Text "$run.killed").StartsWith('lost') -and -not [IO.File]::Exists("$run.exit")
}

# The run $name of a stage as lines of the reply. Whether it succeeded.
function Add-Report([string]$name, [string]$stage) {
  $run = Get-Place $name
  $record = Read-Record "$run.run"
  $code = '-'
  $timed = 0
  $good = 0
  $end = Get-Clock
  if ([IO.File]::Exists("$run.killed")) {
    $killed = Read-Record "$run.killed"
    $end = [long]$killed[1]
    if ($killed[0] -eq 'timeout') { $timed = 1 }
  } elseif ([IO.File]::Exists("$run.exit")) {
    $ended = Read-Record "$run.exit"
    $code = $ended[0]
    $end = [long]$ended[1]
    if (@((Read-Text (Get-Place "s\$stage.codes")) -split ' ') -contains $code) { $good = 1 }
  }
  $bytes = 0
  if ([IO.File]::Exists("$run.err")) { $bytes = (New-Object IO.FileInfo("$run.err")).Length }
  Say "script $stage $($name.Replace('\', '/')) $code $timed $good $($end - [long]$record[3]) $bytes"
  Add-Stderr $run 0
  return $good -eq 1
}

# 12 KiB of what a run wrote to stderr, in hexadecimal digits: no channel and no code page can spoil them.
function Add-Stderr([string]$run, [long]$offset) {
  if (-not [IO.File]::Exists("$run.err")) { return }
  $file = [IO.File]::Open("$run.err", [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]::ReadWrite)
  try {
    [void]$file.Seek($offset, [IO.SeekOrigin]::Begin)
    $buffer = New-Object byte[] 12288
    $count = $file.Read($buffer, 0, $buffer.Length)
    for ($at = 0; $at -lt $count; $at += 64) {
      $digits = [BitConverter]::ToString($buffer, $at, [Math]::Min(64, $count - $at)).Replace('-', '').ToLowerInvariant()
      Say "stderr $digits"
    }
  } finally {
    $file.Close()
  }
}
`
