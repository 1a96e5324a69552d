// The Lambda frame of the HTTP API: an event of API Gateway (payload format 2.0) as a request, and the answer back.

import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware'
import middy from '@middy/core'
import type { APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda'
import type { LambdaFrame } from '../lib/compose/lambda.ts'
import type { LambdaApi } from '../lib/compose/lambda-api.ts'
import { requestOfGateway } from '../lib/wire/api/http.ts'
import { deadlineOf } from './_deadline.ts'
import { openTelemetry } from './_telemetry.ts'

/** @param open builds what the API acts through, once, when the function starts */
export function apiHandler(open: (frame: LambdaFrame) => LambdaApi) {
  const telemetry = openTelemetry('api')
  const answer = open(telemetry)
  return middy(async (event: unknown, context: Context): Promise<APIGatewayProxyStructuredResultV2> => {
    const { status, headers, body } = await answer(requestOfGateway(event), deadlineOf(context))
    return { statusCode: status, headers: { ...headers }, body }
  }).use(injectLambdaContext(telemetry.logger))
}
