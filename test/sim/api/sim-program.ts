// Runs the simulator as the program it is, for tests with peers of other languages.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export type SimLine = {
  readonly url: string
  readonly sdkUrl: string
  readonly controlUrl: string
  readonly user: string
  readonly password: string
  readonly thumbprintSha256: string
  readonly thumbprintSha1: string
  readonly certificate: string
}

export type SimProgram = SimLine &
  AsyncDisposable & { readonly port: number; readonly pid: number; readonly exitCode: Promise<number | null> }

const MAIN = join(import.meta.dirname, '../../../sim/main.ts')

/** Starts it with a pipe as standard input that ends with this process. */
export async function startSimProgram(...args: readonly string[]): Promise<SimProgram> {
  const child = spawn(process.execPath, [MAIN, '--exit-with-parent', ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exitCode = once(child, 'exit').then(([code]) => code as number | null)
  const first = await Promise.race([once(createInterface(child.stdout), 'line'), exitCode])
  if (!Array.isArray(first)) throw new Error(`The simulator ended with ${first} before it was ready`)
  const line = JSON.parse(String(first[0])) as SimLine
  return {
    ...line,
    port: Number(new URL(line.url).port),
    pid: child.pid ?? 0,
    exitCode,
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      await exitCode
    },
  }
}
