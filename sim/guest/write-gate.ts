// How a script in a simulated guest holds the guest's writes: the program "guest-writes" leaves a request in a directory that is
// watched, and returns when the request is gone, which is when it took effect.

import { chmodSync, mkdirSync, readdirSync, rmSync, statSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** 3,000 times 5 ms. */
const TRIES_MAX = 3000

function programText(requests: string): string {
  return `#!/bin/sh
# Stops this simulated guest from writing to its disks, or lets it go on. Returns once that is so; twice is as good as once.
case "$1" in
  hold | resume) ;;
  *) echo 'Usage: guest-writes hold | resume' >&2; exit 2 ;;
esac
request='${requests.replaceAll("'", `'\\''`)}'/"$1.$$"
: >"$request" || exit 1
tries=0
while [ -e "$request" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt ${TRIES_MAX} ]; then
    rm -f "$request"
    echo 'guest-writes: the simulator does not answer' >&2
    exit 1
  fi
  sleep 0.005
done
`
}

/**
 * Writes the program and begins to answer it.
 * @param options.requests a directory that is made anew
 */
export function openWriteGate(
  options: { readonly program: string; readonly requests: string },
  writes: { hold(): void; resume(): void },
): Disposable {
  const { requests } = options
  rmSync(requests, { recursive: true, force: true })
  mkdirSync(requests)
  // The mode of mkdir() is cut by the process's umask; every account of the guest may leave requests.
  chmodSync(requests, 0o1777)
  writeFileSync(options.program, programText(requests))
  chmodSync(options.program, 0o755)
  const answer = () => {
    for (const { path, kind } of waiting(requests)) {
      if (kind === 'hold') writes.hold()
      else writes.resume()
      rmSync(path, { force: true })
    }
  }
  const watcher = watch(requests, answer)
  watcher.on('error', () => undefined)
  watcher.unref()
  return { [Symbol.dispose]: () => watcher.close() }
}

/** Oldest first. */
function waiting(requests: string): readonly { readonly path: string; readonly kind: 'hold' | 'resume' }[] {
  return readdirSync(requests)
    .flatMap((name) => {
      const kind = /^(hold|resume)\.[0-9]+$/.exec(name)?.[1]
      const path = join(requests, name)
      const seen = statSync(path, { throwIfNoEntry: false })
      if (seen === undefined || (kind !== 'hold' && kind !== 'resume')) return []
      return [{ path, kind, atMs: seen.mtimeMs } as const]
    })
    .toSorted((left, right) => left.atMs - right.atMs)
}
