import { describe, expect, it } from 'vitest'
import { eventBridgeEvents } from '../../../lib/adapters/aws/events.ts'
import { eventsContract } from '../../contract/events.ts'
import { openEventBridge } from '../../kit/aws/eventbridge.ts'
import { impatience } from '../../kit/aws/patience.ts'
import { domainEventOf } from '../../kit/cloud-events.ts'

const cancel = { signal: new AbortController().signal }
const event = {
  id: 'job.1.done',
  type: 'coldframe.job.done',
  subject: 'job',
  at: '2026-01-02T03:04:05.678Z',
  data: { vm: 'db-1' },
}

eventsContract('EventBridge', async () => {
  const server = await openEventBridge({ bus: 'coldframe' })
  return {
    events: eventBridgeEvents({ bus: server.busArn }, impatience(server).settings),
    published: async () => server.entries.map(({ Detail = '' }) => domainEventOf(Detail)),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
})

describe('events on EventBridge', () => {
  it('are CloudEvents, with source and type where rules look for them', async () => {
    await using server = await openEventBridge({ bus: 'coldframe' })
    await eventBridgeEvents({ bus: 'coldframe' }, impatience(server).settings).publish(event, cancel)
    const [entry] = server.entries
    expect(entry).toMatchObject({
      ...{ Source: 'coldframe', DetailType: 'coldframe.job.done', EventBusName: 'coldframe' },
      Time: new Date(event.at),
    })
    expect(JSON.parse(entry?.Detail ?? '')).toEqual({
      ...{ specversion: '1.0', datacontenttype: 'application/json', source: 'coldframe' },
      ...{ id: event.id, type: event.type, subject: 'job', time: event.at, data: { vm: 'db-1' } },
    })
  })

  it('that are not taken in a reply of success are sent again, in bounds', async () => {
    await using server = await openEventBridge({ bus: 'coldframe' })
    const events = eventBridgeEvents({ bus: 'coldframe' }, impatience(server).settings)
    server.failEntries((_entry, number) => (number <= 2 ? 'ThrottlingException' : null))
    await events.publish(event, cancel)
    expect(server.calls).toHaveLength(3)
    expect(server.entries).toHaveLength(1)

    server.failEntries(() => 'InternalFailure')
    await expect(events.publish(event, cancel)).rejects.toMatchObject({ code: 'aws-unreachable', retry: 'later' })
    expect(server.calls).toHaveLength(8)
  })

  it('that are refused are not sent again', async () => {
    await using server = await openEventBridge({ bus: 'coldframe' })
    const events = eventBridgeEvents({ bus: 'coldframe' }, impatience(server).settings)
    server.failEntries(() => 'MalformedDetail')
    await expect(events.publish(event, cancel)).rejects.toMatchObject({
      code: 'aws-failed',
      facts: { awsCode: 'MalformedDetail' },
    })
    server.strike(() => ({ kind: 'error', code: 'AccessDeniedException' }))
    await expect(events.publish(event, cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    expect(server.calls).toHaveLength(2)
  })
})
