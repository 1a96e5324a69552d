// The HTTP API as a Lambda function: the table and the queues that it may wake are all that it is given, and all that is in its bundle.

import { dynamoJobStore } from '../adapters/aws/job-store.ts'
import { sqsSender } from '../adapters/aws/queue.ts'
import { openStateTable } from '../adapters/aws/state-table.ts'
import { memoryMeter } from '../adapters/memory/meter.ts'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import { parseApiAccess } from '../wire/api/access.ts'
import type { ApiRequest, ApiResponse } from '../wire/api/http.ts'
import { needed, neededQueue, parseAwsSettings } from '../wire/aws-settings.ts'
import { parseAllowedTargets } from '../wire/restore-targets.ts'
import { answerApi } from './api.ts'
import type { ApiDeps } from './api-call.ts'
import type { LambdaFrame } from './lambda.ts'

export type LambdaApi = (request: ApiRequest, cancel: Cancel) => Promise<ApiResponse>

/** @throws BackupError `settings-faulty`, `target-malformed` (usage): a door that is half configured must not open */
export function openLambdaApi({ log, environment }: LambdaFrame): LambdaApi {
  const settings = parseAwsSettings(environment)
  const patience = { clock: systemClock, random: systemRandom }
  const meter = memoryMeter({ functionGb: 0 })
  const deps: ApiDeps = {
    ...patience,
    log,
    jobStore: dynamoJobStore(openStateTable({ table: needed(settings, 'table'), ...patience, meter }), patience),
    sender: sqsSender({ ...patience, urlOf: (kind) => neededQueue(settings, kind) }),
    access: parseApiAccess(environment),
    targets: parseAllowedTargets(environment['COLDFRAME_RESTORE_TARGETS']),
  }
  return (request, cancel) => answerApi(request, deps, cancel)
}
