// The second part of the wrapper for Linux guests (see posix-wrapper.ts): runs of scripts and what is told of them.

export const posixScripts = `# A run is one start of one script. Its files begin with one path (f/1/pre-freeze, f/1/post-thaw.1, r/1/post-commit):
#   .run      pid, birth, session, clock at the start, on whose behalf; who claims it is the one that runs the script
#   .exit     exit code, clock at the end
#   .killed   why (timeout, thaw, lost) and the clock, when the script did not end by itself
#   .survived exists when some of its processes could not be killed at once
#   .out .err the first 64 KiB of each stream; .err.whole when there will be no more

# Keeps the first 64 KiB of its input in the file $1 and reads on to the end, so that nobody who writes is held up or
# gets a signal. What is written is in the file at once.
drain() {
  local left=65536 size
  # The polite signal is for the script: its last words are still read.
  trap '' TERM
  while [ "$left" -gt 0 ]; do
    dd bs="$left" count=1 2>/dev/null >> "$1" || break
    size=$(wc -c < "$1")
    [ "$((65536 - size))" -lt "$left" ] || break
    left=$((65536 - size))
  done
  printf '' > "$1.whole"
  cat > /dev/null
}

# Runs the file $1 by the interpreter it names, else by the shell: its storage may forbid to execute files.
interpret() {
  local first='' arg
  { IFS= read -r first < "$1"; } 2>/dev/null
  case $first in
    '#!'*) ;;
    ?ELF*) "$1"; return ;;
    *) /bin/sh "$1"; return ;;
  esac
  first=\${first#??}
  first=\${first%"$(printf '\\r')"}
  while :; do case $first in [' 	']*) first=\${first#?} ;; *[' 	']) first=\${first%?} ;; *) break ;; esac; done
  arg=\${first#"\${first%%[ 	]*}"}
  first=\${first%%[ 	]*}
  while :; do case $arg in [' 	']*) arg=\${arg#?} ;; *) break ;; esac; done
  if [ -n "$arg" ]; then "$first" "$arg" "$1"; else "$first" "$1"; fi
}

# Runs the script of stage $1 as the run $2 of freeze $3 on behalf of $4, unless it is claimed or the clock is past $5 (0: any).
cmd_script() {
  local file value session=0
  look $$
  [ "$p_session" != "$$" ] || session=$$
  clock
  [ "$5" = 0 ] || [ "$now" -le "$5" ] || exit 0
  claim "$2.run" "$$ $p_born $session $now $4" || exit 0
  for file in env/*; do
    [ -f "$file" ] || continue
    value=$(cat "$file"; printf x)
    export "\${file#env/}=\${value%x}"
  done
  COLDFRAME_STAGE=$1 COLDFRAME_FREEZE=$3 TMPDIR="$W/t"
  export COLDFRAME_STAGE COLDFRAME_FREEZE TMPDIR
  run="$W/$2"
  # Where pre-freeze may name the processes that hold the guest.
  COLDFRAME_HOLDERS="$run.holders"
  export COLDFRAME_HOLDERS
  line_of "s/$1.entry"
  cd "b/$1" || exit 1
  {
    {
      {
        interpret "$W/b/$COLDFRAME_STAGE/$line"
        code=$?
        clock
        put "$run.exit" "$code $now"
      } 2>&1 >&3 3>&- | drain "$run.err" > /dev/null 3>&-
    } 3>&1 | drain "$run.out"
  } < /dev/null
}

# Ends what the run $1 started, because of $2. 1 when some processes are left.
end_run() {
  local pid born session rest
  clock
  claim "$1.killed" "$2 $now"
  read -r pid born session rest < "$1.run"
  end_tree "$pid" "$born" "$session" && return 0
  claim "$1.survived" "$now"
  return 1
}

# Waits for the end of the run $1. At $2 on the clock it is ended; it is left alone when the file $3 appears.
await_run() {
  local pid born rest step=20
  read -r pid born rest < "$1.run"
  while [ ! -e "$1.exit" ]; do
    [ -z "$3" ] || [ ! -e "$3" ] || return 0
    if [ -e "$1.killed" ]; then
      end_run "$1" again
      return 0
    fi
    clock
    if [ "$now" -ge "$2" ]; then
      end_run "$1" timeout
      return 0
    fi
    if ! alive "$pid" "$born" && [ ! -e "$1.exit" ]; then
      end_run "$1" lost
      return 0
    fi
    nap "$step"
    [ "$step" -ge 100 ] || step=$((step + 2))
  done
}

# Starts the run $1 of the script of stage $2 unless it was started, and waits for its end. $3: freeze, $4: on whose behalf.
perform() {
  local tries=0 pid born session ms rest
  while [ ! -e "$1.run" ] && [ "$tries" -lt 500 ]; do
    [ "$((tries % 100))" -ne 0 ] || detach script "$2" "$1" "$3" "$4" 0
    nap 20
    tries=$((tries + 1))
  done
  read -r pid born session ms rest < "$1.run" || return 1
  line_of "s/$2.timeout"
  await_run "$1" "$((ms + line))" ''
}

was_lost() {
  line_of "$1.killed"
  case $line in lost*) [ ! -e "$1.exit" ] ;; *) return 1 ;; esac
}

# The run $1 of stage $2 as lines of a reply; 1 unless it succeeded.
report() {
  local pid born session ms rest code='-' timed=0 good=0 end bytes=0 waited=0
  read -r pid born session ms rest < "$1.run" || return 1
  clock
  end=$now
  if [ -e "$1.killed" ]; then
    read -r rest end < "$1.killed"
    [ "$rest" != timeout ] || timed=1
  elif [ -e "$1.exit" ]; then
    read -r code end < "$1.exit"
    line_of "s/$2.codes"
    case " $line " in *" $code "*) good=1 ;; esac
  fi
  # A process that the script left behind may keep the stream open.
  while [ ! -e "$1.err.whole" ] && [ "$waited" -lt 15 ]; do
    nap 20
    waited=$((waited + 1))
  done
  [ ! -f "$1.err" ] || bytes=$(wc -c < "$1.err")
  printf 'script %s %s %s %s %s %s %s\\n' "$2" "$1" "$code" "$timed" "$good" "$((end - ms))" "$((bytes))"
  print_stderr "$1" 0
  [ "$good" = 1 ]
}

# 12 KiB of what the run $1 wrote to stderr, from the offset $2, in hexadecimal digits: no channel can spoil them.
print_stderr() {
  local digits
  [ -s "$1.err" ] || return 0
  tail -c "+$(($2 + 1))" "$1.err" | head -c 12288 | od -An -v -tx1 | while read -r digits; do
    printf 'stderr %s\\n' "$digits"
  done
}

cmd_stderr() {
  case $1 in *..* | /*) refuse guest-wrapper-refused 'No such run' ;; esac
  begin
  print_stderr "$1" "$2"
  printf 'end\\n'
}

# Runs the script of stage $1 once, outside of any freeze.
cmd_run() {
  local number=1
  [ -f "s/$1.entry" ] || refuse guest-script-missing "There is no script for $1"
  while ! mkdir "r/$number" 2>/dev/null; do
    [ -d "r/$number" ] || refuse guest-workspace-full 'No directory for a script run could be made'
    number=$((number + 1))
  done
  perform "r/$number/$1" "$1" 0 capture || refuse guest-workspace-full "The script for $1 could not be started"
  begin
  report "r/$number/$1" "$1"
  printf 'end\\n'
}
`
