// The stack's tables on dynalite, on loopback.

import type { Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { CreateTableCommand, type CreateTableCommandInput, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Stack } from './resolve.ts'

/** What of a table's properties means nothing to the peer: backups, encryption, cleaning up, names. */
const BESIDE = new Set([
  ...['PointInTimeRecoverySpecification', 'SSESpecification', 'TimeToLiveSpecification', 'Tags'],
  ...['DeletionProtectionEnabled', 'ContributorInsightsSpecification', 'TableClass'],
])
const KEPT = new Set(['TableName', 'BillingMode', 'AttributeDefinitions', 'KeySchema', 'GlobalSecondaryIndexes'])

export async function openTables(stack: Stack): Promise<AsyncDisposable & { readonly address: string }> {
  const dynalite: (options: object) => Server = createRequire(import.meta.url)('dynalite')
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = new DynamoDBClient({
    endpoint: address,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
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
  return {
    address,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
