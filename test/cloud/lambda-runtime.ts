// The inside of one function instance, as Lambda's Node runtime is: loads the handler that _HANDLER names from LAMBDA_TASK_ROOT, then
// handles one event at a time. It speaks with its host (lambda-function.ts) over the channel that fork() made.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Json } from './template.ts'
import { installVirtualTime } from './virtual-time.ts'

/** What the host says. */
export type Invocation = {
  readonly event: Json
  readonly requestId: string
  readonly deadlineMs: number
  readonly aheadMs: number
}

/** What the instance says. */
export type Answer =
  | { readonly kind: 'loaded' }
  /** The response as JSON; undefined: the handler gave nothing. */
  | { readonly kind: 'result'; readonly json: string | undefined }
  | { readonly kind: 'error'; readonly errorType: string; readonly errorMessage: string; readonly stack: string }

type Handler = (event: Json, context: object) => unknown

const time = installVirtualTime()
time.setAheadMs(Number(process.env['COLDFRAME_TEST_AHEAD_MS'] ?? 0))
delete process.env['COLDFRAME_TEST_AHEAD_MS']

try {
  const handler = await load()
  process.on('message', (invocation: Invocation) => void handle(handler, invocation))
  tell({ kind: 'loaded' })
} catch (error) {
  tell(errorAnswer(error))
  process.disconnect()
  process.exitCode = 1
}

async function load(): Promise<Handler> {
  const [, path = '', name = ''] = /^(.*)\.([^./]+)$/.exec(process.env['_HANDLER'] ?? '') ?? []
  const file = ['.mjs', '.js']
    .map((end) => join(process.env['LAMBDA_TASK_ROOT'] ?? '', `${path}${end}`))
    .find(existsSync)
  if (file === undefined) throw new Error(`Cannot find module '${path}'`)
  const loaded: Readonly<Record<string, unknown>> = await import(pathToFileURL(file).href)
  const handler = loaded[name]
  if (typeof handler !== 'function') throw new Error(`${path}.${name} is undefined or not exported`)
  // Node 24 on Lambda refuses handlers that take a callback.
  if (handler.length > 2) throw new Error(`${path}.${name} takes a callback`)
  return handler as Handler
}

async function handle(handler: Handler, { event, requestId, deadlineMs, aheadMs }: Invocation): Promise<void> {
  time.setAheadMs(aheadMs)
  const variables = process.env
  const context = {
    functionName: variables['AWS_LAMBDA_FUNCTION_NAME'],
    functionVersion: variables['AWS_LAMBDA_FUNCTION_VERSION'],
    invokedFunctionArn: variables['COLDFRAME_TEST_FUNCTION_ARN'],
    memoryLimitInMB: variables['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'],
    awsRequestId: requestId,
    logGroupName: variables['AWS_LAMBDA_LOG_GROUP_NAME'],
    logStreamName: variables['AWS_LAMBDA_LOG_STREAM_NAME'],
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadlineMs - Date.now()),
  }
  try {
    tell({ kind: 'result', json: JSON.stringify(await handler(event, context)) })
  } catch (error) {
    tell(errorAnswer(error))
  }
}

function errorAnswer(error: unknown): Answer {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error))
  return { kind: 'error', errorType: name, errorMessage: message, stack: stack ?? '' }
}

function tell(answer: Answer): void {
  process.send?.(answer)
}
