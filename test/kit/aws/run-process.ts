// A task of the ECS test server as a child process: the container's entry point, run on this machine.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { EcsOptions } from './ecs.ts'

/**
 * StopTask sends SIGTERM, and SIGKILL after stopMs, as the container agent does.
 * @param options.args what comes before the command of the task
 * @param options.onOutput gets what the process writes
 */
export function runProcess(options: {
  readonly file: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly stopMs: number
  readonly onOutput?: (text: string) => void
  /** Aborted: the process is killed at once, as its host dies. */
  readonly killed?: AbortSignal
}): EcsOptions['run'] {
  return async ({ command, environment, stop }) => {
    const child = spawn(options.file, [...options.args, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...options.environment, ...environment },
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => options.onOutput?.(text))
    }
    const ended = once(child, 'close')
    let force: NodeJS.Timeout | undefined
    const onStop = () => {
      child.kill('SIGTERM')
      force = setTimeout(() => child.kill('SIGKILL'), options.stopMs)
    }
    options.killed?.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
    stop.addEventListener('abort', onStop, { once: true })
    if (stop.aborted) onStop()
    const [code, signal] = await ended
    clearTimeout(force)
    stop.removeEventListener('abort', onStop)
    // As a container runtime says it: 128 and the number of the signal.
    return typeof code === 'number' ? code : signal === 'SIGKILL' ? 137 : 143
  }
}
