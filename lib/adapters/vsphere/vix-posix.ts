// The program that runs another one in a POSIX guest: VMware Tools give neither streams nor a time limit, and forget exit
// codes. It is one sh script a run, with every argument and value quoted in it; nothing else of the guest reads them.
//
// It needs sh, setsid (without it the tree is found by parents), mkfifo, dd, wc, head, cat, ln, readlink, sleep, id and /proc.
// What the program leaves in a session of its own (a daemon, the timer of a freeze) goes on after its end and its kill.

import type { ProgramRequest } from '../../ports/guest.ts'
import { argumentUnfit, type GuestShell, type RunPlace, whyNotElevated } from './vix-run.ts'

/** Names that some sh keeps for itself: an export of them fails, or the program would get another value. */
const shellNames =
  /^(_|UID|EUID|GROUPS|PPID|SHELLOPTS|BASH.*|SHLVL|RANDOM|SRANDOM|SECONDS|EPOCH.*|LINENO|OPTIND|FUNCNAME|DIRSTACK|HISTCMD|cf_.*)$/

const DIGEST = `[ -e "$1" ] || exit 44
for each in 'sha256sum' 'shasum -a 256' 'openssl dgst -sha256 -r'; do
  command -v "\${each%% *}" >/dev/null 2>&1 && exec $each <"$1"
done
exit 43`

export const posixShell: GuestShell = {
  family: 'linux',
  scriptName: 'run.sh',
  storage: '/dev/shm',
  write: posixScript,
  start: (script) => ({ programPath: '/bin/sh', arguments: `${quotePosix(script)} run` }),
  stop: ({ script }) => ({
    kind: 'program',
    spec: { programPath: '/bin/sh', arguments: `${quotePosix(script)} stop` },
  }),
  isAbsolute: (path) => path.startsWith('/'),
  join: (directory, name) => `${directory.replace(/\/+$/, '')}/${name}`,
  identify: { program: '/bin/sh', args: ['-c', 'id -u; id -un'] },
  identityOf: (stdout, user) => {
    const [uid = '', name = ''] = stdout.split('\n')
    const elevated = uid.trim() === '0'
    const known = name.trim() === '' ? user : name.trim()
    return { user: known, elevated, whyNot: elevated ? null : whyNotElevated('linux', known) }
  },
  digest: (path) => ({ program: '/bin/sh', args: ['-c', DIGEST, 'digest', path] }),
}

/** A word that every POSIX shell reads as exactly this text. @throws BackupError `guest-argument-unfit` */
export function quotePosix(text: string): string {
  if (text.includes('\0')) throw argumentUnfit('has a NUL character')
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** @param place.work a directory that the script makes; it ends with the file "result" in it */
function posixScript(request: ProgramRequest, place: RunPlace): string {
  const { program, args, environment, workingDirectory } = request
  if (program.startsWith('-')) throw argumentUnfit(`has the name "${program}", which begins with "-"`)
  const refuse = (reason: string) => `{ echo ${reason} >${quotePosix(`${place.work}/refused`)}; exit 1; }`
  const child = [
    ...(workingDirectory === null
      ? []
      : [`cd -- ${quotePosix(workingDirectory)} 2>/dev/null || ${refuse('no-directory')}`]),
    ...Object.entries(environment).map(([name, value]) => `export ${nameOf(name)}=${quotePosix(value)}`),
    `cf_find ${quotePosix(program)} || ${refuse('no-program')}`,
    `exec ${[program, ...args].map(quotePosix).join(' ')}`,
  ]
  const settings = [
    `cf_script=${quotePosix(place.script)}`,
    `cf_work=${quotePosix(place.work)}`,
    `cf_former=${quotePosix(place.former ?? '')}`,
    `cf_limit=${(request.timeoutMs / 1000).toFixed(3)} cf_seconds=${Math.max(1, Math.ceil(request.timeoutMs / 1000))}`,
    `cf_elevated=${request.elevated ? 1 : 0}`,
  ]
  return `${HEAD}\n${settings.join('\n')}\ncf_child() {\n${child.join('\n')}\n}\n${BODY}`
}

function nameOf(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || shellNames.test(name))
    throw argumentUnfit(`has a variable "${name}", which is no name, or one that a shell keeps for itself`)
  return name
}

