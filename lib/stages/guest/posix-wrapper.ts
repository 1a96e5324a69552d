// The wrapper that lies in Linux guests: one program for a POSIX shell with "local" (dash, bash, BusyBox). It runs scripts,
// freezes with a timer, and thaws so that whoever comes first takes effect and nobody's end loses it.
//
// It needs Linux with /proc, and: sh mkdir cat kill sleep head tail dd wc od rm ls mv ln chmod find id; sha256sum, openssl or
// shasum; tar and unzip for bundles; setsid where there is one. Everything it writes lies in memory: no step from freeze to
// thaw waits for a file system. It uses no here-documents, because shells keep them in files in /tmp.
//
// It decides who is first by hard links of finished files: like mkdir they either make the name or fail, and the name
// appears together with what it says.
//
// A reply is, wherever it begins in the output: "coldframe-wrapper 1", lines "key words…", "end".

import { posixFreeze } from './posix-freeze.ts'
import { posixInstall } from './posix-install.ts'
import { posixProcesses } from './posix-processes.ts'
import { posixScripts } from './posix-scripts.ts'

export const posixWrapper = `${posixProcesses}\n${posixScripts}\n${posixFreeze}\n${posixInstall}`

/**
 * Runs the wrapper $1 with the other arguments, by `sh -c`. Where there is none it says so, in the wrapper's words, and tells
 * an absent directory from one that it may not see.
 */
export const posixStart = `
if [ -f "$1" ]; then exec /bin/sh "$@"; fi
place=\${1%/*}
if [ "$2" = remove ]; then rm -rf "$place"; fi
above=\${place%/*}
while [ -n "$above" ] && [ ! -d "$above" ]; do above=\${above%/*}; done
printf '\\ncoldframe-wrapper 1\\n'
if [ -e "$place" ]; then
  printf 'refused guest-workspace-failed\\nreason There is no wrapper in "%s", or it may not be entered\\n' "$place"
elif [ ! -x "\${above:-/}" ]; then
  printf 'refused guest-workspace-failed\\nreason "%s" may not be entered\\n' "\${above:-/}"
else
  printf 'refused guest-workspace-missing\\nreason "%s" is gone\\n' "$place"
fi
printf 'end\\n'
`
