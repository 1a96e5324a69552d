// The third part of the wrapper for Linux guests (see posix-wrapper.ts): freeze, timer and thaw.

export const posixFreeze = `# A freeze has the directory f/<number>:
#   pre-freeze.run   whoever claims it decides: the script, or a thaw that came first (pid 0), after which nothing can begin
#   timer            pid and birth of the timer, clock when it was armed
#   thaw             who came first to thaw, and the clock
#   end              the thaw is complete
#   reserve          room for the thaw's own records, should somebody fill the storage meanwhile

cmd_freeze() {
  local number=$1 limit=$2 d="f/$1" other pid born session ms rest timeout
  [ -f s/pre-freeze.entry ] || refuse guest-script-missing 'There is no pre-freeze script'
  too_late "$number" "$3"
  mkdir "$d" 2>/dev/null || late "freeze $number began before"
  # Two freezes that passed the first look see one another here, since each made its directory before.
  too_late "$number" "$3"
  for other in f/*; do
    [ "\${other#f/}" -ge "$number" ] || thaw_one "\${other#f/}" next-freeze
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
  [ -e "$d/thaw" ] || alive "$pid" "$born" || thaw_one "$number" timer
  if [ -e "$d/thaw" ]; then
    await_file "$d/end" 30000
    read -r rest ms < "$d/thaw"
    report "$d/pre-freeze" pre-freeze > "$d/report"
    answer "thawed-early $rest" "$d/report"
  fi
  if report "$d/pre-freeze" pre-freeze > "$d/report"; then answer held "$d/report"; fi
  answer script-failed "$d/report"
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
  kill -0 "$pid" 2>/dev/null && alive "$pid" "$born" || no_timer 'it ended at once'
}

# Thaws freeze $1 when pre-freeze began $2 milliseconds ago, a little early so that the thaw has begun by then.
cmd_timer() {
  local d="f/$1" pid born session ms rest base early
  look $$
  clock
  base=$now
  claim "$d/timer" "$$ $p_born $now" || exit 0
  early=$(($2 / 10))
  [ "$early" -le 300 ] || early=300
  while [ -d "$d" ] && [ ! -e "$d/end" ]; do
    if [ -e "$d/pre-freeze.run" ] && read -r pid born session ms rest < "$d/pre-freeze.run"; then
      [ "$pid" != 0 ] || exit 0
      base=$ms
    fi
    clock
    rest=$((base + $2 - early - now))
    if [ "$rest" -le 0 ]; then
      thaw_one "$1" timer
      exit 0
    fi
    [ "$rest" -le 500 ] || rest=500
    nap "$rest"
  done
}

# Thaws freeze $1 on behalf of $2. Everybody who comes does every step that is not done yet: each step takes effect once,
# and none is lost with the process that began it. Sets $t_by (- when nothing ever began), $t_held and $t_run.
thaw_one() {
  local d="f/$1" pid born session ms rest try=1 twice=0
  t_by='-' t_held=0 t_run=''
  mkdir "$d" 2>/dev/null
  rm -f "$d/reserve"
  clock
  claim "$d/pre-freeze.run" "0 0 0 $now $2"
  read -r pid born session ms rest < "$d/pre-freeze.run" || refuse guest-wrapper-refused "No record of freeze $1 can be kept"
  [ "$pid" != 0 ] || return 0
  claim "$d/thaw" "$2 $now"
  [ -e "$d/pre-freeze.exit" ] || end_run "$d/pre-freeze" thaw
  while [ -f s/post-thaw.entry ] && [ "$try" -le 3 ]; do
    t_run="$d/post-thaw.$try"
    perform "$t_run" post-thaw "$1" "$2"
    try=$((try + 1))
    if was_lost "$t_run"; then continue; fi
    # A freeze that could not be killed may have come true after this thaw: once more, when it is over.
    [ -e "$d/pre-freeze.survived" ] && [ "$twice" = 0 ] || break
    twice=1
    end_for "$pid" "$born" "$session"
  done
  end_tree "$pid" "$born" "$session"
  clock
  claim "$d/end" "$now"
  read -r t_by rest < "$d/thaw"
  # What counts is when the script that thaws began, and who started it.
  [ ! -f "$d/post-thaw.1.run" ] || read -r pid born session rest t_by < "$d/post-thaw.1.run"
  t_held=$((rest - ms))
}

# Tries for a minute to end a tree.
end_for() {
  local round=0
  while ! end_tree "$@" && [ "$round" -lt 20 ]; do round=$((round + 1)); done
}

# Thaws freeze $1, or every one ("all") that began and was not thawed; with $3 "close" none may begin any more.
cmd_thaw() {
  local other by='-' held=0 run=''
  [ "$3" != close ] || claim closed "$2"
  if [ "$1" != all ]; then
    thaw_one "$1" "$2"
    by=$t_by held=$t_held run=$t_run
  else
    for other in f/*; do
      [ "$other" != 'f/*' ] || continue
      thaw_one "\${other#f/}" "$2"
      [ "$t_by" = - ] || by=$t_by held=$t_held run=$t_run
    done
  fi
  begin
  printf 'thawed %s %s\\n' "$by" "$held"
  [ -z "$run" ] || report "$run" post-thaw
  printf 'end\\n'
}

cmd_now() {
  clock
  begin
  printf 'now %s\\nend\\n' "$now"
}
`
