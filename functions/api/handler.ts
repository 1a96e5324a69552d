// Lambda entry point of the HTTP API: every route below /v1 of the gateway.

import { openLambdaApi } from '../../lib/compose/lambda-api.ts'
import { apiHandler } from '../_api-handler.ts'

export const handler = apiHandler(openLambdaApi)
