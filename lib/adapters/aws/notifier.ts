// Notifications to the subscribers of an SNS topic: by mail, by chat, by whatever subscribed.

import { PublishCommand, SNSClient } from '@aws-sdk/client-sns'
import type { Facts } from '../../base/errors.ts'
import type { Notification, Notifier } from '../../ports/notifier.ts'
import { type AwsPatience, type AwsPlace, callAws, clientSettings } from './call.ts'

/** SNS API, Publish: ASCII, no line breaks, begins with a letter, number or punctuation mark. */
const SUBJECT_LENGTH_MAX = 100
/** SNS takes 256 KiB with its attributes; a person reads less. */
const MESSAGE_BYTES_MAX = 64 * 1024

/** One that was sent twice, because an answer was lost, has the same attribute `id`. */
export function snsNotifier(settings: { readonly topicArn: string }, patience: AwsPatience & AwsPlace): Notifier {
  const client = new SNSClient(clientSettings(patience))
  return {
    async notify(notification, cancel) {
      const { id, severity, subject } = notification
      const command = {
        TopicArn: settings.topicArn,
        Subject: subjectOf(subject),
        Message: messageOfNotification(notification),
        MessageAttributes: { id: attribute(id), severity: attribute(severity) },
      }
      await callAws(
        {
          what: `send notification "${id}" to "${settings.topicArn}"`,
          send: (options) => client.send(new PublishCommand(command), options),
        },
        patience,
        cancel,
      )
    },
  }
}

/** Accents are taken off; what has no ASCII form becomes "?". The message has the subject whole. */
function subjectOf(text: string): string {
  const ascii = text
    .normalize('NFKD')
    .replaceAll(/\p{Mark}/gu, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[^\x20-\x7e]/gu, '?')
    .trim()
  const words = ascii === '' ? 'Coldframe' : ascii
  return words.length <= SUBJECT_LENGTH_MAX ? words : `${words.slice(0, SUBJECT_LENGTH_MAX - 3).trimEnd()}...`
}

function messageOfNotification({ id, severity, subject, message, facts }: Notification): string {
  const lines = [subject, '', message, '', ...factLines({ ...facts, severity, id })]
  const bytes = Buffer.from(lines.join('\n'))
  // A character that is cut through becomes one that says so.
  return bytes.byteLength <= MESSAGE_BYTES_MAX
    ? bytes.toString()
    : `${bytes.subarray(0, MESSAGE_BYTES_MAX).toString()}…`
}

function factLines(facts: Facts): readonly string[] {
  return Object.entries(facts).map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(', ') : value}`)
}

function attribute(text: string) {
  return { DataType: 'String', StringValue: text }
}
