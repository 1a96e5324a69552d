// The Lambda frame of a stage: takes its queue's messages, parses them, and reports each that failed for redelivery.

import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch'
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware'
import middy from '@middy/core'
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda'
import { BackupError, hasCode } from '../lib/base/errors.ts'
import type { LambdaEngine, LambdaFrame } from '../lib/compose/lambda.ts'
import { abandonOf, type StageKind, type StageMessage } from '../lib/model/message.ts'
import { parseStageMessage } from '../lib/wire/message.ts'
import { deadlineOf } from './_deadline.ts'
import { openTelemetry } from './_telemetry.ts'

/** Nothing that tries again will ever read these. */
const UNREADABLE = ['message-malformed', 'message-misrouted']

/**
 * @param open builds what the stage acts through, once, when the function starts
 * @throws what `open` throws: Lambda then fails every invocation with it
 */
export function queueHandler(stage: StageKind, open: (frame: LambdaFrame) => LambdaEngine) {
  const telemetry = openTelemetry(stage)
  const engine = open(telemetry)
  const processor = new BatchProcessor(EventType.SQS)

  const handle = async (record: SQSRecord, context: Context): Promise<void> => {
    try {
      const message = messageFor(stage, parseStageMessage(record.body))
      await engine.handle(message, {
        ...deadlineOf(context),
        invocation: `${context.awsRequestId}/${record.messageId}`,
      })
    } catch (error) {
      const receiveCount = Number(record.attributes.ApproximateReceiveCount)
      telemetry.log.error('message.failed', error, { messageId: record.messageId, receiveCount })
      // It dies and ends in the buried queue, hours from now: people are told at its first receipt.
      if (UNREADABLE.some((code) => hasCode(error, code))) telemetry.metrics.count('message.unreadable', 1, { stage })
      throw error
    }
  }

  return middy(
    async (event: SQSEvent, context: Context): Promise<SQSBatchResponse> =>
      processPartialResponse(event, (record: SQSRecord) => handle(record, context), processor, {
        context,
        processInParallel: false,
        throwOnFullBatchFailure: false,
      }),
  ).use(injectLambdaContext(telemetry.logger))
}

/** A stage handles its own messages. abandon also gets those that died on their way to any other. */
function messageFor(stage: StageKind, message: StageMessage): StageMessage {
  if (message.kind === stage) return message
  if (stage === 'abandon') {
    return abandonOf(message, `its message to "${message.kind}" was delivered too often without success`)
  }
  throw new BackupError(`Cannot handle a message of kind "${message.kind}" in the stage "${stage}"`, {
    code: 'message-misrouted',
    hint: 'Something other than Coldframe sends to its queues, or an event source is connected to the wrong function',
  })
}
