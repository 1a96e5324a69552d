// Where one machine's engine keeps what, under COLDFRAME_HOME.

import { join } from 'node:path'

export function statePathOf(home: string): string {
  return join(home, 'state.sqlite')
}

/** One file a mover. */
export function moverLogFolderOf(home: string): string {
  return join(home, 'log', 'movers')
}

/** Which repositories this home has used. */
export function knownRepositoriesOf(home: string): string {
  return join(home, 'repositories')
}

/** Held by the one engine of this home. */
export function lockPathOf(home: string): string {
  return join(home, 'engine.lock')
}

/** What engines and commands did, one JSON line an event. */
export function engineLogOf(home: string): string {
  return join(home, 'log', 'engine.jsonl')
}

/** Domain events, one JSON line each. */
export function eventLogOf(home: string): string {
  return join(home, 'log', 'events.jsonl')
}

/** Node's cache of compiled modules for the movers; anything in it may be removed. */
export function codeCacheOf(home: string): string {
  return join(home, 'cache', 'code')
}
