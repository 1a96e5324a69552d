// Tells the calls of a capture apart: which freeze they belong to, and whether they lie between its write and the end of its thaw.

import type { Point } from './plan.ts'

export type SeenCall = {
  /** "jobs.replace freeze", "guest.run thaw", "vsphere.createSnapshot", … */
  readonly call: string
  readonly nth: number
  /** From 1. */
  readonly freeze: number
}

/** What a write to the record of a job changes about its freeze. */
type FreezeState = { readonly freezes: number; readonly held: boolean }

/**
 * Follows one process.
 * @returns for each call what it is within its freeze; null outside of one, and for what beats beside it (heartbeats, watch)
 */
export function callFollower(): (name: string, args: readonly unknown[]) => SeenCall | null {
  let known: FreezeState = { freezes: 0, held: false }
  let open = false
  let counts = new Map<string, number>()
  const count = (call: string): SeenCall => {
    const nth = (counts.get(call) ?? 0) + 1
    counts.set(call, nth)
    return { call, nth, freeze: known.freezes }
  }
  return (name, args) => {
    if (name !== 'jobs.replace') return open && !isBeside(name) ? count(name) : null
    const state = freezeStateOf(args)
    if (state === null) return null
    const before = known
    known = state
    if (state.freezes > before.freezes) {
      open = true
      counts = new Map()
      return count('jobs.replace freeze')
    }
    if (!open || state.held || !before.held) return null
    open = false
    return count('jobs.replace thawed')
  }
}

/** Of the engine and of watch, where it works in the same process. */
const BESIDE: ReadonlySet<string> = new Set([
  'dueJobs',
  'dueRuns',
  'dueOperations',
  'recentRuns',
  'recentJobs',
  'jobsOfRun',
  'jobs.get',
  'runs.get',
])

function isBeside(name: string): boolean {
  return name.startsWith('queue.') || BESIDE.has(name)
}

function freezeStateOf([, next]: readonly unknown[]): FreezeState | null {
  const job = fieldOf(next, 'value')
  const freezes = fieldOf(job, 'freezes')
  return typeof freezes === 'number' ? { freezes, held: fieldOf(job, 'freezeDeadlineMs') !== null } : null
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

export function nameOf({ way, cut, call, nth }: Point): string {
  return `${way}${cut ? ' (cut)' : ''}: ${call}${nth > 1 ? ` #${nth}` : ''}`
}
