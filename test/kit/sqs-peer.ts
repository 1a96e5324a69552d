// A queue a stage and dead letters, on fauxqs in this process; it listens on the loopback interface only.

import type { AddressInfo } from 'node:net'
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { buildApp } from 'fauxqs'
import { STAGE_KINDS, type StageKind } from '../../lib/model/message.ts'
import { type Mishaps, openHttpProxy } from './http-proxy.ts'

export type SqsPeer = AsyncDisposable & {
  /** Where it is reached, through what makes mishaps. */
  readonly endpoint: string
  /** Meets no mishaps. */
  readonly client: SQSClient
  readonly urlOf: (kind: StageKind) => string
  readonly deadLetterUrl: string
}

export const PEER_PLACE = {
  region: 'eu-central-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
} as const

export async function openSqsPeer(options: {
  readonly receivesMax: number
  readonly mishaps?: Mishaps
}): Promise<SqsPeer> {
  const { receivesMax, mishaps } = options
  await using open = new AsyncDisposableStack()
  const app = buildApp({ logger: false })
  open.defer(async () => {
    app.server.closeAllConnections()
    await app.close()
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const direct = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const endpoint = mishaps === undefined ? direct : open.use(await openHttpProxy(direct, mishaps)).endpoint
  const client = new SQSClient({ ...PEER_PLACE, endpoint: direct })
  open.defer(() => client.destroy())
  const make = async (QueueName: string, Attributes: Record<string, string>): Promise<string> => {
    const { QueueUrl: url = '' } = await client.send(new CreateQueueCommand({ QueueName, Attributes }))
    return url
  }
  const deadLetterUrl = await make('dead', {})
  const { Attributes: dead } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: deadLetterUrl, AttributeNames: ['QueueArn'] }),
  )
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: dead?.QueueArn, maxReceiveCount: receivesMax })
  const urls = new Map<StageKind, string>()
  for (const kind of STAGE_KINDS) urls.set(kind, await make(kind, { RedrivePolicy }))
  const kept = open.move()
  return {
    endpoint,
    client,
    deadLetterUrl,
    urlOf: (kind) => urls.get(kind) ?? '',
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
