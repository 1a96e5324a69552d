// vSphere tasks: started, then asked about until they end. A task object is a hint that expires, never the truth.

import { BackupError, hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { VmTask } from '../../model/vm-task.ts'
import { faultError, localizedFault } from './faults.ts'
import { readObject, readObjects } from './properties.ts'
import { type Call, retryReading, type VimSession } from './session.ts'
import {
  isRecord,
  isRef,
  type Ref,
  recordAt,
  refsOf,
  replyMalformed,
  textAt,
  type VimRecord,
  type VimValue,
} from './values.ts'

const POLL_FIRST_MS = 40
const POLL_MOST_MS = 2_000

/**
 * Starts a task and waits until it ended or the signal ends the wait; the task itself is not cancelled.
 * @returns the task's result
 * @throws BackupError with the task's fault in `facts.fault`; `task-lost` when vCenter forgot the task: its fate is then
 *   unknown and the inventory must be asked
 */
export async function runTask(session: VimSession, call: Call, cancel: Cancel): Promise<VimValue | null> {
  const started = await session.loggedIn(() => session.call({ ...call, changes: true }, cancel), cancel)
  if (started === null || !isRef(started)) throw replyMalformed(`"${call.method}" started no task`)
  return await waitForTask(session, { task: started, call }, cancel)
}

async function waitForTask(
  session: VimSession,
  { task, call }: { readonly task: Ref; readonly call: Call },
  cancel: Cancel,
): Promise<VimValue | null> {
  const { clock } = session.settings
  for (let waitMs = POLL_FIRST_MS; ; waitMs = Math.min(POLL_MOST_MS, waitMs * 1.5)) {
    const seen = await readTask(session, { task, call }, cancel)
    const state = textAt(seen, 'state')
    if (state === 'success') return seen.fields.get('result') ?? null
    if (state === 'error') {
      throw faultError(localizedFault(recordAt(seen, 'error')), { what: call.what, method: call.method })
    }
    await clock.sleep(waitMs, cancel)
  }
}

async function readTask(
  session: VimSession,
  { task, call }: { readonly task: Ref; readonly call: Call },
  cancel: Cancel,
): Promise<VimRecord> {
  try {
    const asked = { ref: task, paths: ['info'], what: `${call.what}: cannot follow the task` }
    const seen = (await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)).get('info')
    if (isRecord(seen)) return seen
    throw taskLost({ task, call })
  } catch (cause) {
    throw hasCode(cause, 'vcenter-object-gone') ? taskLost({ task, call, cause }) : cause
  }
}

/** The tasks that vCenter still knows for an object and that have not ended. */
export async function readRunningTasks(session: VimSession, target: Ref, cancel: Cancel): Promise<readonly VmTask[]> {
  const what = `Cannot list the tasks of "${target.value}"`
  const recent = refsOf(
    (await readObject(session, { ref: target, paths: ['recentTask'], what }, cancel)).get('recentTask'),
  )
  const running: VmTask[] = []
  for (const task of recent) {
    const seen = await readTaskIfKnown(session, { task, what }, cancel)
    const state = textAt(seen, 'state')
    if (seen === null || (state !== 'running' && state !== 'queued')) continue
    running.push({
      name: textAt(seen, 'name') ?? textAt(seen, 'descriptionId') ?? 'unnamed',
      startedAt: textAt(seen, 'startTime'),
      by: starterOf(recordAt(seen, 'reason')),
    })
  }
  return running
}

/** TaskReason: a user, a scheduled task, an alarm, or vCenter itself. */
function starterOf(reason: VimRecord | null): string | null {
  const user = textAt(reason, 'userName')
  if (user !== null && user !== '') return user
  const schedule = textAt(reason, 'name')
  if (reason?.type === 'TaskReasonSchedule' && schedule !== null) return `schedule "${schedule}"`
  const alarm = textAt(reason, 'alarmName')
  if (alarm !== null) return `alarm "${alarm}"`
  return reason?.type === 'TaskReasonSystem' ? 'vCenter' : null
}

/** @returns null when the task expired between two calls: it had ended */
async function readTaskIfKnown(
  session: VimSession,
  { task, what }: { readonly task: Ref; readonly what: string },
  cancel: Cancel,
): Promise<VimRecord | null> {
  try {
    const [found] = await readObjects(session, { refs: [task], wanted: { Task: ['info'] }, what }, cancel)
    if (found === undefined) return null
    const seen = found.values.get('info')
    if (isRecord(seen)) return seen
    throw replyMalformed(`the task "${task.value}" says nothing of itself`)
  } catch (error) {
    if (hasCode(error, 'vcenter-object-gone')) return null
    throw error
  }
}

function taskLost({
  task,
  call,
  cause,
}: {
  readonly task: Ref
  readonly call: Call
  readonly cause?: unknown
}): BackupError {
  return new BackupError(`${call.what}: vCenter no longer knows the task "${task.value}", so its end is unknown`, {
    code: 'task-lost',
    retry: 'later',
    hint: 'Look at the object itself to see whether the task took effect',
    facts: { task: task.value, method: call.method },
    cause,
  })
}
