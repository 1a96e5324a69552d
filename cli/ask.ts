// A question to whoever sits at the terminal.

import { createInterface } from 'node:readline/promises'
import type { World } from './world.ts'

/** @returns null when nobody can be asked */
export async function askYesOrNo(question: string, { progress, signal }: World): Promise<boolean | null> {
  if (!process.stdin.isTTY || !progress.isTTY) return null
  const lines = createInterface({ input: process.stdin, output: progress })
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal })).trim())
  } finally {
    lines.close()
  }
}
