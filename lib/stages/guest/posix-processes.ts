// The first part of the wrapper for Linux guests (see posix-wrapper.ts): the clock, claims, and trees of processes.

export const posixProcesses = `set -u
IFS=' 	
'
unset CDPATH
# The system's own folders first: nothing is looked for elsewhere while file systems are frozen.
PATH="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:\${PATH:-}"
export PATH
case $0 in */*) W=\${0%/*} ;; *) W=. ;; esac
cd "$W" || exit 1
W=$(pwd)

# The guest's monotonic clock in milliseconds, into $now. Runs no program.
clock() {
  local up part
  read -r up part < /proc/uptime
  part=\${up#*.}
  # A leading zero would make the digits octal: a 1 goes in front of them and is taken off again.
  now=$((\${up%.*} * 1000 + (1$part - 100) * 10))
}

# Sleeps for $1 milliseconds, or for a second where sleep takes whole seconds only; less when it is killed.
nap() {
  local part="00$(($1 % 1000))"
  sleep "$(($1 / 1000)).\${part#"\${part%???}"}" 2>/dev/null || [ $? -gt 128 ] || sleep 1
}

# Writes the file $1 unless it exists, whole or not at all. 0: it is ours; 1: there was one; 2: it could not be written.
claim() {
  local made="$1.$$" code
  printf '%s\\n' "$2" 2>/dev/null > "$made" && ln "$made" "$1" 2>/dev/null
  code=$?
  rm -f "$made"
  [ "$code" -ne 0 ] || return 0
  [ -e "$1" ] && return 1
  return 2
}

put() {
  printf '%s\\n' "$2" > "$1.$$" && mv -f "$1.$$" "$1"
}

# The first line of the file $1, into $line.
line_of() {
  line=
  { IFS= read -r line < "$1"; } 2>/dev/null
}

# What /proc says of the process $1, into $p_state, $p_parent, $p_group, $p_session and $p_born (in ticks since the guest's
# start).
# 1 when there is none, or only a zombie.
look() {
  local text='' part=''
  # The command's name, in brackets, may hold anything, line ends too.
  { while IFS= read -r part || [ -n "$part" ]; do text="$text $part"; done < "/proc/$1/stat"; } 2>/dev/null
  set -f
  # shellcheck disable=SC2086
  set -- \${text##*) }
  set +f
  [ $# -ge 20 ] || return 1
  case $1 in Z | X) return 1 ;; esac
  p_state=$1 p_parent=$2 p_group=$3 p_session=$4 p_born=\${20}
}

alive() {
  look "$1" && [ "$p_born" = "$2" ]
}

# Adds to $found (" pid:born pid:born ") every process that descends from one in it or belongs to the session $1 (0: none),
# and stops each, so that none can get away by forking.
gather() {
  local before='' entry pid
  while [ "$before" != "$found" ]; do
    before=$found
    for entry in /proc/[0-9]*; do
      pid=\${entry#/proc/}
      case $found in *" $pid:"*) continue ;; esac
      [ "$pid" != "$$" ] && look "$pid" || continue
      case $found in *" $p_parent:"*) ;; *)
        [ "$1" != 0 ] || continue
        [ "$p_session" = "$1" ] || [ "$p_group" = "$1" ] || continue ;;
      esac
      kill -STOP "$pid" 2>/dev/null
      found="$found$pid:$p_born "
    done
  done
}

# Sends $1 to all of $found that still live; 1 when there are none.
tell() {
  local pair code=1
  for pair in $found; do
    alive "\${pair%:*}" "\${pair#*:}" || continue
    code=0
    [ "$1" = 0 ] || kill "-$1" "\${pair%:*}" 2>/dev/null
  done
  return "$code"
}

# Waits until all of $found are gone, for at most $1 milliseconds.
gone_within() {
  local end
  clock
  end=$((now + $1))
  while tell 0; do
    clock
    [ "$now" -lt "$end" ] || return 1
    nap 20
  done
}

# Whether all of $found that still live wait in system calls that cannot be interrupted, as on a frozen file system.
all_stuck() {
  local pair
  for pair in $found; do
    alive "\${pair%:*}" "\${pair#*:}" && [ "$p_state" != D ] && return 1
  done
  return 0
}

# Ends the process $1 that was born at $2, all that descend from it and all of the session $3 (0: it has none of its own):
# first politely, then by force. 1 when some are left.
end_tree() {
  local round=0
  found=' '
  if look "$1"; then
    # Its number went to another process, so its session is gone as well.
    [ "$p_born" = "$2" ] || return 0
    found=" $1:$2 "
    kill -STOP "$1" 2>/dev/null
  fi
  gather "$3"
  tell TERM || return 0
  tell CONT
  gone_within "$polite"
  while [ "$round" -lt 5 ]; do
    gather "$3"
    tell KILL || return 0
    gone_within 400 && return 0
    all_stuck && return 1
    round=$((round + 1))
  done
  ! tell 0
}

# Starts this program once more, with the arguments given, so that it outlives this session and is no child of it.
detach() {
  (
    [ -n "$setsid" ] || trap '' HUP
    # shellcheck disable=SC2086
    $scope $setsid /bin/sh "$W/wrapper.sh" "$@" < /dev/null > /dev/null 2>&1 &
  )
}

# How long processes have to end politely, in milliseconds.
polite=1000
setsid=setsid
command -v setsid > /dev/null || setsid=
scope=

# What systemd-logind does about $1, into $value; $2 where nothing says. The commented lines of a distribution's own file
# name what it was built with.
logind() {
  local said='' file line
  value=$2
  for file in /usr/lib/systemd/logind.conf /etc/systemd/logind.conf /usr/lib/systemd/logind.conf.d/*.conf \\
    /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf; do
    [ -f "$file" ] || continue
    while read -r line || [ -n "$line" ]; do
      case $line in "$1="*) said=\${line#*=} ;; "#$1="*) value=\${line#*=} ;; esac
    done < "$file"
  done
  value=\${said:-$value}
  case $value in yes | true | on | 1) value=yes ;; *) value=no ;; esac
}

# How processes must be started to outlive the login, into $scope. 1 when they cannot, with $why.
outlive_login() {
  [ -d /run/systemd/system ] || return 0
  logind KillUserProcesses no
  [ "$value" = yes ] || return 0
  why='systemd-logind ends all processes of a login with it (KillUserProcesses=yes)'
  if [ "$(id -u)" != 0 ]; then
    why="$why, and only root may start one outside of it"
    return 1
  fi
  scope='systemd-run --scope --quiet'
  $scope true 2>/dev/null < /dev/null && return 0
  why="$why, and systemd-run could not start one outside of it"
  return 1
}

begin() {
  printf '\\ncoldframe-wrapper 1\\n'
}

refuse() {
  begin
  printf 'refused %s\\nreason %s\\nend\\n' "$1" "$2"
  exit 0
}
`
