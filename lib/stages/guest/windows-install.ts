// The last part of the wrapper for Windows guests (see windows-wrapper.ts): installation, removal, and the commands. Untested
// on Windows.

export const windowsInstall = String.raw`
function Get-DefaultBase {
  return [IO.Path]::Combine($env:ProgramData, 'Coldframe')
}

# Full control for SYSTEM, Administrators and this account, for nobody else.
function New-PrivateDirectory([string]$path) {
  $rights = New-Object Security.AccessControl.DirectorySecurity
  $rights.SetAccessRuleProtection($true, $false)
  $own = [Security.Principal.WindowsIdentity]::GetCurrent().User
  foreach ($sid in @('S-1-5-18', 'S-1-5-32-544', $own.Value)) {
    $who = New-Object Security.Principal.SecurityIdentifier($sid)
    $rule = New-Object Security.AccessControl.FileSystemAccessRule($who, 'FullControl', 'ContainerInherit,ObjectInherit', 'None', 'Allow')
    $rights.AddAccessRule($rule)
  }
  [void][IO.Directory]::CreateDirectory($path, $rights)
}

# Windows has no storage in memory, and needs none here: what our scripts hold are applications, not the volumes, and the
# freeze of the Volume Shadow Copy Service is not ours.
function Get-Base([string]$named) {
  if ($named -ne '') {
    if (-not [IO.Directory]::Exists($named)) { Stop-With 'guest-no-memory-place' "Directory ""$named"" of COLDFRAME_GUEST_DIRECTORY is not there" }
    return $named
  }
  $base = Get-DefaultBase
  if (-not [IO.Directory]::Exists($base)) { New-PrivateDirectory $base }
  # Whoever owns it could put another directory in the place of ours.
  $owner = (Get-Acl -LiteralPath $base).GetOwner([Security.Principal.SecurityIdentifier]).Value
  $own = [Security.Principal.WindowsIdentity]::GetCurrent().User.Value
  if (@('S-1-5-18', 'S-1-5-32-544', $own) -notcontains $owner) {
    Stop-With 'guest-no-memory-place' "Directory ""$base"" belongs to $owner, neither to Administrators nor to this account"
  }
  return $base
}

function Invoke-InstallCommand([object[]]$given) {
  if ($ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') {
    Stop-With 'guest-workspace-failed' 'PowerShell is restricted for this account (constrained language mode)'
  }
  $staging = $script:W
  $target = [IO.Path]::Combine((Get-Base $given[2]), 'coldframe-' + $given[1])
  if (Test-Path -LiteralPath $target) { Stop-With 'guest-workspace-failed' "Directory ""$target"" exists" }
  try {
    New-PrivateDirectory $target
    $script:W = $target
    foreach ($name in 'f', 'r', 'b', 's', 'env', 'in') { [void](New-Item -ItemType Directory -Path (Get-Place $name)) }
    [IO.File]::Copy($PSCommandPath, (Get-Place 'wrapper.ps1'))
    $at = 3
    while ($at -lt $given.Count) {
      if ($given[$at] -eq 'env') {
        [IO.File]::WriteAllText((Get-Place ('env\' + $given[$at + 1])), $given[$at + 2])
        $at += 3
      } else {
        $stage = $given[$at + 1]
        Add-Script $staging $stage @($given[($at + 2)..($at + 5)])
        [IO.File]::WriteAllText((Get-Place "s\$stage.timeout"), $given[$at + 6])
        [IO.File]::WriteAllText((Get-Place "s\$stage.codes"), $given[$at + 7])
        $at += 8
      }
    }
    [IO.Directory]::Delete((Get-Place 'in'), $true)
  } catch {
    $why = $_.Exception.Message
    $code = 'guest-workspace-failed'
    if ($why -match '^(guest-[a-z-]+): (.*)$') { $code = $Matches[1]; $why = $Matches[2] }
    [void](Remove-Tree $target)
    Stop-With $code $why
  }
  Say "path $target"
  Send-Reply
}

# $what: kind, name, SHA-256, entry. The copy that is hashed is the one that is unpacked, and nobody else can change it.
function Add-Script([string]$staging, [string]$stage, [object[]]$what) {
  $kind, $name, $sha256, $entry = $what
  $target = Get-Place "b\$stage"
  [void](New-Item -ItemType Directory -Path $target)
  $suffix = ''
  if ($kind -eq 'zip') { $suffix = '.zip' }
  $copy = Get-Place "in\$stage$suffix"
  [IO.File]::Copy([IO.Path]::Combine($staging, "bundle-$stage"), $copy)
  $sum = (Get-FileHash -LiteralPath $copy -Algorithm SHA256).Hash.ToLowerInvariant()
  if ($sum -ne $sha256) { throw "guest-script-damaged: The script of $stage has SHA-256 $sum in the guest, and must have $sha256" }
  switch ($kind) {
    'zip' { Expand-ZipBundle $copy $target }
    'tgz' { Expand-TarBundle $copy $target }
    default {
      $entry = $name
      [IO.File]::Move($copy, [IO.Path]::Combine($target, $entry))
    }
  }
  foreach ($item in (Get-ChildItem -LiteralPath $target -Recurse -Force)) {
    if ($item.Attributes -band [IO.FileAttributes]::ReparsePoint) { throw "guest-script-unfit: The bundle of $stage holds the link ""$($item.Name)""" }
  }
  if (-not [IO.File]::Exists([IO.Path]::Combine($target, $entry))) { throw "guest-script-unfit: The bundle of $stage holds no file ""$entry""" }
  if (@('.ps1', '.cmd', '.bat', '.exe') -notcontains [IO.Path]::GetExtension($entry).ToLowerInvariant()) {
    throw "guest-script-unfit: ""$entry"" ends neither in .ps1, .cmd, .bat nor .exe"
  }
  [IO.File]::WriteAllText((Get-Place "s\$stage.entry"), $entry)
}

function Assert-Inside([string]$name) {
  $parts = $name -split '[\\/]'
  if (($parts -contains '..') -or ($name -match '^[\\/]') -or $name.Contains(':')) {
    throw "guest-script-unfit: ""$name"" leads out of the bundle"
  }
}

function Expand-ZipBundle([string]$copy, [string]$target) {
  Add-Type -AssemblyName System.IO.Compression.FileSystem
  $archive = [IO.Compression.ZipFile]::OpenRead($copy)
  try {
    foreach ($item in $archive.Entries) { Assert-Inside $item.FullName }
  } finally {
    $archive.Dispose()
  }
  Expand-Archive -LiteralPath $copy -DestinationPath $target -Force
}

function Expand-TarBundle([string]$copy, [string]$target) {
  $tar = [IO.Path]::Combine($env:SystemRoot, 'System32\tar.exe')
  if (-not [IO.File]::Exists($tar)) { throw 'guest-script-unfit: This Windows has no tar.exe; a .zip needs none' }
  $names = @(& $tar -tzf $copy)
  if ($LASTEXITCODE -ne 0) { throw 'guest-script-unfit: tar.exe cannot list the bundle' }
  foreach ($name in $names) { Assert-Inside $name }
  foreach ($line in @(& $tar -tvzf $copy)) {
    if ($line -notmatch '^[-d]') { throw "guest-script-unfit: ""$line"" is neither a file nor a directory" }
  }
  & $tar -xzf $copy -C $target
  if ($LASTEXITCODE -ne 0) { throw 'guest-script-unfit: tar.exe cannot unpack the bundle' }
}

# Whether it is gone; a file may be held for a moment by a process that has just ended.
function Remove-Tree([string]$path) {
  Set-Location -LiteralPath $env:SystemRoot
  for ($try = 0; ($try -lt 25) -and (Test-Path -LiteralPath $path); $try++) {
    if ($try -gt 0) { Start-Sleep -Milliseconds 200 }
    try { Remove-Item -LiteralPath $path -Recurse -Force } catch { }
  }
  return -not (Test-Path -LiteralPath $path)
}

# Thaws everything, ends whatever still runs of the workspace $script:W and removes it.
function Remove-Workspace {
  if ([IO.Directory]::Exists((Get-Place 'f'))) {
    [void](New-Claim (Get-Place 'closed') 'release')
    foreach ($number in (Get-Numbers)) {
      if ($null -eq (Complete-Thaw $number 'release')) { Stop-With 'guest-thaw-failed' "Freeze $number cannot be thawed" }
    }
    foreach ($path in [IO.Directory]::GetFiles($script:W, '*.run', [IO.SearchOption]::AllDirectories)) {
      $run = $path.Substring(0, $path.Length - 4)
      if (-not [IO.File]::Exists("$run.exit")) { Stop-Run $run 'removed' }
    }
    foreach ($path in [IO.Directory]::GetFiles($script:W, 'timer', [IO.SearchOption]::AllDirectories)) {
      $pair = Read-Record $path
      if (Test-Alive $pair[0] $pair[1]) { Stop-Process -Id ([int]$pair[0]) -Force -ErrorAction SilentlyContinue }
    }
  }
  if (-not (Remove-Tree $script:W)) { Stop-With 'guest-workspace-failed' "Directory ""$($script:W)"" cannot be removed" }
}

function Invoke-RemoveTokenCommand([string]$token, [string]$named) {
  $staging = $script:W
  $count = 0
  foreach ($base in @($named, (Get-DefaultBase))) {
    if ($base -eq '') { continue }
    $script:W = [IO.Path]::Combine($base, "coldframe-$token")
    if (-not [IO.Directory]::Exists($script:W)) { continue }
    Remove-Workspace
    $count += 1
  }
  foreach ($other in [IO.Directory]::GetDirectories((Split-Path -Parent $staging))) {
    if (($other -eq $staging) -or -not [IO.File]::Exists([IO.Path]::Combine($other, "coldframe-$token.ps1"))) { continue }
    if (-not (Remove-Tree $other)) { Stop-With 'guest-workspace-failed' "Directory ""$other"" cannot be removed" }
    $count += 1
  }
  Say "removed $count"
  Send-Reply
}

function Invoke-RunCommand([string]$stage) {
  if (-not [IO.File]::Exists((Get-Place "s\$stage.entry"))) { Stop-With 'guest-script-missing' "There is no script for $stage" }
  $name = 'r\' + [Guid]::NewGuid().ToString('N')
  [void](New-Item -ItemType Directory -Path (Get-Place $name))
  if (-not (Invoke-Run "$name\$stage" $stage '0' 'capture')) { Stop-With 'guest-workspace-failed' "The script for $stage could not be started" }
  [void](Add-Report "$name\$stage" $stage)
  Send-Reply
}

try {
  switch ([string]$words[0]) {
    'ask' { Say "directory $($env:COLDFRAME_GUEST_DIRECTORY)"; Send-Reply }
    'install' { Invoke-InstallCommand $words }
    'now' { Say "now $(Get-Clock)"; Send-Reply }
    'freeze' { Invoke-FreezeCommand ([int]$words[1]) ([long]$words[2]) ([long]$words[3]) }
    'thaw' { Invoke-ThawCommand $words[1] $words[2] $words[3] }
    'run' { Invoke-RunCommand $words[1] }
    'stderr' {
      $name = ([string]$words[1]).Replace('/', '\')
      if ($name -notmatch '^[fr]\\[0-9a-f]+\\[a-z0-9.-]+$') { Stop-With 'guest-wrapper-refused' 'There is no such run' }
      Add-Stderr (Get-Place $name) ([long]$words[2])
      Send-Reply
    }
    'remove' { Remove-Workspace; Say 'removed 1'; Send-Reply }
    'remove-token' { Invoke-RemoveTokenCommand $words[1] $words[2] }
    'timer' { Invoke-TimerCommand ([int]$words[1]) ([long]$words[2]) }
    'script' { Invoke-ScriptCommand $words[1] $words[2] $words[3] $words[4] $words[5] }
    default { Stop-With 'guest-wrapper-refused' 'There is no such command' }
  }
} catch {
  Stop-With 'guest-wrapper-refused' $_.Exception.Message
}
`
