import { describe, expect, it } from 'vitest'
import { snsNotifier } from '../../../lib/adapters/aws/notifier.ts'
import { notifierContract, sampleNotification } from '../../contract/notifier.ts'
import { impatience } from '../../kit/aws/patience.ts'
import { openSns, type SnsServer } from '../../kit/aws/sns.ts'

const cancel = { signal: new AbortController().signal }
const notifierOf = (server: SnsServer) => snsNotifier({ topicArn: server.topicArn }, impatience(server).settings)

notifierContract('SNS', async () => {
  const server = await openSns({ topic: 'coldframe' })
  return {
    notifier: notifierOf(server),
    told: async () => server.published.map(({ Subject, Message }) => `${Subject}\n${Message}`),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
})

describe('notifications by SNS', () => {
  it.each([
    ['Policy "gold" misses its RPO', 'Policy "gold" misses its RPO'],
    ['Café à Zürich: VM "größe"', 'Cafe a Zurich: VM "gro?e"'],
    ['two\nlines\t and a tab ', 'two lines and a tab'],
    ['備份', '??'],
    ['', 'Coldframe'],
    ['\u0007', '?'],
    ['x'.repeat(101), `${'x'.repeat(97)}...`],
    ['x'.repeat(100), 'x'.repeat(100)],
  ])('have a subject that SNS takes: %j', async (subject, expected) => {
    await using server = await openSns({ topic: 'coldframe' })
    await notifierOf(server).notify({ ...sampleNotification, subject }, cancel)
    expect(server.published[0]?.Subject).toBe(expected)
    expect(server.published[0]?.Message.startsWith(`${subject}\n`)).toBe(true)
  })

  it('carry id and severity where subscriptions can filter by them', async () => {
    await using server = await openSns({ topic: 'coldframe' })
    await notifierOf(server).notify(sampleNotification, cancel)
    expect(server.published[0]?.MessageAttributes).toEqual({
      id: { DataType: 'String', StringValue: sampleNotification.id },
      severity: { DataType: 'String', StringValue: 'warning' },
    })
  })

  it('that are very long are cut, and arrive', async () => {
    await using server = await openSns({ topic: 'coldframe' })
    await notifierOf(server).notify({ ...sampleNotification, message: 'ü'.repeat(300_000) }, cancel)
    expect(Buffer.byteLength(server.published[0]?.Message ?? '')).toBeLessThan(66_000)
  })

  it('are sent again when SNS is away for a moment, and say so when it refuses', async () => {
    await using server = await openSns({ topic: 'coldframe' })
    server.strike(({ number }) => (number === 1 ? { kind: 'error', code: 'InternalError', status: 500 } : null))
    await notifierOf(server).notify(sampleNotification, cancel)
    expect(server.published).toHaveLength(1)
    server.strike(() => ({ kind: 'error', code: 'AuthorizationError', status: 403 }))
    await expect(notifierOf(server).notify(sampleNotification, cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    const elsewhere = snsNotifier({ topicArn: `${server.topicArn}x` }, impatience(server).settings)
    server.strike(() => null)
    await expect(elsewhere.notify(sampleNotification, cancel)).rejects.toMatchObject({ code: 'aws-failed' })
  })
})
