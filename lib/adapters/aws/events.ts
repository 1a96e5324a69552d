// Domain events on an EventBridge bus, each a CloudEvent.

import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge'
import { cloudEventOf, EVENT_SOURCE } from '../../model/cloud-event.ts'
import type { Events } from '../../ports/log.ts'
import { type AwsPatience, type AwsPlace, callAws, clientSettings, EntryRefused } from './call.ts'

/** @param settings.bus name or ARN */
export function eventBridgeEvents(settings: { readonly bus: string }, patience: AwsPatience & AwsPlace): Events {
  const client = new EventBridgeClient(clientSettings(patience))
  return {
    async publish(event, cancel) {
      const entry = {
        EventBusName: settings.bus,
        Source: EVENT_SOURCE,
        DetailType: event.type,
        Time: new Date(event.at),
        Detail: JSON.stringify(cloudEventOf(event)),
      }
      const send = async (options: { readonly abortSignal: AbortSignal }) => {
        const { FailedEntryCount = 0, Entries = [] } = await client.send(
          new PutEventsCommand({ Entries: [entry] }),
          options,
        )
        // The call succeeds, and says of each entry whether it did.
        if (FailedEntryCount === 0) return
        const { ErrorCode = 'InternalFailure', ErrorMessage = '' } = Entries[0] ?? {}
        throw new EntryRefused(ErrorCode, ErrorMessage)
      }
      await callAws({ what: `publish event "${event.id}" on "${settings.bus}"`, send }, patience, cancel)
    },
  }
}
