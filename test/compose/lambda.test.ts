// The engine of a function, opened from an environment as a stack writes it, against peers on this machine.

import { ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import { describe, expect, it } from 'vitest'
import { dynamoJobStore } from '../../lib/adapters/aws/job-store.ts'
import { memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { openAwsPorts } from '../../lib/compose/aws.ts'
import { awsVsphereSettings } from '../../lib/compose/aws-vcenter.ts'
import { openAwsDeps, openLambdaEngine } from '../../lib/compose/lambda.ts'
import { parseVcenterAccount } from '../../lib/wire/vcenter-account.ts'
import { openSimVcenter } from '../adapters/vsphere/sim-vcenter.ts'
import { sampleRun } from '../kit/record-samples.ts'
import { openSqsPeer } from '../kit/sqs-peer.ts'
import { openTable } from '../kit/state-table.ts'

const cancel = { signal: new AbortController().signal }
const frame = (environment: Readonly<Record<string, string>>) => ({
  log: memoryLog(),
  metrics: memoryMetrics(),
  environment,
})

/** What the SDK finds by itself, for as long as it is held. */
function sdkEnvironment(variables: Readonly<Record<string, string>>): Disposable {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
  Object.assign(process.env, variables)
  return {
    [Symbol.dispose]: () => {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
      }
    },
  }
}

describe('the engine of a function', () => {
  it('finds table and queues by its environment: watch sends again what was lost', async () => {
    await using table = await openTable()
    await using sqs = await openSqsPeer({ receivesMax: 5 })
    using _sdk = sdkEnvironment({
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL_DYNAMODB: table.endpoint,
      AWS_ENDPOINT_URL_SQS: sqs.endpoint,
    })
    const url = sqs.urlOf('plan')
    const environment = {
      COLDFRAME_TABLE: table.name,
      COLDFRAME_PLAN_QUEUE: url,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '512',
    }
    const store = dynamoJobStore(table.table, { clock: systemClock })
    const run = sampleRun({ state: 'requested', wakeAtMs: 1 })
    await store.runs.create(run.id, run, cancel)

    expect(await openLambdaEngine(frame(environment)).watch(cancel)).toBe(1)
    const { Messages: messages = [] } = await sqs.client.send(new ReceiveMessageCommand({ QueueUrl: url }))
    expect(messages.map(({ Body }) => JSON.parse(Body ?? ''))).toEqual([{ v: 1, kind: 'plan', runId: run.id }])

    const { meter } = openAwsPorts(environment)
    expect(meter.functionGb).toBe(0.5)
  })

  it('starts without what it does not need, and names what it misses when it does', async () => {
    const deps = openAwsDeps(frame({ COLDFRAME_TABLE: 'state' }))
    const message = { v: 1, kind: 'plan', runId: sampleRun().id } as const
    await expect(deps.sender.send(message, { delayMs: 0 }, cancel)).rejects.toThrow(/COLDFRAME_PLAN_QUEUE is not set/)
    await expect(deps.vsphere.open(cancel)).rejects.toThrow(/COLDFRAME_VCENTER is not set/)
    await expect(deps.repository(cancel)).rejects.toThrow(/COLDFRAME_REPOSITORY is not set/)
    await expect(deps.tasks.describe('task', cancel)).rejects.toThrow(/COLDFRAME_CLUSTER is not set/)
    const event = { id: 'e', type: 't', subject: 's', at: '2026-01-02T03:04:05.000Z', data: {} }
    await expect(deps.events.publish(event, cancel)).rejects.toThrow(/COLDFRAME_EVENT_BUS is not set/)
    expect(deps.tasks.placements).toBe(1)
  })

  it('takes limits of vCenter from its environment', () => {
    const deps = openAwsDeps(frame({ COLDFRAME_TABLE: 'state', COLDFRAME_NFC_CONNECTIONS: '7' }))
    expect(deps.limits.admission.nfcConnections).toBe(7)
    expect(deps.limits.claimMs).toBe(60_000)
  })
})

describe('the account of a vCenter', () => {
  it('is read from the secret’s JSON, whatever else that holds', () => {
    const text = '{"user":"backup@vsphere.local","password":"hunter2","host":"vc"}'
    expect(parseVcenterAccount(text, 's')).toEqual({ user: 'backup@vsphere.local', password: 'hunter2' })
  })

  it('is read once a login, and no sooner: a password that was changed is taken up', async () => {
    await using sim = await openSimVcenter()
    const { url, trust, account } = sim.settings
    if (trust.kind !== 'thumbprint') throw new Error('The simulator is known by its thumbprint')
    const right = JSON.stringify(await account(cancel))
    const texts = [right, '{"user":"changed","password":"changed"}', right]
    const asked: string[] = []
    const read = async (name: string) => {
      asked.push(name)
      return texts[asked.length - 1] ?? ''
    }
    const place = { url, secret: 'vcenter', trust }
    const vsphere = openVsphere(
      awsVsphereSettings(place, { secrets: { read }, clock: systemClock, random: systemRandom }),
    )
    expect(asked).toEqual([])
    await (await vsphere.open(cancel))[Symbol.asyncDispose]()
    expect(asked).toEqual(['vcenter'])
    await expect(vsphere.open(cancel)).rejects.toThrow(/as "changed"/)
    await (await vsphere.open(cancel))[Symbol.asyncDispose]()
    expect(asked).toEqual(['vcenter', 'vcenter', 'vcenter'])
  })

  it('is refused with its secret’s name and never with a value', () => {
    for (const text of ['hunter2', '"hunter2"', '{"password":"hunter2"}', '{"user":"","password":"hunter2"}']) {
      let message = ''
      try {
        parseVcenterAccount(text, 'coldframe/vcenter')
      } catch (error) {
        message = String(error)
      }
      expect(message).toMatch(/"coldframe\/vcenter"/)
      expect(message).not.toMatch(/hunter2/)
    }
  })
})
