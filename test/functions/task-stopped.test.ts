// The door of stopped tasks as Lambda calls it, on an event of ECS, with the state table and queues of this machine.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from 'aws-lambda'
import { describe, expect, it } from 'vitest'
import { eventHandler } from '../../functions/_event-handler.ts'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog } from '../../lib/adapters/memory/log.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { openTaskDoor } from '../../lib/compose/task-door.ts'
import { wakeForStopped } from '../../lib/doors/task-stopped.ts'
import { parseJobId } from '../../lib/model/ids.ts'
import type { StageMessage } from '../../lib/model/message.ts'
import { parseStoppedTask } from '../../lib/wire/task-state-change.ts'
import { sampleJob } from '../kit/record-samples.ts'

process.env['POWERTOOLS_LOG_LEVEL'] = 'SILENT'

const cancel = { signal: new AbortController().signal }
const context = {
  awsRequestId: 'request-1',
  functionName: 'coldframe-test',
  getRemainingTimeInMillis: () => 30_000,
} as Context

async function readEvent(): Promise<{ readonly detail: { readonly taskArn: string } }> {
  return JSON.parse(await readFile(join(import.meta.dirname, '..', '..', 'events', 'task-stopped.json'), 'utf8'))
}

/** The function, and a job that waits for the task of the event. */
async function door(answer: () => void = () => undefined) {
  const { detail } = await readEvent()
  const id = parseJobId('00112233445566778899aabbccddeeff')
  const mover = { kind: 'mover', attempt: 1, clientToken: 'c', placement: 0, taskId: detail.taskArn } as const
  const job = sampleJob({ id, state: 'transferring', nextStage: 'transfer', round: 4, owes: [mover] })
  const jobStore = memoryJobStore()
  await jobStore.jobs.create(id, job, cancel)
  const sent: StageMessage[] = []
  const sender = {
    send: async (message: StageMessage) => {
      answer()
      sent.push(message)
    },
  }
  const handler = eventHandler({ name: 'task-stopped', failed: 'task.not-told' }, () => async (event, within) => {
    const stopped = parseStoppedTask(event)
    if (stopped !== null) await wakeForStopped(stopped, { jobStore, sender, log: memoryLog() }, within)
  })
  return { sent, handler }
}

describe('the function task-stopped', () => {
  it('wakes the stage of its event', async () => {
    const { sent, handler } = await door()
    await handler(await readEvent(), context)
    expect(sent).toEqual([{ v: 1, kind: 'transfer', jobId: '00112233445566778899aabbccddeeff', attempt: 1, round: 4 }])
  })

  it('fails, to be called again, when it could not wake it', async () => {
    const { handler } = await door(() => {
      throw new BackupError('Cannot send', { code: 'aws-unreachable', retry: 'later' })
    })
    await expect(handler(await readEvent(), context)).rejects.toMatchObject({ code: 'aws-unreachable' })
  })

  it('refuses what is no event of ECS', async () => {
    const { sent, handler } = await door()
    await expect(handler({ source: 'aws.ec2' }, context)).rejects.toMatchObject({ code: 'task-event-malformed' })
    expect(sent).toEqual([])
  })

  it('does not start without its settings, and names what is missing', () => {
    expect(() => openTaskDoor({ log: memoryLog(), environment: {} })).toThrow(/COLDFRAME_TABLE/)
  })
})
