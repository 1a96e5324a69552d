// Whether a process that was started once still runs: a pid alone is used again, a pid and its start time are not.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

/**
 * A text that differs between two processes that had the same pid, also across a restart of the machine.
 * @returns null when no such process runs
 */
export function processStart(pid: number): string | null {
  return existsSync('/proc/self/stat') ? linuxStart(pid) : psStart(pid)
}

/** proc(5): field 22 is the start time in ticks since boot, field 3 the state; the name in field 2 may hold spaces. */
function linuxStart(pid: number): string | null {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return null
    throw error
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, startTicks] = [fields[0], fields[19]]
  // A zombie has ended; only its parent does not know yet.
  if (state === 'Z' || state === 'X' || startTicks === undefined) return null
  return `${bootId()}/${startTicks}`
}

let knownBootId: string | undefined

function bootId(): string {
  knownBootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return knownBootId
}

/** Where there is no /proc (macOS): ps tells the start to the second. */
function psStart(pid: number): string | null {
  try {
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', env: { LC_ALL: 'C' } })
    return text.trim() === '' ? null : text.trim()
  } catch (error) {
    // ps ends with 1 when there is no such process, and says nothing.
    if (error instanceof Error && 'status' in error && error.status === 1) return null
    throw error
  }
}
