// The program that runs another one in a Windows guest: what vix-posix.ts is for sh, as a script for Windows PowerShell 5.1.
// Written from Microsoft's documents; no part of it has run on a real Windows.
//
// The script is uploaded as data and read by an encoded command, so that neither an execution policy nor quoting stands in
// its way. A job object, which the script enters before it starts the program, holds the whole tree: everything else in the
// job is killed at the end of the time limit. Breaking away from the job is allowed, for what must go on (a timer).

import type { ProgramRequest } from '../../ports/guest.ts'
import { argumentUnfit, type GuestShell, type RunPlace, whyNotElevated } from './vix-run.ts'

const CMD = 'C:\\Windows\\System32\\cmd.exe'
const POWERSHELL = 'C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe'
/** S-1-16-12288 is the label of high integrity, S-1-16-16384 that of the system (Microsoft, well-known SIDs). */
const HIGH_INTEGRITY = /S-1-16-(12288|16384)/

export const windowsShell: GuestShell = {
  family: 'windows',
  scriptName: 'run.ps1',
  storage: null,
  write: windowsScript,
  start: (script) => ({ programPath: POWERSHELL, arguments: encodedCommand(loaderOf(script)), startMinimized: true }),
  stop: ({ work }) => ({ kind: 'file', path: `${work}.stop` }),
  isAbsolute: (path) => /^(?:[A-Za-z]:[\\/]|\\\\[^\\])/.test(path),
  join: (directory, name) => `${directory.replace(/[\\/]+$/, '')}\\${name}`,
  identify: { program: 'C:\\Windows\\System32\\whoami.exe', args: ['/groups'] },
  identityOf: (stdout, user) => {
    const elevated = HIGH_INTEGRITY.test(stdout)
    return { user, elevated, whyNot: elevated ? null : whyNotElevated('windows', user) }
  },
  digest: (path) => ({
    program: POWERSHELL,
    args: encodedCommand(
      `$p=${literal(path)}; if (-not (Test-Path -LiteralPath $p)) { exit 44 }; ` +
        `(Get-FileHash -Algorithm SHA256 -LiteralPath $p -ErrorAction Stop).Hash`,
    ).split(' '),
  }),
}

