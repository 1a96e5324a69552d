// A cloud of small handlers and a template of its own: what queues, event sources, schedules, rules, the API and the proxy in front of
// AWS do to functions.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { seededRandom } from '../../lib/base/random.ts'
import { temporaryFolder } from '../kit/local-state.ts'
import type { Fate } from './call-proxy.ts'
import { type Cloud, openCloud } from './cloud.ts'
import type { Json, JsonObject, Template, TemplateResource } from './template.ts'
import { installVirtualTime } from './virtual-time.ts'

const time = installVirtualTime()
const MINUTE_MS = 60_000
let opened = new AsyncDisposableStack()
afterEach(async () => {
  await opened.disposeAsync()
  opened = new AsyncDisposableStack()
})

const client = (code: string) => `
import { DynamoDBClient, GetItemCommand, PutItemCommand } from '${import.meta.resolve('@aws-sdk/client-dynamodb')}'
import { SQSClient, SendMessageCommand } from '${import.meta.resolve('@aws-sdk/client-sqs')}'
const table = new DynamoDBClient({}), queue = new SQSClient({})
export const handler = ${code}`

function functionOf(name: string, environment: JsonObject = {}): TemplateResource {
  return {
    Type: 'AWS::Lambda::Function',
    Properties: {
      ...{ FunctionName: `test-${name}`, Handler: `build/functions/${name}/handler.handler`, Runtime: 'nodejs24.x' },
      ...{ Timeout: 5, MemorySize: 128, Environment: { Variables: environment } },
    },
  }
}

function queueOf(dead: string | null): TemplateResource {
  const redrive = { deadLetterTargetArn: { 'Fn::GetAtt': [dead ?? '', 'Arn'] }, maxReceiveCount: 3 }
  return {
    Type: 'AWS::SQS::Queue',
    Properties: { VisibilityTimeout: 30, ...(dead === null ? {} : { RedrivePolicy: redrive }) },
  }
}

const arnOf = (name: string): Json => ({ 'Fn::GetAtt': [name, 'Arn'] })

function sourceOf(queue: string, fn: string, more: JsonObject): TemplateResource {
  return {
    Type: 'AWS::Lambda::EventSourceMapping',
    Properties: { EventSourceArn: arnOf(queue), FunctionName: arnOf(fn), BatchSize: 1, ...more },
  }
}

async function cloudOf(functions: Readonly<Record<string, string>>, resources: Template['Resources']): Promise<Cloud> {
  const folder = opened.use(await temporaryFolder())
  for (const [name, code] of Object.entries(functions)) {
    await mkdir(join(folder.path, 'build', 'functions', name), { recursive: true })
    await writeFile(join(folder.path, 'build', 'functions', name, 'handler.mjs'), code)
  }
  return opened.use(
    await openCloud({
      ...{ template: { Resources: resources }, time, folder: folder.path, parameters: {} },
      taskRootOf: async () => folder.path,
      openPeers: async () => ({}),
      credentials: { AWS_REGION: 'eu-central-1', AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'secret' },
      authorize: ({ authorization = '' }, authorizer) =>
        authorization === 'Bearer good' && authorizer !== 'AWS_IAM'
          ? { event: { jwt: { claims: { sub: 'me' }, scopes: null } }, scopes: ['read'] }
          : null,
    }),
  )
}

const partial = { FunctionResponseTypes: ['ReportBatchItemFailures'] }
const bodies = (cloud: Cloud, queue: string) => cloud.queues.byName(queue).messages.map(({ body }) => body)

