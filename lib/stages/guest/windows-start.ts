// How the wrapper in a Windows guest is called, by powershell.exe -EncodedCommand. Untested on Windows.

/**
 * Runs the wrapper COLDFRAME_PROGRAM with the words in COLDFRAME_WORDS, which it reads itself. Where there is none it says so,
 * in the wrapper's words, and tells an absent directory from one that it may not see.
 */
export const windowsStart = `
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$program = $env:COLDFRAME_PROGRAM
if ([IO.File]::Exists($program)) {
  & $program
  exit 0
}
$place = Split-Path -Parent $program
$removes = @((ConvertFrom-Json -InputObject $env:COLDFRAME_WORDS).words)[0] -eq 'remove'
if ($removes -and [IO.Directory]::Exists($place)) {
  try { Remove-Item -LiteralPath $place -Recurse -Force } catch { }
}
$code = 'guest-workspace-failed'
$reason = "There is no wrapper in ""$place"", or it may not be entered"
if (-not [IO.Directory]::Exists($place)) {
  $above = Split-Path -Parent $place
  while (($above -ne '') -and -not [IO.Directory]::Exists($above)) { $above = Split-Path -Parent $above }
  try {
    [void][IO.Directory]::GetFileSystemEntries($above)
    $code = 'guest-workspace-missing'
    $reason = """$place"" is gone"
  } catch {
    $reason = """$above"" may not be entered"
  }
}
$newline = [string][char]10
[Console]::Out.Write((@('', 'coldframe-wrapper 1', "refused $code", "reason $reason", 'end', '') -join $newline))
exit 0
`
