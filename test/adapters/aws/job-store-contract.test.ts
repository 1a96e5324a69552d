import { dynamoJobStore } from '../../../lib/adapters/aws/job-store.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { jobStoreContract } from '../../contract/job-store.ts'
import { openTable } from '../../kit/state-table.ts'

const peer = process.env['COLDFRAME_TEST_DYNAMODB_ENDPOINT'] === undefined ? 'dynalite' : 'an endpoint by environment'

jobStoreContract(`DynamoDB on ${peer}`, async () => {
  const opened = await openTable()
  return {
    store: dynamoJobStore(opened.table, { clock: systemClock }),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
})
