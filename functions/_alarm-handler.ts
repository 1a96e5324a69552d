// The Lambda frame of the alarm doors: an event of an HTTP API (payload format 2.0) as a request, and the answer back.

import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware'
import middy from '@middy/core'
import type { APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda'
import type { AlarmDoorsAnswer } from '../lib/compose/alarm-doors.ts'
import type { LambdaFrame } from '../lib/compose/lambda.ts'
import { requestOfGateway } from '../lib/wire/api/http.ts'
import { deadlineOf } from './_deadline.ts'
import { openTelemetry } from './_telemetry.ts'

/** @param open builds what the doors act through, once, when the function starts */
export function alarmHandler(open: (frame: LambdaFrame) => AlarmDoorsAnswer) {
  const telemetry = openTelemetry('webhook')
  const answer = open(telemetry)
  return middy(async (event: unknown, context: Context): Promise<APIGatewayProxyStructuredResultV2> => {
    const { method, path, headers, body } = requestOfGateway(event)
    const dialect = /\/alarms\/([^/]+)\/?$/.exec(path)?.[1] ?? ''
    const request = { dialect, method, headers, body: body ?? new Uint8Array() }
    const { status, headers: told, body: said } = await answer(request, deadlineOf(context))
    return { statusCode: status, headers: { ...told }, body: JSON.stringify(said) }
  }).use(injectLambdaContext(telemetry.logger))
}
