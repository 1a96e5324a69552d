// Runs TypeScript programs of the tests as real processes of their own.

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

export type RunningProgram = AsyncDisposable & {
  readonly pid: number
  /** The next line of its standard output; null at its end. */
  line(): Promise<string | null>
  /** Sends the signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Waits for the end by itself. */
  ended(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

/** Starts `node path args…`; disposing kills it. Its standard error is ours. */
export function startProgram(path: string, args: readonly string[]): RunningProgram {
  const child: ChildProcessByStdio<null, Readable, null> = spawn(process.execPath, [path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const end = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal)
    await end
  }
  return {
    pid: child.pid ?? 0,
    line: async () => {
      const next = await lines.next()
      return next.done === true ? null : String(next.value)
    },
    kill,
    ended: async () => {
      await end
      return { code: child.exitCode, signal: child.signalCode }
    },
    [Symbol.asyncDispose]: () => kill('SIGKILL'),
  }
}

/** Asks again and again until `question` answers true; fails after `limitMs`. */
export async function until(question: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const endMs = performance.now() + limitMs
  while (!(await question())) {
    if (performance.now() > endMs)
      throw new Error(`It did not become true within ${limitMs} ms: ${question.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
