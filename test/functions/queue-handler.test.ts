// The Lambda frame of every stage on the real events of events/, with an engine that writes down what it is given.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context, SQSEvent } from 'aws-lambda'
import { describe, expect, it, vi } from 'vitest'
import { queueHandler } from '../../functions/_queue-handler.ts'
import { scheduleHandler } from '../../functions/_schedule-handler.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { LambdaEngine } from '../../lib/compose/lambda.ts'
import { STAGE_KINDS, type StageKind, type StageMessage } from '../../lib/model/message.ts'
import { parseStageMessage } from '../../lib/wire/message.ts'

process.env['POWERTOOLS_LOG_LEVEL'] = 'SILENT'

const events = join(import.meta.dirname, '..', '..', 'events')

const context = {
  awsRequestId: 'request-1',
  functionName: 'coldframe-test',
  getRemainingTimeInMillis: () => 30_000,
} as Context

async function readEvent(stage: StageKind): Promise<SQSEvent> {
  return JSON.parse(await readFile(join(events, `${stage}.json`), 'utf8'))
}

function recordingEngine(fail: (message: StageMessage) => boolean = () => false) {
  const seen: { readonly message: StageMessage; readonly invocation: string }[] = []
  const engine: LambdaEngine = {
    handle: async (message, { invocation, signal }) => {
      expect(signal.aborted).toBe(false)
      if (fail(message)) throw new BackupError('Cannot reach the table', { code: 'table-away', retry: 'later' })
      seen.push({ message, invocation })
    },
    watch: async () => 3,
    hunt: async () => 2,
    pull: async () => 4,
  }
  return { seen, open: () => engine }
}

/** What is written to the log group meanwhile: metrics are lines of it. */
async function outputOf(action: () => Promise<void>): Promise<string> {
  const written: string[] = []
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0)
  try {
    await action()
  } finally {
    spy.mockRestore()
  }
  return written.join('')
}

describe.each(STAGE_KINDS)('the event of %s', (stage) => {
  it('carries one message of that kind, and the handler gives it to the engine', async () => {
    const event = await readEvent(stage)
    const expected = parseStageMessage(event.Records[0]?.body ?? '')
    expect(expected.kind).toBe(stage)

    const { seen, open } = recordingEngine()
    expect(await queueHandler(stage, open)(event, context)).toEqual({ batchItemFailures: [] })
    expect(seen).toEqual([{ message: expected, invocation: `request-1/${event.Records[0]?.messageId}` }])
  })
})

describe('queueHandler() reports for redelivery', () => {
  it('exactly the messages that failed', async () => {
    const [record] = (await readEvent('capture')).Records
    if (record === undefined) throw new Error('events/capture.json has no record')
    const bodyOf = (attempt: number) => record.body.replace('"attempt":1', `"attempt":${attempt}`)
    const Records = [1, 2, 3].map((attempt) => ({ ...record, messageId: `message-${attempt}`, body: bodyOf(attempt) }))

    const { seen, open } = recordingEngine((message) => message.kind === 'capture' && message.attempt === 2)
    const answer = await queueHandler('capture', open)({ Records }, context)
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-2' }] })
    expect(seen).toHaveLength(2)
  })

  it.each([
    ['a message of another stage', async () => (await readEvent('commit')).Records[0]?.body ?? ''],
    ['a message that cannot be read', async () => '{"v": 2}'],
    ['a body that is not JSON', async () => 'hello'],
  ])('%s, without touching the engine', async (_name, bodyOf) => {
    const [record] = (await readEvent('capture')).Records
    if (record === undefined) throw new Error('events/capture.json has no record')

    const { seen, open } = recordingEngine()
    const event = { Records: [{ ...record, body: await bodyOf() }] }
    const told = await outputOf(async () => {
      const answer = await queueHandler('capture', open)(event, context)
      expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: record.messageId }] })
    })
    expect(told).toMatch(/"stage":"capture".*"message\.unreadable":1/)
    expect(seen).toEqual([])
  })
})

it('abandon takes the dead letters of the other stages as jobs and runs to end', async () => {
  const { seen, open } = recordingEngine()
  const handler = queueHandler('abandon', open)
  for (const stage of ['plan', 'capture'] as const) await handler(await readEvent(stage), context)

  const targets = seen.map(({ message }) =>
    message.kind === 'abandon' ? [message.target.kind, message.reason] : message.kind,
  )
  expect(targets).toEqual([
    ['run', 'its message to "plan" was delivered too often without success'],
    ['job', 'its message to "capture" was delivered too often without success'],
  ])
})

it.each([
  ['watch', 3],
  ['hunt', 2],
  ['pull', 4],
] as const)('the schedule’s handler calls %s of the engine once a tick', async (name, expected) => {
  const ticks: number[] = []
  const work = async (engine: LambdaEngine) => {
    const count = await engine[name]({ signal: AbortSignal.timeout(1000) })
    ticks.push(count)
    return count
  }
  const tick: unknown = JSON.parse(await readFile(join(events, `${name}.json`), 'utf8'))
  await scheduleHandler({ name, work }, recordingEngine().open)(tick, context)
  expect(ticks).toEqual([expected])
})

it('a handler refuses to start without its table, and says which variable names it', async () => {
  await expect(import('../../functions/plan/handler.ts')).rejects.toMatchObject({
    code: 'settings-faulty',
    message: expect.stringContaining('COLDFRAME_TABLE is not set'),
  })
})
