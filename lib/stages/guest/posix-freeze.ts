// The third part of the wrapper for Linux guests (see posix-wrapper.ts): freeze, timer and thaw.

export const posixFreeze = `# A freeze has the directory f/<number>:
#   pre-freeze.run   whoever claims it decides: the script, or a thaw that came first (pid 0), after which nothing can begin
#   timer            pid and birth of the timer, clock when it was armed
#   thaw             who came first to thaw, and the clock
#   end              the thaw is complete
#   holders          pid and birth of each process that pre-freeze named as holding the guest
#   lost             the first of them that had ended before the thaw
#   reserve          room for the thaw's own records, should somebody fill the storage meanwhile

cmd_freeze() {
  local number=$1 limit=$2 d="f/$1" other pid born session ms rest timeout
  [ -f s/pre-freeze.entry ] || refuse guest-script-missing 'There is no pre-freeze script'
  too_late "$number" "$3"
  mkdir "$d" 2>/dev/null || late "freeze $number began or was thawed before"
  # Two freezes that passed the first look see one another here, since each made its directory before.
  too_late "$number" "$3"
  for other in f/*; do
    [ "\${other#f/}" -ge "$number" ] || thaw_one "\${other#f/}" next-freeze || late "freeze \${other#f/} cannot be thawed"
  done
  outlive_login || no_timer "$why"
  head -c 65536 /dev/zero > "$d/reserve" || no_timer "there is no room in \\"$W\\""
  arm_timer "$d" "$number" "$limit"
  detach script pre-freeze "$d/pre-freeze" "$number" capture "$3"
  await_file "$d/pre-freeze.run" 10000 || claim "$d/pre-freeze.run" '0 0 0 0 capture'
  read -r pid born session ms rest < "$d/pre-freeze.run" || late 'the workspace is gone'
  [ "$pid" != 0 ] || late 'it was thawed before it began, or could not begin in time'
  line_of s/pre-freeze.timeout
  timeout=$line
  [ "$timeout" -lt "$limit" ] || timeout=$limit
  await_run "$d/pre-freeze" "$((ms + timeout))" "$d/thaw"
  read -r pid born rest < "$d/timer"
  [ -e "$d/thaw" ] || alive "$pid" "$born" || thaw_one "$number" timer || :
  if [ -e "$d/thaw" ]; then
    await_file "$d/end" 30000
    read -r rest ms < "$d/thaw"
    report "$d/pre-freeze" pre-freeze > "$d/report"
    answer "thawed-early $rest" "$d/report"
  fi
  keep_holders "$d"
  if report "$d/pre-freeze" pre-freeze > "$d/report"; then answer held "$d/report"; fi
  answer script-failed "$d/report"
}

# Notes who holds the guest, as pre-freeze wrote it into $COLDFRAME_HOLDERS: numbers of processes, one a line.
keep_holders() {
  local pid
  [ -f "$1/pre-freeze.holders" ] || return 0
  while read -r pid || [ -n "$pid" ]; do
    case $pid in '' | *[!0-9]*) continue ;; esac
    if look "$pid"; then printf '%s %s\\n' "$pid" "$p_born" >> "$1/holders"; else claim "$1/lost" "$pid"; fi
  done < "$1/pre-freeze.holders"
}

note_lost() {
  local pid born
  [ -f "$1/holders" ] || return 0
  while read -r pid born; do
    alive "$pid" "$born" || claim "$1/lost" "$pid"
  done < "$1/holders"
}

# Answers "late" when the freeze $1 must not begin any more, or not after $2 on the clock.
too_late() {
  local other
  clock
  [ ! -e closed ] || late 'no freeze may begin in this workspace any more'
  [ "$now" -le "$2" ] || late "the guest's clock is at $now ms, and it had to begin by $2 ms"
  for other in f/*; do
    [ "$other" != 'f/*' ] || continue
    [ "\${other#f/}" -le "$1" ] || late "freeze \${other#f/} came before it"
  done
}

late() {
  answer late '' "$1"
}

no_timer() {
  answer no-timer '' "$1"
}

answer() {
  begin
  printf 'answer %s\\n' "$1"
  [ -z "$2" ] || cat "$2"
  [ $# -lt 3 ] || printf 'reason %s\\n' "$3"
  printf 'end\\n'
  exit 0
}

await_file() {
  local end
  clock
  end=$((now + $2))
  while [ ! -e "$1" ]; do
    clock
    [ "$now" -lt "$end" ] || return 1
    nap 20
  done
}

arm_timer() {
  local pid born rest
  detach timer "$2" "$3"
  await_file "$1/timer" 5000 || no_timer 'it did not start within 5 s'
  read -r pid born rest < "$1/timer"
  if kill -0 "$pid" 2>/dev/null && alive "$pid" "$born"; then return 0; fi
  # It ends by itself when there is nothing to thaw any more.
  [ ! -e "$1/pre-freeze.run" ] || late 'it was thawed before it began'
  no_timer 'it ended at once'
}

# Thaws freeze $1 when pre-freeze began $2 milliseconds ago; a little early so that the thaw has begun by then, and earlier
# when pre-freeze has to be killed first.
cmd_timer() {
  local d="f/$1" pid born session ms rest base early kill_early tries=0
  look $$
  clock
  base=$now
  claim "$d/timer" "$$ $p_born $now" || exit 0
  kill_early=$(($2 / 4))
  [ "$kill_early" -ge 500 ] || kill_early=500
  [ "$kill_early" -le "$(($2 / 2))" ] || kill_early=$(($2 / 2))
  [ "$kill_early" -le 1500 ] || kill_early=1500
  polite=$((kill_early / 2))
  while [ -d "$d" ] && [ ! -e "$d/end" ]; do
    if [ -e "$d/pre-freeze.run" ] && read -r pid born session ms rest < "$d/pre-freeze.run"; then
      [ "$pid" != 0 ] || exit 0
      base=$ms
    fi
    early=$kill_early
    # From here to the first line of post-thaw a busy machine was seen to take 290 ms.
    if [ -e "$d/pre-freeze.exit" ] && [ "$early" -gt 1000 ]; then early=1000; fi
    clock
    rest=$((base + $2 - early - now))
    if [ "$rest" -le 0 ]; then
      # Whatever is in the way, such as a guest without room for one more process, may pass.
      thaw_one "$1" timer || [ "$tries" -ge 100 ] && exit 0
      tries=$((tries + 1)) rest=500
    fi
    [ "$rest" -le 500 ] || rest=500
    nap "$rest"
  done
}

# Thaws freeze $1 on behalf of $2. Everybody who comes does every step that is not done yet: each step takes effect once,
# and none is lost with the process that began it. Sets $t_by (- when nothing ever began), $t_held and $t_run. 1 when it
# could not be completed.
thaw_one() {
  local d="f/$1" pid born session ms rest try
  t_by='-' t_held=0 t_run='' t_lost=''
  mkdir "$d" 2>/dev/null
  rm -f "$d/reserve"
  clock
  claim "$d/pre-freeze.run" "0 0 0 $now $2"
  read -r pid born session ms rest < "$d/pre-freeze.run" || refuse guest-wrapper-refused "No record of freeze $1 can be kept"
  [ "$pid" != 0 ] || return 0
  claim "$d/thaw" "$2 $now"
  # Before anything is ended: whether the freeze held until now.
  [ -e "$d/end" ] || [ -e "$d/post-thaw.1.run" ] || note_lost "$d"
  line_of "$d/lost"
  t_lost=$line
  [ -e "$d/end" ] || complete_thaw "$@" || return 1
  for try in 1 2 3; do
    [ ! -f "$d/post-thaw.$try.run" ] || t_run="$d/post-thaw.$try"
  done
  read -r t_by rest < "$d/thaw"
  # What counts is when the script that thaws began, and who started it.
  [ -z "$t_run" ] || read -r pid born session rest t_by < "$d/post-thaw.1.run"
  t_held=$((rest - ms))
}

# The steps of a thaw once pre-freeze has begun.
complete_thaw() {
  local d="f/$1" pid born session rest try=1 twice=0 run
  read -r pid born session rest < "$d/pre-freeze.run"
  # Who did not end at once before waits for this thaw.
  [ ! -e "$d/pre-freeze.survived" ] || polite=0
  [ -e "$d/pre-freeze.exit" ] || end_run "$d/pre-freeze" thaw
  while [ -f s/post-thaw.entry ] && [ "$try" -le 3 ]; do
    run="$d/post-thaw.$try"
    perform "$run" post-thaw "$1" "$2" || return 1
    try=$((try + 1))
    if was_lost "$run"; then
      [ "$try" -le 3 ] || return 1
      continue
    fi
    # A freeze that could not be killed may have come true after this thaw: once more, when it is over.
    [ -e "$d/pre-freeze.survived" ] && [ "$twice" = 0 ] || break
    twice=1
    end_for "$pid" "$born" "$session"
  done
  end_tree "$pid" "$born" "$session"
  clock
  claim "$d/end" "$now"
  [ -e "$d/end" ]
}

# Tries for some time to end a tree.
end_for() {
  local round=0
  while ! end_tree "$@" && [ "$round" -lt 20 ]; do round=$((round + 1)); done
}

# Thaws freeze $1, or every one ("all") that began and was not thawed; with $3 "close" none may begin any more.
cmd_thaw() {
  local other number by='-' held=0 run='' lost='' last=0
  [ "$3" != close ] || claim closed "$2"
  if [ "$1" != all ]; then
    thaw_one "$1" "$2" || refuse guest-thaw-failed "The post-thaw script of freeze $1 could not be run"
    by=$t_by held=$t_held run=$t_run lost=$t_lost
  else
    for other in f/*; do
      [ "$other" != 'f/*' ] || continue
      number=\${other#f/}
      thaw_one "$number" "$2" || refuse guest-thaw-failed "The post-thaw script of freeze $number could not be run"
      [ "$t_by" != - ] && [ "$number" -gt "$last" ] || continue
      last=$number by=$t_by held=$t_held run=$t_run lost=$t_lost
    done
  fi
  begin
  printf 'thawed %s %s\\n' "$by" "$held"
  [ -z "$lost" ] || printf 'lost %s\\n' "$lost"
  [ -z "$run" ] || report "$run" post-thaw
  printf 'end\\n'
}

cmd_now() {
  clock
  begin
  printf 'now %s\\nend\\n' "$now"
}
`