describe('event sources', () => {
  const judge = `export const handler = async ({ Records }) => {
    if (Records.some(({ body }) => body === 'throw')) throw new Error('no')
    if (Records.some(({ body }) => body === 'odd')) return { batchItemFailures: [{ itemIdentifier: 'nobody' }] }
    console.log(Records.map(({ body, attributes }) => body + attributes.ApproximateReceiveCount).join(' '))
    return { batchItemFailures: Records.filter(({ body }) => body === 'bad').map(({ messageId }) => ({ itemIdentifier: messageId })) }
  }`

  it('remove what went well, show the rest again, and let the queue bury it', async () => {
    const cloud = await cloudOf(
      { judge },
      {
        Judge: functionOf('judge'),
        Work: queueOf('Dead'),
        Dead: queueOf(null),
        Source: sourceOf('Work', 'Judge', { BatchSize: 5, ...partial }),
      },
    )
    const work = cloud.queues.byName('Work')
    for (const body of ['good', 'bad', 'fine']) cloud.queues.send(work, body)
    const startMs = time.nowMs()
    await cloud.run(() => bodies(cloud, 'Dead').length === 1, { limitMs: 10 * MINUTE_MS })
    expect(bodies(cloud, 'Dead')).toEqual(['bad'])
    expect(work.inflightMessages.size + work.messages.length).toBe(0)
    // Hidden for 30 s after each of three deliveries.
    expect(time.nowMs() - startMs).toBeGreaterThan(89_000)
    expect(cloud.sources[0]?.counts).toEqual({ messages: 5, batches: 3, failedMessages: 3, duplicates: 0 })

    for (const body of ['throw', 'good']) cloud.queues.send(work, body)
    await cloud.run(() => bodies(cloud, 'Dead').length === 3, { limitMs: 10 * MINUTE_MS })
    cloud.queues.send(work, 'odd')
    await cloud.run(() => bodies(cloud, 'Dead').length === 4, { limitMs: 10 * MINUTE_MS })
    expect(bodies(cloud, 'Dead').slice(1).toSorted()).toEqual(['good', 'odd', 'throw'])
  })

  it('keep within their concurrency', async () => {
    const slow = `export const handler = async () => { await new Promise((r) => setTimeout(r, 40)) }`
    const cloud = await cloudOf(
      { slow },
      {
        Slow: functionOf('slow'),
        Work: queueOf(null),
        Source: sourceOf('Work', 'Slow', { ScalingConfig: { MaximumConcurrency: 2 } }),
      },
    )
    for (let count = 0; count < 8; count++) cloud.queues.send(cloud.queues.byName('Work'), 'x')
    await cloud.run(() => cloud.function('slow').counts.invocations === 8, { limitMs: MINUTE_MS })
    expect(cloud.function('slow').counts.coldStarts).toBe(2)
  })

  it('may deliver twice, late and out of order, the same way for the same seed', async () => {
    const cloud = await cloudOf(
      { judge },
      { Judge: functionOf('judge'), Work: queueOf(null), Source: sourceOf('Work', 'Judge', partial) },
    )
    const [source] = cloud.sources
    if (source === undefined) throw new Error('There is no event source')
    source.mischief = { random: seededRandom(1), twiceChance: 1, lateMs: MINUTE_MS }
    for (const body of ['1', '2', '3', '4']) cloud.queues.send(cloud.queues.byName('Work'), body)
    await cloud.run(() => cloud.function('judge').counts.invocations === 8, { limitMs: 5 * MINUTE_MS })
    expect(source.counts).toEqual({ messages: 8, batches: 8, failedMessages: 0, duplicates: 4 })
  })

  it('are refused when Lambda would refuse them', async () => {
    const resources = { Judge: functionOf('judge'), Work: queueOf(null) }
    const opening = (more: JsonObject) => cloudOf({ judge }, { ...resources, Source: sourceOf('Work', 'Judge', more) })
    await expect(opening({ FilterCriteria: {} })).rejects.toThrow('"FilterCriteria", which is not known here')
    await expect(opening({ ScalingConfig: { MaximumConcurrency: 1 } })).rejects.toThrow('at least 2')
    const short = { Type: 'AWS::SQS::Queue', Properties: { VisibilityTimeout: 1 } }
    const mapping = sourceOf('Work', 'Judge', {})
    await expect(cloudOf({ judge }, { ...resources, Work: short, Source: mapping })).rejects.toThrow(
      'shows messages again after 1000 ms',
    )
  })
})

