// A process that outlives the simulator just long enough to end what the simulated guests still run, however the simulator ended.

import { spawn } from 'node:child_process'
import { Socket } from 'node:net'

/** Waits for the end of its input, which comes with the end of the simulator. */
const PROGRAM = `cat >/dev/null
tries=0
while [ "$tries" -lt 200 ]; do
  found=$(grep -lzxF -- "$1" /proc/[0-9]*/environ 2>/dev/null)
  [ -n "$found" ] || exit 0
  for each in $found; do each=\${each#/proc/}; kill -9 "\${each%%/*}" 2>/dev/null; done
  tries=$((tries + 1))
  sleep 0.05
done
`

/** @param mark "NAME=VALUE" in the environment of every program of the guests */
export function openGuardian(mark: string): Disposable {
  const child = spawn('/bin/sh', ['-c', PROGRAM, 'guardian', mark], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
  })
  child.on('error', () => undefined)
  child.stdin.on('error', () => undefined)
  child.unref()
  if (child.stdin instanceof Socket) child.stdin.unref()
  return { [Symbol.dispose]: () => void child.stdin.end() }
}
