// The stack's tables on dynalite, on loopback.

import { CreateTableCommand, type CreateTableCommandInput, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { openDynalite, PEER_CREDENTIALS } from '../kit/state-table.ts'
import type { Stack } from './resolve.ts'

/** What of a table's properties means nothing to the peer: backups, encryption, cleaning up, names. */
const BESIDE = new Set([
  ...['PointInTimeRecoverySpecification', 'SSESpecification', 'TimeToLiveSpecification', 'Tags'],
  ...['DeletionProtectionEnabled', 'ContributorInsightsSpecification', 'TableClass'],
])
const KEPT = new Set(['TableName', 'BillingMode', 'AttributeDefinitions', 'KeySchema', 'GlobalSecondaryIndexes'])

export async function openTables(stack: Stack): Promise<AsyncDisposable & { readonly address: string }> {
  await using open = new AsyncDisposableStack()
  const { url: address } = open.use(await openDynalite())
  const client = new DynamoDBClient({
    endpoint: address,
    region: 'eu-central-1',
    credentials: PEER_CREDENTIALS,
  })
  try {
    for (const name of stack.ofType('AWS::DynamoDB::Table')) {
      const properties = Object.entries(stack.properties(name)).filter(([key]) => !BESIDE.has(key))
      const odd = properties.filter(([key]) => !KEPT.has(key)).map(([key]) => key)
      if (odd.length > 0) throw new Error(`Table "${name}" has "${odd.join('", "')}", which is not known here`)
      const input = { ...Object.fromEntries(properties), TableName: String(stack.resolve({ Ref: name }, name)) }
      await client.send(new CreateTableCommand(input as unknown as CreateTableCommandInput))
    }
  } finally {
    client.destroy()
  }
  const kept = open.move()
  return { address, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}
