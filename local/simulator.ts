// The simulated vCenter as a process of the demo: started, asked over its control port, ended with the demo.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Cancel } from '../lib/base/time-limit.ts'
import {
  type FrozenSnapshots,
  parseFrozenSnapshots,
  parseSimulatorStarted,
  type SimulatorStarted,
} from '../lib/wire/simulator.ts'

export interface Simulator extends AsyncDisposable {
  readonly started: SimulatorStarted
  /** Lets every running guest write this many bytes now. */
  letGuestsWrite(bytes: number, cancel: Cancel): Promise<void>
  frozen(cancel: Cancel): Promise<FrozenSnapshots>
}

/** @param options.program the simulator's entry file; options.args its arguments */
export async function openSimulator(
  options: { readonly program: string; readonly args: readonly string[] },
  cancel: Cancel,
): Promise<Simulator> {
  const child = spawn(process.execPath, [options.program, ...options.args, '--exit-with-parent'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line', cancel).then(([text]) => String(text)),
    exited.then(([code]) => {
      throw new Error(`The simulator ended with exit code ${String(code)} before it was ready`)
    }),
  ])
  const started = parseSimulatorStarted(line)
  const ask = async (path: string, init: RequestInit, { signal }: Cancel): Promise<string> => {
    const response = await fetch(new URL(path, started.controlUrl), { ...init, signal })
    const text = await response.text()
    if (!response.ok) throw new Error(`The simulator refused "${path}": ${text}`)
    return text
  }
  return {
    started,
    letGuestsWrite: async (bytes, within) => {
      await ask('/guests/write', { method: 'POST', body: JSON.stringify({ bytes }) }, within)
    },
    frozen: async (within) => parseFrozenSnapshots(await ask('/frozen', {}, within)),
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      await exited
    },
  }
}
