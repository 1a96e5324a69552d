// coldframe sim: runs the simulated vCenter as a process of its own and says how to use it. Ctrl-C is its normal end.

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { BackupError } from '../lib/base/errors.ts'
import { programPath } from '../lib/compose/programs.ts'
import { parseSimulatorStarted, type SimulatorStarted } from '../lib/wire/simulator.ts'
import type { Answer } from './answer.ts'
import type { World } from './world.ts'

type Child = ChildProcessByStdio<Writable, Readable, null>

/**
 * @param passed the simulator's own options
 * @param onStarted called with what to print once it answers
 * @returns when it has ended
 */
export async function sim(
  passed: readonly string[],
  onStarted: (started: Answer) => void,
  world: World,
): Promise<number> {
  // It ends with its input: so it never outlives us, however we end.
  const child: Child = spawn(process.execPath, [programPath('sim'), ...passed, '--exit-with-parent'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...world.environment },
  })
  const ended = once(child, 'close')
  child.stdin.on('error', () => undefined)
  const stop = () => child.stdin.end()
  world.signal.addEventListener('abort', stop, { once: true })
  for await (const line of createInterface({ input: child.stdout })) {
    const started = parseSimulatorStarted(line)
    onStarted({ data: started, text: startedText(started), fault: null })
    break
  }
  child.stdout.resume()
  const [code]: readonly unknown[] = await ended
  if (code === 0 || world.signal.aborted) return 0
  throw new BackupError(`The simulator ended with exit code ${String(code)}`, {
    code: 'simulator-ended',
    ...(code === 2 ? { kind: 'usage' as const, hint: '"coldframe sim --help" lists its options' } : {}),
  })
}

function startedText({ url, controlUrl, user, password, thumbprintSha256 }: SimulatorStarted): string {
  return `A simulated vCenter answers at ${url} (control port: ${controlUrl}). In another terminal:

  export COLDFRAME_VCENTER=${url}
  export COLDFRAME_VCENTER_USER=${user}
  export COLDFRAME_VCENTER_PASSWORD=${quoted(password)}
  export COLDFRAME_VCENTER_THUMBPRINT=${thumbprintSha256}
  export COLDFRAME_REPOSITORY=file:./repository
  export COLDFRAME_PASSPHRASE=${quoted('only for trying')}
  npx coldframe backup --vm web-01

It runs until Ctrl-C.
`
}

/** As a POSIX shell takes it, whatever is in it. */
function quoted(text: string): string {
  return /^[A-Za-z0-9_.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
