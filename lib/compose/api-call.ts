// What a route of the HTTP API is given, and what it answers.

import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { OperationTarget } from '../model/operation.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'
import type { MessageSender } from '../ports/queue.ts'
import type { ApiAccess, Caller } from '../wire/api/access.ts'

export type ApiDeps = {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly jobStore: JobStore
  readonly sender: MessageSender
  readonly access: ApiAccess
  readonly targets: readonly OperationTarget[]
}

export type ApiCall = {
  readonly caller: Caller
  /** Values of the path's parameters. */
  readonly named: Readonly<Record<string, string>>
  readonly query: unknown
  readonly body: unknown
  /** The caller's own; null when none was sent. */
  readonly key: string | null
  readonly deps: ApiDeps
  readonly cancel: Cancel
}

export type ApiAnswer = {
  readonly body: object
  /** Where to look again. */
  readonly location?: string
  /** Seconds; null or left out when there is nothing to wait for. */
  readonly retryAfter?: number | null
}

/** While something is not over, a client looks again after so many seconds. */
export const LOOK_AGAIN_SECONDS = 5

export type ApiHandler = (call: ApiCall) => Promise<ApiAnswer>
