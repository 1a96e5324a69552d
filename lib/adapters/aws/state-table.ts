// The state table on DynamoDB: single items, written only under a condition on their version, read consistently. A write that
// was repeated because its answer was lost knows its own success by the token that it left.

import {
  type AttributeValue,
  BatchGetItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import { hexOf } from '../../base/bytes.ts'
import type { Clock } from '../../base/clock.ts'
import { forEachBounded } from '../../base/concurrency.ts'
import { assert, BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Meter } from '../../ports/meter.ts'
import { type AwsPlace, callAws, clientSettings, codeOf } from './call.ts'
import { meterTable } from './metered-table.ts'
import {
  type Attributes,
  attributesOf,
  type Item,
  type SearchedBy,
  TOKENS_KEPT,
  tokenName,
  versionOf,
} from './state-item.ts'

export type TableOptions = {
  readonly table: string
  readonly clock: Clock
  readonly random: Random
  /** Counts the capacity that is used; left out, nobody does. */
  readonly meter?: Pick<Meter, 'add'>
}

/** The table answers in milliseconds, and a stage that cannot write loses its claim: asked sooner and more often than others. */
const ANSWER_MS = 5_000
const TRIES = { attemptsMax: 8, firstMs: 50, mostMs: 2_000 }

/** A record's text and what it is found by. */
export type Written = { readonly text: string; readonly by: SearchedBy }

/** One partition of an index, up to a limit. */
export type IndexQuery = {
  readonly index: 'byOwner' | 'byDue' | 'byTime'
  readonly hash: readonly [name: string, value: string]
  readonly range?: readonly [name: string, operator: '<' | '<=', value: AttributeValue]
  readonly newestFirst: boolean
  readonly limit: number
}

export interface StateTable {
  create(key: string, next: Written, cancel: Cancel): Promise<'created' | 'exists'>
  get(key: string, cancel: Cancel): Promise<Item | null>
  replace(key: string, next: Written & { readonly version: number }, cancel: Cancel): Promise<'replaced' | 'conflict'>
  /** Consistent, like get(); in the order of the keys, without those that are not there. */
  getMany(keys: readonly string[], cancel: Cancel): Promise<readonly Item[]>
  /** Keys of candidates: an index lags behind, so what they point to is read consistently before anything is done with it. */
  query(query: IndexQuery, cancel: Cancel): Promise<readonly Item[]>
}

/** DynamoDB's own limit of one BatchGetItem. */
const BATCH_KEYS_MAX = 100
const BATCHES_AT_ONCE = 4

/** One client a table; nothing is sent before the first call. */
export function openStateTable(options: TableOptions & AwsPlace): StateTable {
  return stateTable(dynamoClient(options), options)
}

/** Of the region's own endpoint, which a gateway endpoint of a VPC knows; not of the account's. */
export function dynamoClient(place: AwsPlace): DynamoDBClient {
  return new DynamoDBClient({ ...clientSettings(place, { answerMs: ANSWER_MS }), accountIdEndpointMode: 'disabled' })
}

export function stateTable(client: DynamoDBClient, options: TableOptions): StateTable {
  if (options.meter !== undefined) meterTable(client, options.meter)
  const around = { client, ...options }
  return {
    create: (key, next, cancel) => create({ key, next }, around, cancel),
    replace: (key, next, cancel) => replace({ key, next, version: next.version }, around, cancel),
    get: async (key, cancel) => (await read(key, around, cancel)) ?? null,
    getMany: (keys, cancel) => getMany(keys, around, cancel),
    query: (asked, cancel) => query(asked, around, cancel),
  }
}

type Around = TableOptions & { readonly client: DynamoDBClient }

async function create(
  { key, next }: { readonly key: string; readonly next: Written },
  around: Around,
  cancel: Cancel,
): Promise<'created' | 'exists'> {
  const token = newToken(around)
  const attributes = attributesOf(next.text, next.by, { key, version: 1, token })
  const command = {
    TableName: around.table,
    Item: { pk: { S: key }, born: { S: token }, ...present(attributes) },
    ConditionExpression: 'attribute_not_exists(pk)',
  }
  const answer = await write(
    ({ abortSignal }) => around.client.send(new PutItemCommand(command), { abortSignal }),
    { ...around, what: `create record "${key}" of table "${around.table}"` },
    cancel,
  )
  if (answer !== 'refused-again') return answer === 'done' ? 'created' : 'exists'
  const item = await read(key, around, cancel)
  return item?.['born']?.S === token ? 'created' : 'exists'
}

type Replacing = { readonly key: string; readonly next: Written; readonly version: number }

async function replace(
  { key, next, version }: Replacing,
  around: Around,
  cancel: Cancel,
): Promise<'replaced' | 'conflict'> {
  assert(version >= 1, 'a version counts from 1')
  const token = newToken(around)
  const written = version + 1
  const attributes = attributesOf(next.text, next.by, { key, version: written, token })
  const names = Object.keys(attributes)
  const setNames = names.filter((name) => attributes[name] !== null)
  const goneNames = names.filter((name) => attributes[name] === null)
  const command = {
    TableName: around.table,
    Key: { pk: { S: key } },
    UpdateExpression:
      `SET ${setNames.map((name) => `#${name} = :${name}`).join(', ')}` +
      (goneNames.length === 0 ? '' : ` REMOVE ${goneNames.map((name) => `#${name}`).join(', ')}`),
    ConditionExpression: '#version = :was',
    ExpressionAttributeNames: Object.fromEntries(names.map((name) => [`#${name}`, name])),
    ExpressionAttributeValues: {
      ':was': { N: String(version) },
      ...Object.fromEntries(Object.entries(present(attributes)).map(([name, value]) => [`:${name}`, value])),
    },
  }
  const answer = await write(
    ({ abortSignal }) => around.client.send(new UpdateItemCommand(command), { abortSignal }),
    { ...around, what: `replace record "${key}" of table "${around.table}"` },
    cancel,
  )
  if (answer !== 'refused-again') return answer === 'done' ? 'replaced' : 'conflict'
  return ownWrite(await read(key, around, cancel), { key, written, token })
}

/** What became of a write that was sent more than once and refused in the end. */
function ownWrite(
  item: Item | undefined,
  { key, written, token }: { readonly key: string; readonly written: number; readonly token: string },
): 'replaced' | 'conflict' {
  const now = item === undefined ? null : versionOf(item)
  // A record that is gone, or was made anew since, has nothing of this write in it.
  if (item === undefined || now === null || now < written) return 'conflict'
  if (item[tokenName(written)]?.S === token) return 'replaced'
  if (now < written + TOKENS_KEPT) return 'conflict'
  throw new BackupError(
    `Cannot tell whether record "${key}" was replaced: it was written ${now - written} times since`,
    {
      code: 'state-write-unknown',
      retry: 'later',
      facts: { key, version: written, now },
    },
  )
}

type WriteAnswer = 'done' | 'refused' | 'refused-again'

/** @returns 'refused-again' when an earlier try of the same write had no answer: it may have been the one that took place */
async function write(
  send: (one: { readonly abortSignal: AbortSignal }) => Promise<unknown>,
  options: Asking,
  cancel: Cancel,
): Promise<WriteAnswer> {
  return await asked(
    async (one, attempt): Promise<WriteAnswer> => {
      try {
        await send(one)
        return 'done'
      } catch (error) {
        if (codeOf(error) !== 'ConditionalCheckFailedException') throw error
        return attempt === 1 ? 'refused' : 'refused-again'
      }
    },
    options,
    cancel,
  )
}

async function read(key: string, around: Around, cancel: Cancel): Promise<Item | undefined> {
  const command = { TableName: around.table, Key: { pk: { S: key } }, ConsistentRead: true }
  const { Item: item } = await asked(
    ({ abortSignal }) => around.client.send(new GetItemCommand(command), { abortSignal }),
    { ...around, what: `read record "${key}" of table "${around.table}"` },
    cancel,
  )
  return item
}

async function getMany(keys: readonly string[], around: Around, cancel: Cancel): Promise<readonly Item[]> {
  const unique = [...new Set(keys)]
  const batches: string[][] = []
  for (let at = 0; at < unique.length; at += BATCH_KEYS_MAX) batches.push(unique.slice(at, at + BATCH_KEYS_MAX))
  const found = new Map<string, Item>()
  await forEachBounded(
    batches,
    async (batch, within) => {
      for (let rest: readonly string[] = batch; rest.length > 0; ) {
        const items = await getBatch(rest, around, within)
        for (const [key, item] of items.found) found.set(key, item)
        rest = items.rest
      }
    },
    { runningMax: BATCHES_AT_ONCE, signal: cancel.signal },
  )
  return unique.map((key) => found.get(key)).filter((item) => item !== undefined)
}

/** A batch may be answered in part: what is left over is asked for again, with patience when nothing at all came. */
async function getBatch(
  keys: readonly string[],
  around: Around,
  cancel: Cancel,
): Promise<{ readonly found: ReadonlyMap<string, Item>; readonly rest: readonly string[] }> {
  const { table, client } = around
  const command = {
    RequestItems: { [table]: { Keys: keys.map((key) => ({ pk: { S: key } })), ConsistentRead: true } },
  }
  return await asked(
    async ({ abortSignal }) => {
      const answer = await client.send(new BatchGetItemCommand(command), { abortSignal })
      const rest = (answer.UnprocessedKeys?.[table]?.Keys ?? []).map((key) => key['pk']?.S ?? '')
      if (rest.length === keys.length) throw new NothingProcessed()
      const found = new Map((answer.Responses?.[table] ?? []).map((item) => [item['pk']?.S ?? '', item]))
      return { found, rest }
    },
    { ...around, what: `read ${keys.length} records of table "${table}"` },
    cancel,
  )
}

class NothingProcessed extends Error {
  // The SDK's name of the same state of the table.
  override readonly name = 'ProvisionedThroughputExceededException'
  readonly $metadata = {}
}

async function query(asking: IndexQuery, around: Around, cancel: Cancel): Promise<readonly Item[]> {
  const { index, hash, range, newestFirst, limit } = asking
  const items: Item[] = []
  let from: Record<string, AttributeValue> | undefined
  do {
    const command = {
      TableName: around.table,
      IndexName: index,
      KeyConditionExpression: `#hash = :hash${range === undefined ? '' : ` AND #range ${range[1]} :range`}`,
      ExpressionAttributeNames: { '#hash': hash[0], ...(range === undefined ? {} : { '#range': range[0] }) },
      ExpressionAttributeValues: { ':hash': { S: hash[1] }, ...(range === undefined ? {} : { ':range': range[2] }) },
      ScanIndexForward: !newestFirst,
      Limit: Math.min(limit - items.length, QUERY_ITEMS_MAX),
      ExclusiveStartKey: from,
    }
    const answer = await asked(
      ({ abortSignal }) => around.client.send(new QueryCommand(command), { abortSignal }),
      { ...around, what: `ask index "${index}" of table "${around.table}"` },
      cancel,
    )
    items.push(...(answer.Items ?? []))
    from = answer.LastEvaluatedKey
  } while (from !== undefined && items.length < limit)
  return items
}

const QUERY_ITEMS_MAX = 1_000

type Asking = Around & { readonly what: string }

async function asked<Result>(
  send: (one: { readonly abortSignal: AbortSignal }, attempt: number) => Promise<Result>,
  { what, table, clock, random }: Asking,
  cancel: Cancel,
): Promise<Result> {
  const translate = (code: string, cause: unknown) =>
    code === 'ResourceNotFoundException' ? missingTable({ what, table, cause }) : null
  return await callAws({ what, send, translate }, { clock, random, tries: TRIES }, cancel)
}

/** A table that is not there has no records: that is no answer to a question about one. */
function missingTable({ what, table, cause }: { what: string; table: string; cause: unknown }): BackupError {
  return new BackupError(`Cannot ${what}: there is no such table or index here`, {
    code: 'state-missing',
    kind: 'not-found',
    hint: 'Deploy the stack again; COLDFRAME_TABLE and the region must be those of its table',
    facts: { table },
    cause,
  })
}

function newToken({ random }: Around): string {
  return hexOf(random.bytes(12))
}

function present(attributes: Attributes): Record<string, AttributeValue> {
  return Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, AttributeValue] => entry[1] !== null),
  )
}