describe('what is started by the clock and by events', () => {
  const tell = `export const handler = async (event) => { if (event.fail) throw new Error('no'); console.log(JSON.stringify(event)) }`
  const scheduleOf = (expression: string, input?: string): TemplateResource => ({
    Type: 'AWS::Scheduler::Schedule',
    Properties: {
      ...{ ScheduleExpression: expression, FlexibleTimeWindow: { Mode: 'OFF' } },
      Target: { Arn: arnOf('Tell'), RoleArn: 'role', ...(input === undefined ? {} : { Input: input }) },
    },
  })

  it('a schedule fires at its times, and a failing function is tried again twice and then buried', async () => {
    const cloud = await cloudOf(
      { tell },
      {
        Tell: {
          ...functionOf('tell'),
          Properties: { ...functionOf('tell').Properties, DeadLetterConfig: { TargetArn: arnOf('Dead') } },
        },
        Dead: queueOf(null),
        Often: scheduleOf('rate(1 minute)', '{"at":"<aws.scheduler.scheduled-time>"}'),
        Once: scheduleOf('rate(1 day)', '{"fail":true}'),
      },
    )
    const { counts } = cloud.function('tell')
    await cloud.run(() => counts.invocations === 5, { limitMs: 6 * MINUTE_MS })
    expect(counts.errors).toBe(0)
    cloud.fire({ arn: 'arn:aws:lambda:eu-central-1:111122223333:function:test-tell', input: { fail: true, n: 1 } })
    await cloud.run(() => bodies(cloud, 'Dead').length === 1, { limitMs: 10 * MINUTE_MS })
    expect(bodies(cloud, 'Dead')).toEqual(['{"fail":true,"n":1}'])
    expect(cloud.invoker.counts).toMatchObject({ retried: 2, deadLettered: 1, lost: 0 })
  })

  it('an event goes where its pattern says, as the target wants it, and only where it may', async () => {
    const rule = (targets: Json): TemplateResource => ({
      Type: 'AWS::Events::Rule',
      Properties: {
        EventPattern: { source: ['aws.ecs'], detail: { lastStatus: ['STOPPED'], group: [{ prefix: 'coldframe' }] } },
        Targets: targets,
      },
    })
    const transformer = { InputPathsMap: { task: '$.detail.taskArn' }, InputTemplate: '{"task": <task>}' }
    const cloud = await cloudOf(
      { tell },
      {
        Tell: functionOf('tell'),
        Work: queueOf(null),
        May: {
          Type: 'AWS::Lambda::Permission',
          Properties: {
            FunctionName: arnOf('Tell'),
            Principal: 'events.amazonaws.com',
            Action: 'lambda:InvokeFunction',
          },
        },
        Rule: rule([
          { Id: '1', Arn: arnOf('Tell') },
          { Id: '2', Arn: arnOf('Work'), InputTransformer: transformer },
        ]),
      },
    )
    const event = (group: string) => ({
      source: 'aws.ecs',
      detail: { lastStatus: 'STOPPED', group, taskArn: 'arn:"1"' },
    })
    expect(cloud.putEvent(event('other'), 'default')).toBe(0)
    expect(cloud.putEvent(event('coldframe-1'), 'other')).toBe(0)
    expect(cloud.putEvent(event('coldframe-1'), 'default')).toBe(2)
    await cloud.run(() => cloud.function('tell').counts.invocations === 1, { limitMs: MINUTE_MS })
    expect(bodies(cloud, 'Work')).toEqual([String.raw`{"task":"arn:\"1\""}`])
    const without = await cloudOf({ tell }, { Tell: functionOf('tell'), Rule: rule([{ Id: '1', Arn: arnOf('Tell') }]) })
    expect(() => without.putEvent(event('coldframe-1'), 'default')).toThrow('has no permission')
  })
})

describe('the API', () => {
  const api = `export const handler = async (event) => {
    if (event.rawPath === '/v1/fail') throw new Error('no')
    if (event.rawPath === '/v1/plain') return { plain: true }
    return { statusCode: 201, headers: { 'X-One': '1' }, cookies: ['a=b'], body: JSON.stringify(event) }
  }`
  const routeOf = (key: string, more: JsonObject = {}): TemplateResource => ({
    Type: 'AWS::ApiGatewayV2::Route',
    Properties: { RouteKey: key, Target: { 'Fn::Join': ['/', ['integrations', { Ref: 'Way' }]] }, ...more },
  })
  const resources: Template['Resources'] = {
    Api: functionOf('api'),
    Way: {
      Type: 'AWS::ApiGatewayV2::Integration',
      Properties: { IntegrationUri: arnOf('Api'), PayloadFormatVersion: '2.0', TimeoutInMillis: 10_000 },
    },
    Jwt: { Type: 'AWS::ApiGatewayV2::Authorizer', Properties: { AuthorizerType: 'JWT' } },
    May: {
      Type: 'AWS::Lambda::Permission',
      Properties: {
        FunctionName: { Ref: 'Api' },
        Principal: 'apigateway.amazonaws.com',
        Action: 'lambda:InvokeFunction',
      },
    },
    One: routeOf('GET /v1/runs/{id}', {
      AuthorizationType: 'JWT',
      AuthorizerId: { Ref: 'Jwt' },
      AuthorizationScopes: ['read'],
    }),
    Two: routeOf('POST /v1/runs', {
      AuthorizationType: 'JWT',
      AuthorizerId: { Ref: 'Jwt' },
      AuthorizationScopes: ['backup'],
    }),
    Three: routeOf('ANY /v1/{proxy+}'),
  }

  it('makes events as API Gateway does, and answers as the function says', async () => {
    const cloud = await cloudOf({ api }, resources)
    const ask = (path: string, init: RequestInit = {}) => fetch(`${cloud.api.url}${path}`, init)
    const good = { authorization: 'Bearer good' }
    const response = await ask('/v1/runs/a%20b?limit=1&limit=2', { headers: good })
    expect([response.status, response.headers.get('x-one'), response.headers.get('set-cookie')]).toEqual([
      201,
      '1',
      'a=b',
    ])
    expect(await response.json()).toMatchObject({
      ...{ version: '2.0', routeKey: 'GET /v1/runs/{id}', rawQueryString: 'limit=1&limit=2', isBase64Encoded: false },
      ...{ pathParameters: { id: 'a b' }, queryStringParameters: { limit: '1,2' } },
      requestContext: { http: { method: 'GET' }, authorizer: { jwt: { claims: { sub: 'me' } } } },
    })
    const posted = await ask('/v1/any/thing', {
      method: 'PUT',
      body: new Uint8Array([255, 1]),
      headers: { 'content-type': 'image/png' },
    })
    expect(await posted.json()).toMatchObject({
      body: '/wE=',
      isBase64Encoded: true,
      pathParameters: { proxy: 'any/thing' },
    })
    const plain = await ask('/v1/plain')
    expect([plain.status, await plain.json()]).toEqual([200, { plain: true }])
  })

  it('refuses whom the authorizer refuses, and tells nobody why a function failed', async () => {
    const cloud = await cloudOf({ api }, resources)
    const status = async (path: string, init: RequestInit = {}) => (await fetch(`${cloud.api.url}${path}`, init)).status
    expect(await status('/v1/runs/1')).toBe(401)
    expect(await status('/v1/runs', { method: 'POST', headers: { authorization: 'Bearer good' } })).toBe(403)
    expect(await status('/elsewhere')).toBe(404)
    expect(await status('/v1/fail')).toBe(500)
    expect(cloud.function('api').counts).toMatchObject({ invocations: 1, errors: 1 })
    const { May: _may, ...closed } = resources
    const shut = await cloudOf({ api }, closed)
    await expect(fetch(`${shut.api.url}/v1/plain`)).rejects.toThrow()
  })
})

