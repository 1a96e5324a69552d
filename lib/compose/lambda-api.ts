// The HTTP API as a Lambda function: the table and the queues that it may wake are all that it is given, and all that is in its bundle.

import type { Cancel } from '../base/time-limit.ts'
import { parseApiAccess } from '../wire/api/access.ts'
import type { ApiRequest, ApiResponse } from '../wire/api/http.ts'
import { parseAllowedTargets } from '../wire/restore-targets.ts'
import { answerApi } from './api.ts'
import type { ApiDeps } from './api-call.ts'
import { openAwsDoor } from './aws-door.ts'
import type { LambdaFrame } from './lambda.ts'

export type LambdaApi = (request: ApiRequest, cancel: Cancel) => Promise<ApiResponse>

/** @throws BackupError `settings-faulty`, `target-malformed` (usage): a door that is half configured must not open */
export function openLambdaApi({ log, environment }: LambdaFrame): LambdaApi {
  const { patience, jobStore, sender } = openAwsDoor(environment)
  const deps: ApiDeps = {
    ...{ ...patience, log, jobStore, sender },
    access: parseApiAccess(environment),
    targets: parseAllowedTargets(environment['COLDFRAME_RESTORE_TARGETS']),
  }
  return (request, cancel) => answerApi(request, deps, cancel)
}
