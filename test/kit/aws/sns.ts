// Amazon SNS as far as it publishes to one topic, for tests.

import { Publish$ } from '@aws-sdk/client-sns'
import { ApiError } from './api-error.ts'
import { arnOf } from './identity.ts'
import { type ApiServer, openApiServer } from './server.ts'

export type Published = {
  readonly TopicArn?: string
  readonly Subject?: string
  readonly Message: string
  readonly MessageAttributes?: Readonly<Record<string, { readonly DataType: string; readonly StringValue?: string }>>
}

export type SnsServer = ApiServer & {
  readonly topicArn: string
  /** In order. */
  readonly published: readonly Published[]
}

export async function openSns({ topic }: { readonly topic: string }): Promise<SnsServer> {
  const published: Published[] = []
  const topicArn = arnOf('sns', topic)
  const handle = (input: object) => {
    const message = input as Published
    if (message.TopicArn !== topicArn) throw new ApiError('NotFound', 'Topic does not exist', 404)
    // Amazon SNS API, Publish: of the subject.
    const isSubject = /^[A-Za-z0-9!-/:-@[-`{-~][\x20-\x7e]{0,99}$/.test(message.Subject ?? 'x')
    if (!isSubject) throw new ApiError('InvalidParameter', 'Invalid parameter: Subject')
    if (message.Message === '' || Buffer.byteLength(message.Message) > 262_144) {
      throw new ApiError('InvalidParameter', 'Invalid parameter: Message too long or empty')
    }
    for (const [name, { DataType, StringValue }] of Object.entries(message.MessageAttributes ?? {})) {
      if (DataType !== 'String' || StringValue === undefined || StringValue === '') {
        throw new ApiError('InvalidParameterValue', `The message attribute '${name}' must contain a value`)
      }
    }
    published.push(message)
    return { MessageId: crypto.randomUUID() }
  }
  const server = await openApiServer({
    name: 'sns',
    protocol: { kind: 'query', version: '2010-03-31', namespace: 'http://sns.amazonaws.com/doc/2010-03-31/' },
    operations: { Publish: { schema: Publish$, handle } },
  })
  return { ...server, topicArn, published }
}