describe('calls to AWS', () => {
  const put = client(`async ({ Records: [{ body }] }) => {
    const key = { pk: { S: body } }
    await table.send(new PutItemCommand({ TableName: process.env.COLDFRAME_TABLE, Item: key }))
    await table.send(new GetItemCommand({ TableName: process.env.COLDFRAME_TABLE, Key: key }))
    await queue.send(new SendMessageCommand({ QueueUrl: process.env.COLDFRAME_NEXT_QUEUE, MessageBody: body }))
  }`)
  const resources: Template['Resources'] = {
    Put: functionOf('put', { COLDFRAME_TABLE: { Ref: 'State' }, COLDFRAME_NEXT_QUEUE: { Ref: 'Next' } }),
    State: {
      Type: 'AWS::DynamoDB::Table',
      Properties: {
        ...{ BillingMode: 'PAY_PER_REQUEST', KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }] },
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      },
    },
    Work: queueOf('Dead'),
    Dead: queueOf(null),
    Next: queueOf(null),
    Source: sourceOf('Work', 'Put', {}),
  }

  // Each fate strikes the n-th call of the first invocation once; then everything goes on.
  it.each<readonly [Fate, number, number]>([
    ['die-before', 1, 1],
    ['die-after', 1, 1],
    ['die-before', 3, 1],
    ['die-after', 3, 2],
    ['lose-answer', 1, 1],
    ['lose-answer', 3, 2],
    ['throttle', 1, 1],
    ['throttle', 3, 1],
  ])('%s at call %i: the message arrives %i times', async (fate, nth, times) => {
    const cloud = await cloudOf({ put }, resources)
    let struck = false
    cloud.proxy.decide = (call) => {
      if (struck || call.nth !== nth) return 'pass'
      struck = true
      return fate
    }
    cloud.queues.send(cloud.queues.byName('Work'), 'x')
    const work = cloud.queues.byName('Work')
    const isDone = () =>
      bodies(cloud, 'Next').length >= times && work.inflightMessages.size + work.messages.length === 0
    await cloud.run(isDone, { limitMs: 5 * MINUTE_MS })
    expect(bodies(cloud, 'Next')).toEqual(Array.from({ length: times }, () => 'x'))
    expect(cloud.function('put').counts.deaths).toBe(fate.startsWith('die') ? 1 : 0)
    expect([...cloud.proxy.fates]).toEqual([[fate, 1]])
    expect([...cloud.proxy.counts.keys()].toSorted()).toEqual([
      'put dynamodb GetItem',
      'put dynamodb PutItem',
      'put sqs SendMessage',
    ])
    expect(cloud.proxy.strays).toEqual([])
  })
})
