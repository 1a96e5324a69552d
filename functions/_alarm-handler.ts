// The Lambda frame of the alarm doors: an event of an HTTP API (payload format 2.0) as a request, and the answer back.

import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware'
import middy from '@middy/core'
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda'
import type { AlarmDoorsAnswer } from '../lib/compose/alarm-doors.ts'
import type { LambdaFrame } from '../lib/compose/lambda.ts'
import { deadlineOf } from './_deadline.ts'
import { openTelemetry } from './_telemetry.ts'

/** @param open builds what the doors act through, once, when the function starts */
export function alarmHandler(open: (frame: LambdaFrame) => AlarmDoorsAnswer) {
  const telemetry = openTelemetry('webhook')
  const answer = open(telemetry)
  return middy(async (event: APIGatewayProxyEventV2, context: Context): Promise<APIGatewayProxyStructuredResultV2> => {
    const { requestContext, rawPath, headers, body, isBase64Encoded } = event
    const request = {
      dialect: /\/alarms\/([^/]+)\/?$/.exec(rawPath)?.[1] ?? '',
      method: requestContext.http.method,
      // API Gateway sends them in lower case; whoever invokes the function by hand may not.
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
      body: new Uint8Array(Buffer.from(body ?? '', isBase64Encoded ? 'base64' : 'utf8')),
    }
    const { status, headers: told, body: said } = await answer(request, deadlineOf(context))
    return { statusCode: status, headers: { ...told }, body: JSON.stringify(said) }
  }).use(injectLambdaContext(telemetry.logger))
}
