// Removing what programs of guests have left, also directories that they have closed to everybody.

import { chmodSync, lstatSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Links are removed, not followed. What cannot be removed stays: the next simulator will be told that it is in the way. */
export function removeTree(path: string): void {
  try {
    open(path)
    rmSync(path, { recursive: true, force: true })
  } catch {
    // Somebody else's directory above it, or a mount inside.
  }
}

function open(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found?.isDirectory()) return
  if ((found.mode & 0o700) !== 0o700) chmodSync(path, 0o700)
  for (const name of readdirSync(path)) open(join(path, name))
}
