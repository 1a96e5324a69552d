// The second part of the wrapper for Windows guests (see windows-wrapper.ts): freeze, timer and thaw. Untested on Windows.

export const windowsFreeze = String.raw`
# A freeze has the directory f\<number> with the same records as in Linux guests (posix-freeze.ts).
function Get-Numbers {
  $found = @()
  foreach ($path in [IO.Directory]::GetDirectories((Get-Place 'f'))) { $found += [int][IO.Path]::GetFileName($path) }
  return , @($found | Sort-Object)
}

function Send-Answer([string]$answer, [string]$reason) {
  $script:reply.Clear()
  Say "answer $answer"
  if ($reason -ne '') { Say "reason $reason" }
  Send-Reply
}

function Assert-NotLate([int]$number, [long]$notAfter) {
  if ([IO.File]::Exists((Get-Place 'closed'))) { Send-Answer 'late' 'no freeze may begin in this workspace any more' }
  $now = Get-Clock
  if ($now -gt $notAfter) { Send-Answer 'late' "the clock of the guest is at $now ms, and it had to begin by $notAfter ms" }
  foreach ($other in (Get-Numbers)) {
    if ($other -gt $number) { Send-Answer 'late' "freeze $other came before it" }
  }
}

function Invoke-FreezeCommand([int]$number, [long]$limit, [long]$notAfter) {
  if (-not [IO.File]::Exists((Get-Place 's\pre-freeze.entry'))) { Stop-With 'guest-script-missing' 'There is no pre-freeze script' }
  $name = "f\$number"
  $d = Get-Place $name
  $run = "$d\pre-freeze"
  Assert-NotLate $number $notAfter
  # New-Item fails when the directory exists, so that one alone makes it.
  try { [void](New-Item -ItemType Directory -Path $d) } catch { Send-Answer 'late' "freeze $number began or was thawed before" }
  Assert-NotLate $number $notAfter
  foreach ($other in (Get-Numbers)) {
    if ($other -ge $number) { continue }
    if ($null -eq (Complete-Thaw $other 'next-freeze')) { Send-Answer 'late' "freeze $other cannot be thawed" }
  }
  try { Start-Detached @('timer', "$number", "$limit") } catch { Send-Answer 'no-timer' $_.Exception.Message }
  if (-not (Wait-Until { [IO.File]::Exists("$d\timer") } 15000)) { Send-Answer 'no-timer' 'it did not start within 15 s' }
  $timer = Read-Record "$d\timer"
  if (-not (Test-Alive $timer[0] $timer[1])) {
    if ([IO.File]::Exists("$run.run")) { Send-Answer 'late' 'it was thawed before it began' }
    Send-Answer 'no-timer' 'it ended at once'
  }
  try { Start-Detached @('script', 'pre-freeze', "$name\pre-freeze", "$number", 'capture', "$notAfter") } catch { }
  if (-not (Wait-Until { [IO.File]::Exists("$run.run") } 20000)) { [void](New-Claim "$run.run" '0 0 0 0 capture') }
  $record = Read-Record "$run.run"
  if ($record[0] -eq '0') { Send-Answer 'late' 'it was thawed before it began, or could not begin in time' }
  $timeout = [Math]::Min([long](Read-Text (Get-Place 's\pre-freeze.timeout')), $limit)
  Wait-Run $run ([long]$record[3] + $timeout) "$d\thaw"
  if ((-not [IO.File]::Exists("$d\thaw")) -and (-not (Test-Alive $timer[0] $timer[1]))) { [void](Complete-Thaw $number 'timer') }
  $script:reply.Clear()
  if ([IO.File]::Exists("$d\thaw")) {
    [void](Wait-Until { [IO.File]::Exists("$d\end") } 30000)
    Say "answer thawed-early $((Read-Record "$d\thaw")[0])"
    [void](Add-Report "$name\pre-freeze" 'pre-freeze')
    Send-Reply
  }
  $good = Add-Report "$name\pre-freeze" 'pre-freeze'
  if ($good) { Say 'answer held' } else { Say 'answer script-failed' }
  Send-Reply
}

# Thaws a freeze when pre-freeze began $limit milliseconds ago; earlier when pre-freeze has to be killed first.
function Invoke-TimerCommand([int]$number, [long]$limit) {
  $d = Get-Place "f\$number"
  $base = Get-Clock
  if (-not (New-Claim "$d\timer" "$PID $(Get-Birth) 0 $base timer")) { return }
  $tries = 0
  while ([IO.Directory]::Exists($d) -and -not [IO.File]::Exists("$d\end")) {
    if ([IO.File]::Exists("$d\pre-freeze.run")) {
      $record = Read-Record "$d\pre-freeze.run"
      if ($record[0] -eq '0') { return }
      $base = [long]$record[3]
    }
    # A thaw has to start PowerShell first.
    $early = [Math]::Min([long][Math]::Floor($limit / 4), 3000)
    $rest = $base + $limit - $early - (Get-Clock)
    if ($rest -le 0) {
      try { if ($null -ne (Complete-Thaw $number 'timer')) { return } } catch { }
      $tries += 1
      if ($tries -ge 100) { return }
      $rest = 500
    }
    Start-Sleep -Milliseconds ([int][Math]::Min($rest, 500))
  }
}

# Thaws freeze $number on behalf of $by. Everybody who comes does every step that is not done yet.
# Gives By ('-' when nothing ever began), Held and Run; null when it could not be completed.
function Complete-Thaw([int]$number, [string]$by) {
  $name = "f\$number"
  $d = Get-Place $name
  [void][IO.Directory]::CreateDirectory($d)
  [void](New-Claim "$d\pre-freeze.run" "0 0 0 $(Get-Clock) $by")
  $record = Read-Record "$d\pre-freeze.run"
  if ($record[0] -eq '0') { return @{ By = '-'; Held = 0; Run = '' } }
  [void](New-Claim "$d\thaw" "$by $(Get-Clock)")
  if (-not [IO.File]::Exists("$d\end")) {
    if (-not [IO.File]::Exists("$d\pre-freeze.exit")) { Stop-Run "$d\pre-freeze" 'thaw' }
    if ([IO.File]::Exists((Get-Place 's\post-thaw.entry'))) {
      $done = $false
      for ($try = 1; ($try -le 3) -and -not $done; $try++) {
        if (-not (Invoke-Run "$name\post-thaw.$try" 'post-thaw' "$number" $by)) { return $null }
        $done = -not (Test-Lost "$d\post-thaw.$try")
      }
      if (-not $done) { return $null }
    }
    # It sees the end, and with it ends what pre-freeze left running.
    [void](New-Claim "$d\end" "$(Get-Clock)")
    if (-not (Wait-Until { -not (Test-Alive $record[0] $record[1]) } 5000)) { Stop-Run "$d\pre-freeze" 'end' }
  }
  $first = Read-Record "$d\thaw"
  $result = @{ By = $first[0]; Held = [long]$first[1] - [long]$record[3]; Run = '' }
  foreach ($try in 1, 2, 3) {
    if ([IO.File]::Exists("$d\post-thaw.$try.run")) { $result.Run = "$name\post-thaw.$try" }
  }
  if ($result.Run -ne '') {
    # What counts is when the script that thaws began, and who started it.
    $post = Read-Record "$d\post-thaw.1.run"
    $result.By = $post[4]
    $result.Held = [long]$post[3] - [long]$record[3]
  }
  return $result
}

function Invoke-ThawCommand([string]$which, [string]$by, [string]$close) {
  if ($close -eq 'close') { [void](New-Claim (Get-Place 'closed') $by) }
  $numbers = @($which)
  if ($which -eq 'all') { $numbers = Get-Numbers }
  $told = @{ By = '-'; Held = 0; Run = '' }
  foreach ($number in $numbers) {
    $one = Complete-Thaw ([int]$number) $by
    if ($null -eq $one) { Stop-With 'guest-thaw-failed' "The post-thaw script of freeze $number could not be run" }
    if (($which -ne 'all') -or ($one.By -ne '-')) { $told = $one }
  }
  $script:reply.Clear()
  Say "thawed $($told.By) $($told.Held)"
  if ($told.Run -ne '') { [void](Add-Report $told.Run 'post-thaw') }
  Send-Reply
}
`
