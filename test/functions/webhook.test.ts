// The event of the alarm doors: what an HTTP API hands to the function, refused as it is, taken when it is signed.

import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda'
import { expect, it } from 'vitest'
import { alarmHandler } from '../../functions/_alarm-handler.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { alarmDoors } from '../../lib/compose/alarm-doors.ts'
import { HMAC_KEY, memoryDoors } from '../kit/alarm-server.ts'

const context = { awsRequestId: 'r', functionName: 'webhook', getRemainingTimeInMillis: () => 30_000 } as Context

it('events/webhook.json is refused for its signature, and taken with a right one', async () => {
  const clock = manualClock()
  clock.advance(1_760_000_000_000 - clock.nowMs())
  const { parts } = memoryDoors({ clock })
  const handler = alarmHandler(() => alarmDoors(parts))
  const path = join(import.meta.dirname, '..', '..', 'events', 'webhook.json')
  const event: APIGatewayProxyEventV2 = JSON.parse(await readFile(path, 'utf8'))
  expect(await handler(event, context)).toMatchObject({ statusCode: 401 })

  const seconds = event.headers['x-coldframe-timestamp']
  const signature = createHmac('sha256', HMAC_KEY).update(`${seconds}.${event.body}`).digest('hex')
  const signed = { ...event, headers: { ...event.headers, 'x-coldframe-signature': `v1=${signature}` } }
  expect(await handler(signed, context)).toMatchObject({
    statusCode: 202,
    headers: { 'content-type': 'application/json' },
    body: expect.stringMatching(/^\{"alarmId":"[0-9a-f]{32}"\}$/),
  })
})
