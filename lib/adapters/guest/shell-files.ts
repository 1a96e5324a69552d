// Carries files through `cat` in the guest's shell, for servers without SFTP.

import { fileRefused, pathMissing, tooLarge } from './guest-path.ts'
import { type Mark, quoteWord, scriptText } from './posix-script.ts'
import type { FileDoor } from './ssh-files.ts'
import { type SshShell, STREAM_BYTES_MAX } from './ssh-shell.ts'

const CARRY_MS = 600_000

export function shellFiles(shell: SshShell): FileDoor {
  return {
    write: async ({ path, bytes, mode }, { signal }) => {
      const file = quoteWord(path)
      const commands = `umask 077; if { true >${file}; } 2>/dev/null; then chmod ${mode.toString(8)} ${file}; begin ready 0; cat >${file}
else begin "$(look ${quoteWord(path.replace(/[^/]*$/, '.'))})" 0; fi`
      const text = (mark: Mark) => scriptText(commands, { mark, input: true })
      const request = { elevated: false, stdoutBytesMax: STREAM_BYTES_MAX, timeoutMs: CARRY_MS }
      const end = await shell.run({ ...request, text, input: bytes }, { signal })
      if (end.word === 'absent') throw pathMissing(path)
      if (end.word !== 'ready' || end.exitCode !== 0) throw fileRefused(path, words(end.stderr).trim())
    },
    read: async ({ path, bytesMax }, { signal }) => {
      const file = quoteWord(path)
      const commands = `if { size=$(wc -c <${file}); } 2>/dev/null; then
if test "$size" -gt ${bytesMax}; then begin large 0; else begin ready 0; cat <${file}; fi
else begin "$(look ${file})" 0; fi`
      const text = (mark: Mark) => scriptText(commands, { mark, input: false })
      const request = { elevated: false, input: null, stdoutBytesMax: bytesMax, timeoutMs: CARRY_MS }
      const end = await shell.run({ ...request, text }, { signal })
      if (end.word === 'absent') throw pathMissing(path)
      if (end.word === 'large' || end.stdoutBytes > bytesMax) throw tooLarge(path, bytesMax)
      if (end.word !== 'ready' || end.exitCode !== 0)
        throw fileRefused(path, `it cannot be read ${words(end.stderr)}`.trim())
      return end.stdout
    },
  }
}

function words(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).trim()
}
