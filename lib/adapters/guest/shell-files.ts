// Carries files through `cat` in the guest's shell, for servers without SFTP.

import { fileRefused, pathMissing, tooLarge } from './guest-path.ts'
import { quoteWord } from './posix-script.ts'
import type { FileDoor } from './ssh-files.ts'
import { decodeStream, type OwnScript } from './ssh-program.ts'

export function shellFiles(own: OwnScript): FileDoor {
  return {
    write: async ({ path, bytes, mode }, { signal }) => {
      const file = quoteWord(path)
      const commands = `umask 077; if { true >${file}; } 2>/dev/null; then chmod ${(mode ?? 0o600).toString(8)} ${file}; begin ready 0; cat >${file}
else begin "$(look ${quoteWord(path.replace(/[^/]*$/, '.'))})" 0; fi`
      const end = await own(commands, { signal, input: bytes })
      if (end.word === 'absent') throw pathMissing(path)
      if (end.word !== 'ready' || end.exitCode !== 0) throw fileRefused(path, decodeStream(end.stderr).trim())
    },
    read: async ({ path, bytesMax }, { signal }) => {
      const file = quoteWord(path)
      const commands = `if { size=$(wc -c <${file}); } 2>/dev/null; then
if test "$size" -gt ${bytesMax}; then begin large 0; else begin ready 0; cat <${file}; fi
else begin "$(look ${file})" 0; fi`
      const end = await own(commands, { signal, stdoutBytesMax: bytesMax })
      if (end.word === 'absent') throw pathMissing(path)
      if (end.word === 'large' || end.stdoutBytes > bytesMax) throw tooLarge(path, bytesMax)
      if (end.word !== 'ready' || end.exitCode !== 0)
        throw fileRefused(path, `it cannot be read ${decodeStream(end.stderr)}`.trim())
      return end.stdout
    },
  }
}
