// The state of a site as its functions have it: read and, for what no door does, written by the same adapters.

import { dynamoJobStore } from '../../lib/adapters/aws/job-store.ts'
import { sqsSender } from '../../lib/adapters/aws/queue.ts'
import { openStateTable } from '../../lib/adapters/aws/state-table.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import type { StageKind } from '../../lib/model/message.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import type { MessageSender } from '../../lib/ports/queue.ts'
import { TEST_CREDENTIALS, TEST_REGION } from '../kit/aws/identity.ts'
import type { Cloud } from './cloud.ts'

/** This process's Date is the cloud's, and so is the clock. */
const around = { clock: systemClock, random: systemRandom, region: TEST_REGION, credentials: TEST_CREDENTIALS }

export function jobStoreOf({ tables, stack }: Cloud): JobStore {
  const [name = ''] = stack.ofType('AWS::DynamoDB::Table')
  const table = String(stack.resolve({ Ref: name }, name))
  return dynamoJobStore(openStateTable({ ...around, table, endpoint: tables.address }), { clock: systemClock })
}

export function queueName(kind: StageKind): string {
  return `${kind[0]?.toUpperCase()}${kind.slice(1)}Queue`
}

export function senderOf({ queues }: Cloud): MessageSender {
  const urlOf = (kind: StageKind) => `${queues.address}/0/${queues.byName(queueName(kind)).name}`
  return sqsSender({ ...around, endpoint: queues.address, urlOf })
}
