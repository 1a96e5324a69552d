// What a command knows of the world around it: streams, environment, time, and when to stop.

import type { Clock } from '../lib/base/clock.ts'
import type { Random } from '../lib/base/random.ts'

export type World = {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The working folder. */
  readonly folder: string
  /** Where progress goes; bars if it is a terminal. */
  readonly progress: NodeJS.WriteStream
  readonly clock: Clock
  readonly random: Random
  /** Aborted by Ctrl-C, with a BackupError of kind 'interrupted'. */
  readonly signal: AbortSignal
  readonly version: string
}
