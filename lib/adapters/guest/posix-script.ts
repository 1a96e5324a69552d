// Texts for a POSIX shell in a guest. They are sent on standard input, never as arguments: no login shell reads them, and values
// of the environment appear in no list of processes. Pure.

import { assert } from '../../base/errors.ts'
import type { ProgramRequest } from '../../ports/guest.ts'

/** Two halves: only a command that is carried out prints them joined, never an echo of the script (set -v, set -x). */
export type Mark = { readonly head: string; readonly tail: string }

/** One word of a POSIX shell that stands for exactly this text. */
export function quoteWord(text: string): string {
  assert(!text.includes('\0'), 'no argument, path or value of a guest has a NUL character')
  return `'${text.replaceAll("'", `'\\''`)}'`
}

export function joinMark({ head, tail }: Mark): string {
  return `${head}${tail}`
}

/**
 * What the login shell is asked to run. Only characters that mean the same to every shell (sh, csh, fish) are between the single
 * quotes. It prints the greeting and its process id, and becomes a shell that reads a script from its standard input.
 */
export function bootstrapCommand({
  greeting,
  elevated,
}: {
  readonly greeting: string
  readonly elevated: boolean
}): string {
  const shell = elevated ? 'test "$(id -u)" = 0 && exec /bin/sh; exec sudo -n -- /bin/sh' : 'exec /bin/sh'
  return `exec /bin/sh -c 'echo ${greeting} $$; echo ${greeting} >&2; ${shell}'`
}

/**
 * A whole script: `commands` call `begin <word> <number>` once, after which both streams are theirs. All of it is read before any
 * of it runs, so what follows on standard input is input.
 */
export function scriptText(
  commands: string,
  { mark, input }: { readonly mark: Mark; readonly input: boolean },
): string {
  // A bash that finds the first two, whoever starts it, takes itself for a login of sshd's and reads .bashrc.
  return `unset SSH_CLIENT SSH2_CLIENT BASH_ENV ENV
begin() { printf '%s%s %s %s\\n' ${mark.head} ${mark.tail} "$1" "$2"; printf '%s%s\\n' ${mark.head} ${mark.tail} >&2; }
look() { case $(LC_ALL=C ls -d -- "$1" 2>&1 >/dev/null) in '') echo refused ;; *ermission*) echo refused ;; *) echo absent ;; esac; }
main() {
${commands}
}
main ${input ? '' : '</dev/null'}; exit $?
`
}

/**
 * Runs a program in a session that holds nothing else, so that it can be killed with its descendants. sshd makes one for every command,
 * and there sshd itself can signal it too; below sudo a new one is made. Begins with "started" and that session, or with "shared" when it
 * is the one of the shell that sshd started; or with "missing", or "directory-" and what look() says.
 */
export function programScript(request: ProgramRequest, mark: Mark): string {
  const { program, args, environment, workingDirectory } = request
  const names = Object.keys(environment)
  for (const name of names) assert(/^[A-Za-z_][A-Za-z0-9_]*$/.test(name), `"${name}" is no name of a variable`)
  const launch = `a=$1 b=$2 w=$3; shift 3; printf "%s%s %s %s\\n" "$a" "$b" "$w" $$; printf "%s%s\\n" "$a" "$b" >&2
unset a b w; exec "$@"`
  const start = `/bin/sh -c ${quoteWord(launch)} launch ${mark.head} ${mark.tail}`
  const exported = names.map((name) => `export ${name}=${quoteWord(environment[name] ?? '')}`)
  const directory = workingDirectory === null ? null : quoteWord(workingDirectory)
  return scriptText(
    [
      ...(directory === null
        ? []
        : [`cd -- ${directory} 2>/dev/null || { begin "directory-$(look ${directory})" 0; exit 0; }`]),
      'leader=no',
      `if { IFS= read -r line </proc/$$/stat; } 2>/dev/null; then set -- \${line##*) }; test "$4" != $$ || leader=yes; fi`,
      ...exported,
      `set -- ${[program, ...args].map(quoteWord).join(' ')}`,
      'case $1 in',
      '*/*) test -f "$1" && test -x "$1" ;;',
      '*) command -v "$1" >/dev/null 2>&1 ;;',
      'esac || { begin missing 0; exit 0; }',
      // What this shell itself has to say of a program's end ("Terminated") is no output of the program.
      'exec 3>&2 2>/dev/null',
      'if test $leader = no && command -v setsid >/dev/null',
      `then setsid ${start} started "$@" 2>&3 3>&-`,
      `else ${start} shared "$@" 2>&3 3>&-`,
      'fi',
    ].join('\n'),
    { mark, input: false },
  )
}

/**
 * Ends every process of a session: politely, and after two seconds not. A process that made a session of its own (a daemon, the
 * timer that thaws) is left alone. Prints the ids of those that would not end.
 */
export function killCommands(session: number): string {
  return `begin ready 0
target=${session}
members() {
  for file in /proc/[0-9]*/stat; do
    { IFS= read -r line <"$file"; } 2>/dev/null || continue
    pid=\${line%% *}
    set -- \${line##*) }
    if test "$4" = "$target" && test "$1" != Z; then echo "$pid"; fi
  done
}
test -r "/proc/$$/stat" || members() { kill -0 -- "-$target" 2>/dev/null && echo "-$target"; }
pause() { sleep 0.1 2>/dev/null || sleep 1; }
for signal in TERM TERM KILL KILL KILL; do
  turns=0
  while test "$turns" -lt 10; do
    all=$(members)
    test -n "$all" || exit 0
    if test "$turns" = 0 || test "$signal" = KILL; then kill -s "$signal" -- $all 2>/dev/null; fi
    turns=$((turns + 1))
    pause
  done
done
echo "$all"`
}
