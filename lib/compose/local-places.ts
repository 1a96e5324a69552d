// Where one machine's engine keeps what, under COLDFRAME_HOME.

import { join } from 'node:path'

export function statePathOf(home: string): string {
  return join(home, 'state.sqlite')
}

/** One file a mover. */
export function moverLogFolderOf(home: string): string {
  return join(home, 'log', 'movers')
}