const HEAD = '# One program, run for a backup by Coldframe: see docs/GUESTS.md. Removed when it is done.'

/**
 * Everything stands in functions, and the last word of the last line is checked: of a script that came short, nothing runs.
 * "decided" is a symbolic link that is made once and says how it ended; "result" appears by a rename.
 */
const BODY = `
cf_find() {
  case $1 in
  */*) [ -f "$1" ] && [ -x "$1" ] ;;
  *) (
    IFS=:
    set -f
    for cf_folder in $PATH; do [ -f "\${cf_folder:-.}/$1" ] && [ -x "\${cf_folder:-.}/$1" ] && exit 0; done
    exit 1
  ) ;;
  esac
}
# Every process of the program's session gets the signal; without setsid, its descendants and those that once were, as the
# file "tree" has them. False when there is none.
cf_signal() {
  { read -r cf_leader <"$cf_work/session"; } 2>/dev/null || return 1
  cf_tree= cf_known=' ' cf_again=1
  if [ -e "$cf_work/tree" ]; then
    read -r cf_tree <"$cf_work/tree"
    cf_tree=" $cf_leader $cf_tree " cf_known=$cf_tree
  fi
  while [ "$cf_again" = 1 ]; do
    cf_again=0
    for cf_stat in /proc/[0-9]*/stat; do
      { read -r cf_line <"$cf_stat"; } 2>/dev/null || continue
      cf_pid=\${cf_line%% *}
      case $cf_known in *" $cf_pid "*) continue ;; esac
      # The name in brackets may hold anything; then state, parent, group, session.
      set -- "$1" \${cf_line##*) }
      case $2 in Z | X) continue ;; esac
      if [ -n "$cf_tree" ]; then
        case $cf_known in *" $3 "*) cf_again=1 ;; *) continue ;; esac
      elif [ "$5" != "$cf_leader" ]; then
        continue
      fi
      cf_known="$cf_known$cf_pid "
    done
  done
  [ -z "$cf_tree" ] || echo $cf_known >"$cf_work/tree"
  cf_any=1
  for cf_pid in $cf_known; do kill -"$1" "$cf_pid" 2>/dev/null && cf_any=0; done
  return "$cf_any"
}
# TERM, and KILL to what is left after 2 seconds: a look takes time as well.
cf_kill() {
  cf_round=0
  cf_signal TERM || return 0
  while [ "$cf_round" -lt "$cf_rounds" ] && cf_signal 0; do
    sleep "$cf_moment"
    cf_round=$((cf_round + 1))
  done
  cf_round=0
  while [ "$cf_round" -lt 50 ] && cf_signal KILL; do
    sleep "$cf_moment"
    cf_round=$((cf_round + 1))
  done
}
cf_timer() {
  cf_nap= cf_over=
  # The signal may come before the number of the sleep is known. A polite one to the sleep could be lost in its beginning.
  trap 'cf_over=1; [ -z "$cf_nap" ] || kill -KILL "$cf_nap" 2>/dev/null' TERM
  sleep "$cf_limit" &
  cf_nap=$!
  [ -z "$cf_over" ] || kill -KILL "$cf_nap" 2>/dev/null
  wait "$cf_nap"
  [ -z "$cf_over" ] || exit 0
  ln -s late "$cf_work/decided" 2>/dev/null && cf_kill
}
# Keeps the first 64 KiB and lets the program write on.
cf_drain() {
  : >>"$cf_work/$1"
  cf_size=0
  while [ "$cf_size" -lt 65536 ]; do
    dd bs=65536 count=1 2>/dev/null >>"$cf_work/$1"
    cf_grown=$(($(wc -c <"$cf_work/$1")))
    [ "$cf_grown" -gt "$cf_size" ] || break
    cf_size=$cf_grown
  done
  [ "$cf_size" -lt 65536 ] || cat >/dev/null
  : >"$cf_work/$1.end"
}
cf_answer() {
  for cf_name in out err; do
    : >>"$cf_work/$cf_name"
    head -c 65536 "$cf_work/$cf_name" >"$cf_work/$cf_name.kept"
  done
  {
    echo "coldframe 1 $1 $2 $(($(wc -c <"$cf_work/out.kept"))) $(($(wc -c <"$cf_work/err.kept")))"
    cat "$cf_work/out.kept" "$cf_work/err.kept"
  } >"$cf_work/result.new" && mv "$cf_work/result.new" "$cf_work/result"
}
cf_run() {
  cf_mask=$(umask)
  umask 077
  mkdir "$cf_work" || exit 71
  echo "$$" >"$cf_work/wrapper"
  if [ -n "$cf_former" ]; then
    rm -rf -- "$cf_former" "$cf_former-run.sh"
  else
    # What channels that were cut off left behind, of this account, a day ago and before.
    find "\${cf_work%/*/*}"/coldframe-vix-* -prune -type d -user "$(id -u)" -mtime +0 -exec rm -rf {} + 2>/dev/null
  fi
  if [ "$cf_elevated" = 1 ] && [ "$(id -u)" != 0 ]; then
    cf_answer not-elevated 0
    exit 0
  fi
  if sleep 0.01 2>/dev/null; then
    cf_moment=0.1 cf_rounds=14 cf_blink=0.01 cf_blinks=80
  else
    cf_limit=$cf_seconds cf_moment=1 cf_rounds=2 cf_blink=1 cf_blinks=1
  fi
  mkfifo "$cf_work/out.pipe" "$cf_work/err.pipe" || exit 72
  cf_drain out <"$cf_work/out.pipe" >/dev/null 2>&1 &
  cf_drain err <"$cf_work/err.pipe" >/dev/null 2>&1 &
  if command -v setsid >/dev/null 2>&1; then
    setsid /bin/sh "$cf_script" child "$cf_mask" </dev/null >"$cf_work/out.pipe" 2>"$cf_work/err.pipe" &
  else
    echo >"$cf_work/tree"
    /bin/sh "$cf_script" child "$cf_mask" </dev/null >"$cf_work/out.pipe" 2>"$cf_work/err.pipe" &
  fi
  cf_program=$!
  cf_timer </dev/null >/dev/null 2>&1 &
  cf_timer_pid=$!
  wait "$cf_program"
  cf_code=$?
  if ln -s exited "$cf_work/decided" 2>/dev/null; then
    kill "$cf_timer_pid" 2>/dev/null
    cf_how=exited
  else
    cf_how=$(readlink "$cf_work/decided")
    if [ "$cf_how" = late ]; then
      wait "$cf_timer_pid"
    else
      kill "$cf_timer_pid" 2>/dev/null
      cf_kill
    fi
  fi
  # A daemon may hold the streams open: what it writes later is nobody's.
  cf_round=0
  while [ "$cf_round" -lt "$cf_blinks" ] && ! { [ -e "$cf_work/out.end" ] && [ -e "$cf_work/err.end" ]; }; do
    sleep "$cf_blink"
    cf_round=$((cf_round + 1))
  done
  [ ! -s "$cf_work/refused" ] || read -r cf_how <"$cf_work/refused"
  cf_answer "$cf_how" "$cf_code"
}
# Of a program that has not begun yet, nothing will run.
cf_stop() {
  umask 077
  if sleep 0.01 2>/dev/null; then cf_moment=0.1 cf_rounds=14; else cf_moment=1 cf_rounds=2; fi
  if mkdir "$cf_work" 2>/dev/null; then
    cf_answer stopped 0
  else
    ln -s stopped "$cf_work/decided" 2>/dev/null && cf_kill
    # The run itself may have been killed; then nobody else answers.
    { read -r cf_pid <"$cf_work/wrapper" && kill -0 "$cf_pid"; } 2>/dev/null || [ -e "$cf_work/result" ] || cf_answer stopped 0
  fi
}
cf_main() {
  case "$1 $3" in
  'run whole') cf_run ;;
  'stop whole') cf_stop ;;
  'child whole')
    umask "$2"
    echo "$$" >"$cf_work/session.new" && mv "$cf_work/session.new" "$cf_work/session" || exit 73
    [ ! -h "$cf_work/decided" ] || exit 74
    cf_child
    ;;
  *) exit 70 ;;
  esac
}
cf_main "$1" "$2" whole
`
