// What a stage answers: the events that move the job on, or that it wants to be woken again.

import type { Cancel } from '../base/time-limit.ts'
import type { JobEvent } from '../model/advance.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'

export type Moved = { readonly kind: 'moved'; readonly events: readonly JobEvent[] }

export type Step =
  | Moved
  /** The stage sends itself on; delayMs at most 900,000 (SQS's limit). */
  | {
      readonly kind: 'again'
      readonly delayMs: number
      readonly waitsFor: string
      readonly failing?: true
      /** What to do when this was waited for in vain. */
      readonly hint?: string
    }

export type StageCall = Cancel & {
  /** Whether this call goes on after another that died or was stopped in the middle. */
  readonly tookOver: boolean
}

export type Stage = (hold: JobHold, deps: StageDeps, call: StageCall) => Promise<Step>

export function movedBy(...events: readonly JobEvent[]): Moved {
  return { kind: 'moved', events }
}
