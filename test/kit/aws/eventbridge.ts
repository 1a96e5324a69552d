// Amazon EventBridge as far as it takes events, for tests. Single entries fail on request, in a reply of success.

import { PutEvents$ } from '@aws-sdk/client-eventbridge'
import { ApiError } from './api-error.ts'
import { arnOf } from './identity.ts'
import { type ApiServer, openApiServer } from './server.ts'

export type PutEntry = {
  readonly Time?: Date
  readonly Source?: string
  readonly DetailType?: string
  readonly Detail?: string
  readonly EventBusName?: string
}

export type EventBridgeServer = ApiServer & {
  readonly busArn: string
  /** What arrived on the bus, in order. */
  readonly entries: readonly PutEntry[]
  /** The error code of an entry that is not taken; null: it is. The last one given counts. */
  failEntries(choose: (entry: PutEntry, number: number) => string | null): void
}

/** EventBridge API, PutEvents: the sizes of time, source, detail type and detail together. */
const ENTRY_BYTES_MAX = 256 * 1024

export async function openEventBridge({ bus }: { readonly bus: string }): Promise<EventBridgeServer> {
  const entries: PutEntry[] = []
  const busArn = arnOf('events', `event-bus/${bus}`)
  let seen = 0
  let choose: Parameters<EventBridgeServer['failEntries']>[0] = () => null
  const put = (entry: PutEntry) => {
    const fault = entryFault(entry) ?? choose(entry, ++seen)
    if (fault !== null) return { ErrorCode: fault, ErrorMessage: 'not taken' }
    if (entry.EventBusName === bus || entry.EventBusName === busArn) entries.push(entry)
    return { EventId: crypto.randomUUID() }
  }
  const server = await openApiServer({
    name: 'events',
    protocol: { kind: 'json', target: 'AWSEvents' },
    operations: {
      PutEvents: {
        schema: PutEvents$,
        handle: (input) => {
          const { Entries } = input as { readonly Entries: readonly PutEntry[] }
          if (Entries.length < 1 || Entries.length > 10) throw new ApiError('ValidationException', '1 to 10 entries')
          const answers = Entries.map(put)
          return { FailedEntryCount: answers.filter((answer) => 'ErrorCode' in answer).length, Entries: answers }
        },
      },
    },
  })
  return {
    ...server,
    busArn,
    entries,
    failEntries: (next) => {
      choose = next
    },
  }
}

function entryFault({ Source, DetailType, Detail }: PutEntry): string | null {
  if (Source === undefined || DetailType === undefined || Detail === undefined) return 'InvalidArgument'
  if (Source.startsWith('aws.')) return 'NotAuthorizedForSourceException'
  if (Buffer.byteLength(Source + DetailType + Detail) > ENTRY_BYTES_MAX) return 'InvalidArgument'
  try {
    const detail: unknown = JSON.parse(Detail)
    return typeof detail === 'object' && detail !== null ? null : 'MalformedDetail'
  } catch {
    return 'MalformedDetail'
  }
}
