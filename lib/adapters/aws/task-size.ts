// How large the task is that this program runs in, as the container agent tells it. For the price only: not to know it stops nothing.

import type { Cancel } from '../../base/time-limit.ts'
import { withTimeLimit } from '../../base/time-limit.ts'
import type { Log } from '../../ports/log.ts'
import { parseTaskSize } from '../../wire/task-metadata.ts'

const ANSWER_MS = 2_000

/**
 * @param agent the value of ECS_CONTAINER_METADATA_URI_V4; left out outside of ECS
 * @returns null when nobody tells, and where a task's time costs nothing
 */
export async function readTaskSize(agent: string | undefined, { log }: { readonly log: Log }, { signal }: Cancel) {
  if (agent === undefined) return null
  try {
    const response = await fetch(`${agent}/task`, { signal: withTimeLimit(signal, ANSWER_MS) })
    return response.ok ? parseTaskSize(await response.text()) : null
  } catch (error) {
    signal.throwIfAborted()
    log.warn('task.size-unknown', { message: String(error) })
    return null
  }
}