/** A word that the C runtime's rules split off as exactly this text (Microsoft, "Parsing C command-line arguments"). */
export function quoteWindows(text: string): string {
  if (text.includes('\0')) throw argumentUnfit('has a NUL character')
  if (/^[^\s"]+$/.test(text)) return text
  const escaped = text.replaceAll(/(\\*)"/g, String.raw`$1$1\"`).replace(/(\\+)$/, '$1$1')
  return `"${escaped}"`
}

/**
 * Batch files are run by cmd.exe whoever starts them, and it reads their arguments once more: inside quotation marks all but a
 * few characters are plain text to it, and with /s only the outermost pair is taken away.
 * @throws BackupError `guest-argument-unfit`
 */
export function commandOf({ program, args }: Pick<ProgramRequest, 'program' | 'args'>): {
  readonly program: string
  readonly commandLine: string
} {
  if (!/\.(?:bat|cmd)[ .]*$/i.test(program)) return { program, commandLine: args.map(quoteWindows).join(' ') }
  const words = [program, ...args]
  if (words.some((word) => /["%!\r\n\0]/.test(word)))
    throw argumentUnfit('is a batch file with one of the characters " % ! or a line break in an argument')
  return { program: CMD, commandLine: `/d /s /c "${words.map((word) => `"${word}"`).join(' ')}"` }
}

/** Options and the command as PowerShell takes it: base64 of UTF-16LE. */
function encodedCommand(command: string): string {
  return `-NoProfile -NonInteractive -EncodedCommand ${Buffer.from(command, 'utf16le').toString('base64')}`
}

/** A literal of PowerShell; typographic quotes end one as well. */
function literal(text: string): string {
  return `'${text.replaceAll(/['\u2018\u2019\u201a\u201b]/g, '$&$&')}'`
}

/** Of a script that came short, nothing runs. */
function loaderOf(script: string): string {
  return (
    `$t=[IO.File]::ReadAllText(${literal(script)}, [Text.Encoding]::UTF8); ` +
    `if (-not $t.EndsWith('# whole')) { exit 70 }; & ([ScriptBlock]::Create($t))`
  )
}

function windowsScript(request: ProgramRequest, place: RunPlace): string {
  const data = {
    ...commandOf(request),
    directory: request.workingDirectory ?? '',
    environment: Object.entries(request.environment).map(([name, value]) => ({ name, value })),
    timeoutMs: request.timeoutMs,
    elevated: request.elevated,
    work: place.work,
    former: place.former ?? '',
  }
  const text = Buffer.from(JSON.stringify(data), 'utf8').toString('base64')
  return `$data = '${text}'\n$code = @'\n${CSHARP}\n'@\n${SCRIPT}\n# whole`
}

/** C# 5, which Windows PowerShell 5.1 compiles by itself. */
export const CSHARP = String.raw`using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
public static class ColdframeRun {
  const int KeptMax = 65536;
  [DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)] static extern IntPtr CreateJobObject(IntPtr attributes, string name);
  [DllImport("kernel32.dll", SetLastError = true)] static extern bool SetInformationJobObject(IntPtr job, int kind, IntPtr data, int length);
  [DllImport("kernel32.dll", SetLastError = true)] static extern bool QueryInformationJobObject(IntPtr job, int kind, IntPtr data, int length, IntPtr returned);
  [DllImport("kernel32.dll", SetLastError = true)] static extern bool AssignProcessToJobObject(IntPtr job, IntPtr process);
  [DllImport("kernel32.dll")] static extern IntPtr GetCurrentProcess();

  sealed class Drain {
    readonly Stream stream;
    readonly byte[] kept = new byte[KeptMax];
    int size;
    readonly Thread thread;
    public Drain(Stream from) { stream = from; thread = new Thread(Read); thread.IsBackground = true; thread.Start(); }
    void Read() {
      byte[] part = new byte[8192];
      try {
        for (int count; (count = stream.Read(part, 0, part.Length)) > 0; ) {
          lock (kept) { int take = Math.Min(count, KeptMax - size); Array.Copy(part, 0, kept, size, take); size += take; }
        }
      } catch (IOException) { } catch (ObjectDisposedException) { }
    }
    public byte[] Finish() {
      thread.Join(2000);
      byte[] bytes;
      lock (kept) { bytes = new byte[size]; Array.Copy(kept, bytes, size); }
      return Utf8(bytes);
    }
  }

  // Programs write in the console's code page, or in UTF-8.
  static byte[] Utf8(byte[] bytes) {
    int end = bytes.Length;
    if (end == KeptMax) { while (end > 0 && (bytes[end - 1] & 0xC0) == 0x80) end--; if (end > 0) end--; }
    try { new UTF8Encoding(false, true).GetCharCount(bytes, 0, end); return bytes; }
    catch (DecoderFallbackException) {
      string text = Encoding.GetEncoding(CultureInfo.CurrentCulture.TextInfo.OEMCodePage).GetString(bytes);
      byte[] written = new UTF8Encoding(false).GetBytes(text);
      if (written.Length > KeptMax) Array.Resize(ref written, KeptMax);
      return written;
    }
  }

  // The job's limits with JOB_OBJECT_LIMIT_BREAKAWAY_OK in LimitFlags, which stands at byte 16 of JOBOBJECT_EXTENDED_LIMIT_INFORMATION.
  static IntPtr EnterJob() {
    IntPtr job = CreateJobObject(IntPtr.Zero, null);
    int length = IntPtr.Size == 8 ? 144 : 112;
    IntPtr data = Marshal.AllocHGlobal(length);
    for (int i = 0; i < length; i++) Marshal.WriteByte(data, i, 0);
    Marshal.WriteInt32(data, 16, 0x800);
    bool held = SetInformationJobObject(job, 9, data, length) && AssignProcessToJobObject(job, GetCurrentProcess());
    Marshal.FreeHGlobal(data);
    if (!held) throw new InvalidOperationException("no job object: " + Marshal.GetLastWin32Error());
    return job;
  }

  static void KillOthers(IntPtr job) {
    int own = Process.GetCurrentProcess().Id;
    int length = 8 + 4096 * IntPtr.Size;
    IntPtr data = Marshal.AllocHGlobal(length);
    for (int round = 0; round < 50; round++) {
      Marshal.WriteInt32(data, 0, 4096);
      if (!QueryInformationJobObject(job, 3, data, length, IntPtr.Zero)) break;
      int count = Marshal.ReadInt32(data, 4);
      int others = 0;
      for (int i = 0; i < count; i++) {
        int id = (int)Marshal.ReadIntPtr(data, 8 + i * IntPtr.Size).ToInt64();
        if (id == own) continue;
        others++;
        try { using (Process each = Process.GetProcessById(id)) each.Kill(); }
        catch (ArgumentException) { } catch (InvalidOperationException) { } catch (System.ComponentModel.Win32Exception) { }
      }
      if (others == 0) break;
      Thread.Sleep(100);
    }
    Marshal.FreeHGlobal(data);
  }

  static void Answer(string work, string how, int code, byte[] stdout, byte[] stderr) {
    string made = Path.Combine(work, "result.new");
    using (FileStream file = File.Create(made)) {
      byte[] head = Encoding.ASCII.GetBytes("coldframe 1 " + how + " " + code + " " + stdout.Length + " " + stderr.Length + "\n");
      file.Write(head, 0, head.Length);
      file.Write(stdout, 0, stdout.Length);
      file.Write(stderr, 0, stderr.Length);
    }
    File.Move(made, Path.Combine(work, "result"));
  }

  public static void Refuse(string work, string how) { Answer(work, how, 0, new byte[0], new byte[0]); }

  public static void Run(ProcessStartInfo start, string work, int timeoutMs) {
    IntPtr job = EnterJob();
    Stopwatch watch = Stopwatch.StartNew();
    string stop = work + ".stop";
    if (File.Exists(stop)) { Refuse(work, "stopped"); return; }
    Process program;
    try { program = Process.Start(start); }
    catch (System.ComponentModel.Win32Exception error) {
      if (error.NativeErrorCode != 2 && error.NativeErrorCode != 3 && error.NativeErrorCode != 193) throw;
      Refuse(work, "no-program");
      return;
    }
    program.StandardInput.Close();
    Drain stdout = new Drain(program.StandardOutput.BaseStream);
    Drain stderr = new Drain(program.StandardError.BaseStream);
    string how = "exited";
    while (!program.WaitForExit(50)) {
      if (File.Exists(stop)) how = "stopped";
      else if (watch.ElapsedMilliseconds > timeoutMs) how = "late";
      else continue;
      KillOthers(job);
      break;
    }
    int code = how == "exited" ? program.ExitCode : 0;
    Answer(work, how, code, stdout.Finish(), stderr.Finish());
  }
}`

const SCRIPT = String.raw`$ErrorActionPreference = 'Stop'
$request = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($data)) | ConvertFrom-Json
[void][IO.Directory]::CreateDirectory($request.work)
if ($request.former -ne '') {
  foreach ($old in @($request.former, ($request.former + '-run.ps1'))) {
    if (Test-Path -LiteralPath $old) { Remove-Item -LiteralPath $old -Recurse -Force -ErrorAction SilentlyContinue }
  }
}
Add-Type -TypeDefinition $code
if ($request.elevated) {
  $groups = (& "$env:SystemRoot\System32\whoami.exe" /groups) -join ' '
  if ($groups -notmatch 'S-1-16-(12288|16384)') { [ColdframeRun]::Refuse($request.work, 'not-elevated'); exit 0 }
}
$start = New-Object Diagnostics.ProcessStartInfo
$start.FileName = $request.program
$start.Arguments = $request.commandLine
$start.UseShellExecute = $false
$start.CreateNoWindow = $true
$start.RedirectStandardInput = $true
$start.RedirectStandardOutput = $true
$start.RedirectStandardError = $true
if ($request.directory -ne '') {
  if (-not [IO.Directory]::Exists($request.directory)) { [ColdframeRun]::Refuse($request.work, 'no-directory'); exit 0 }
  $start.WorkingDirectory = $request.directory
}
foreach ($each in @($request.environment)) {
  if ($null -ne $each) { $start.EnvironmentVariables[$each.name] = $each.value }
}
[ColdframeRun]::Run($start, $request.work, [int]$request.timeoutMs)`
