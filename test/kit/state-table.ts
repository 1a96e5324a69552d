// A state table as the stack makes it, on dynalite in this process or on DynamoDB Local where
// COLDFRAME_TEST_DYNAMODB_ENDPOINT says where it listens. Between client and server, tests may lose answers and refuse requests.

import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DeleteTableCommand,
  type DynamoDBClient,
} from '@aws-sdk/client-dynamodb'
import { parse } from 'yaml'
import { dynamoClient, type StateTable, stateTable } from '../../lib/adapters/aws/state-table.ts'
import type { Clock } from '../../lib/base/clock.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { type Random, systemRandom } from '../../lib/base/random.ts'
import { type Mishaps, openHttpProxy } from './http-proxy.ts'
import { type Loopback, listenOnLoopback } from './loopback.ts'

export type OpenedTable = AsyncDisposable & {
  readonly name: string
  /** Where it is reached, through what makes mishaps. */
  readonly endpoint: string
  /** A client that meets no mishaps. */
  readonly client: DynamoDBClient
  readonly table: StateTable
}

/** It ships no types. */
const dynalite: (options: Readonly<Record<'createTableMs' | 'deleteTableMs' | 'updateTableMs', number>>) => Server =
  createRequire(import.meta.url)('dynalite')

const template = join(import.meta.dirname, '../../infra/tables.yml')

/** What CloudFormation would be told, without what a peer does not know. */
function tableInput(name: string): CreateTableCommandInput {
  const { Resources: resources } = parse(readFileSync(template, 'utf8'))
  const { BillingMode, AttributeDefinitions, KeySchema, GlobalSecondaryIndexes } = resources.StateTable.Properties
  return { TableName: name, BillingMode, AttributeDefinitions, KeySchema, GlobalSecondaryIndexes }
}

export type TableSettings = { readonly mishaps?: Mishaps; readonly clock?: Clock; readonly random?: Random }

/** Credentials of nobody: peers on this machine want some. */
export const PEER_CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' }

let tables = 0

/** A new, empty table. */
export async function openTable({ mishaps, clock, random }: TableSettings = {}): Promise<OpenedTable> {
  await using open = new AsyncDisposableStack()
  const given = process.env['COLDFRAME_TEST_DYNAMODB_ENDPOINT']
  const direct = given ?? open.use(await openDynalite()).url
  const endpoint = mishaps === undefined ? direct : open.use(await openHttpProxy(direct, mishaps)).endpoint
  const connect = (to: string) => dynamoClient({ endpoint: to, region: 'eu-central-1', credentials: PEER_CREDENTIALS })
  const [plain, client] = [connect(direct), connect(endpoint)]
  const name = `state-${process.pid}-${++tables}`
  open.defer(() => client.destroy())
  open.defer(() => plain.destroy())
  await plain.send(new CreateTableCommand(tableInput(name)))
  if (given !== undefined) open.defer(() => plain.send(new DeleteTableCommand({ TableName: name })).then(() => {}))
  const table = stateTable(client, { table: name, clock: clock ?? systemClock, random: random ?? systemRandom })
  const kept = open.move()
  return { name, endpoint, client: plain, table, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** An empty one, in this process. */
export function openDynalite(): Promise<Loopback> {
  return listenOnLoopback(dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 }))
}
