// The alarm doors behind HTTP on loopback, as an HTTP API has them: requests become events of payload format 2.0 for the Lambda handler.

import { createServer, type IncomingMessage } from 'node:http'
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda'
import { alarmHandler } from '../../functions/_alarm-handler.ts'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { memorySecrets } from '../../lib/adapters/memory/secrets.ts'
import { type Clock, manualClock, systemClock } from '../../lib/base/clock.ts'
import { type AlarmDoorParts, alarmDoors } from '../../lib/compose/alarm-doors.ts'
import { listenOnLoopback } from './loopback.ts'

process.env['POWERTOOLS_LOG_LEVEL'] = 'SILENT'

export const HMAC_KEY = 'a-key-of-the-door-0001'
export const TOKEN = 'a-token-of-the-door-0001'
export const PASSWORD = 'a-password-of-the-door'

const dialects = ['vcf-rest', 'vcf-webhook', 'cloudevents', 'vcenter-script', 'snmp']
const keys = { hmac: [HMAC_KEY], bearer: [TOKEN], basic: [{ user: 'aria', password: PASSWORD }] }

/** Doors over memory; one secret opens all of them. */
export function memoryDoors(options: { readonly clock?: Clock; readonly change?: Partial<AlarmDoorParts> } = {}) {
  const clock = options.clock ?? manualClock()
  const log = memoryLog()
  const parts: AlarmDoorParts = {
    clock,
    log,
    metrics: memoryMetrics(),
    jobStore: memoryJobStore(),
    sender: memoryQueue({ clock, receivesMax: 5 }),
    secrets: memorySecrets(Object.fromEntries(dialects.map((dialect) => [`door/${dialect}`, JSON.stringify(keys)]))),
    secretName: (dialect) => `door/${dialect}`,
    ...options.change,
  }
  return { parts, log, clock, handle: handlerOf(parts) }
}

export type Posted = {
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
  readonly base64?: boolean
}

function handlerOf(parts: AlarmDoorParts) {
  const handler = alarmHandler(() => alarmDoors(parts))
  const context = { awsRequestId: 'r', functionName: 'webhook', getRemainingTimeInMillis: () => 30_000 } as Context
  return async ({ path, method = 'POST', headers = {}, body, base64 = false }: Posted) => {
    const bytes = Buffer.from(body)
    const event = {
      version: '2.0',
      routeKey: `${method} ${path}`,
      rawPath: path,
      rawQueryString: '',
      headers,
      requestContext: { http: { method, path } },
      body: bytes.toString(base64 ? 'base64' : 'utf8'),
      isBase64Encoded: base64,
    } as unknown as APIGatewayProxyEventV2
    const answer = await handler(event, context)
    return { status: answer.statusCode ?? 0, headers: answer.headers ?? {}, body: JSON.parse(answer.body ?? '{}') }
  }
}

/** A server for real senders: curl, shell scripts. */
export async function startAlarmServer() {
  const doors = memoryDoors({ clock: systemClock })
  const statuses: number[] = []
  const server = createServer((request, response) => {
    const answer = async () => {
      const body = await bodyOf(request)
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
      const path = request.url ?? ''
      return doors.handle({ path, method: request.method ?? '', headers, body, base64: true })
    }
    answer().then(
      ({ status, headers, body }) => {
        statuses.push(status)
        const plain = Object.entries(headers).map(([name, value]) => [name, String(value)] as const)
        response.writeHead(status, Object.fromEntries(plain)).end(JSON.stringify(body))
      },
      () => response.writeHead(500).end(),
    )
  })
  return { ...doors, statuses, ...(await listenOnLoopback(server)) }
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of request) pieces.push(piece)
  return Buffer.concat(pieces)
}
