// Lies about exports: the streams of ExportSnapshot, and the leases behind them.

import { type Chapter, failed, ok, type Rule } from './lie.ts'

const STREAM = '/nfc'
/** Of a stream, while it is sent. */
const PIECE = '/nfc piece'

const exported = { policy: { transport: ['lease'] } } as const
const eitherWay = { policy: { transport: ['lease', 'datastore'] } } as const

const stream = (mishap: Rule['mishap'], times = 1): readonly Rule[] => [{ call: STREAM, nth: 1, times, mishap }]

const midStream = (mishap: Rule['mishap']): readonly Rule[] => [{ call: PIECE, nth: 4, mishap }]

const notReady = ({ fault, times }: { readonly fault: string; readonly times: number }): readonly Rule[] => [
  { call: 'ExportSnapshot', times, mishap: { kind: 'task-fault', fault, message: 'Failed to export the disk' } },
]

/** Nothing of a stream is kept that was not seen to its end. */
const anew = { noticed: [{ attempts: 2 }], ends: ok } as const

export const EXPORT_LIES: Chapter = {
  title: 'Exports',
  lies: [
    { lie: 'A stream ends early and cleanly', ...exported, rules: stream({ kind: 'short-body' }), ...anew },
    { lie: 'A piece of a disk says that it is another', ...exported, rules: stream({ kind: 'other-bytes' }), ...anew },
    { lie: 'A stream is refused with 503', ...exported, rules: stream({ kind: 'http-status', status: 503 }), ...anew },
    { lie: 'A stream is refused with 404', ...exported, rules: stream({ kind: 'http-status', status: 404 }), ...anew },
    {
      lie: 'The connection is dropped before the stream',
      ...exported,
      rules: stream({ kind: 'drop-connection' }),
      ...anew,
    },
    {
      lie: 'The connection is dropped in the middle of a stream',
      ...exported,
      rules: midStream({ kind: 'drop-connection' }),
      ...anew,
    },
    {
      lie: 'Streams end early every time',
      ...exported,
      rules: stream({ kind: 'short-body' }, 1000),
      noticed: [{ outcome: 'disk-read-failed' }],
      ends: failed('disk-read-failed'),
    },
    {
      lie: 'The lease fails before it is ready, for a reason that passes',
      ...exported,
      rules: notReady({ fault: 'Timedout', times: 1 }),
      noticed: [{ log: 'transport.refused', says: /Timedout/ }],
      ends: ok,
    },
    {
      lie: 'The lease fails before it is ready, each time',
      ...exported,
      rules: notReady({ fault: 'GenericVmConfigFault', times: 1000 }),
      noticed: [{ outcome: 'no-transport' }],
      ends: failed('no-transport'),
    },
    {
      lie: 'The lease fails before it is ready, and files may be read instead',
      ...eitherWay,
      rules: notReady({ fault: 'GenericVmConfigFault', times: 1000 }),
      noticed: [{ log: 'transport.refused' }],
      ends: ok,
    },
    {
      lie: 'The lease runs out in the middle of a stream',
      ...exported,
      rules: [
        { call: PIECE, nth: 4, mishap: { kind: 'delay', delayMs: 3_000 } },
        { call: 'HttpNfcLeaseProgress', nth: 1, mishap: { kind: 'delay', delayMs: 2_500 } },
      ],
      ...anew,
    },
    {
      lie: 'The session ends in the middle of a stream, and the lease with it',
      ...exported,
      rules: [
        { call: PIECE, nth: 4, mishap: { kind: 'delay', delayMs: 3_000 } },
        { call: 'HttpNfcLeaseProgress', nth: 1, mishap: { kind: 'expire-session' } },
      ],
      ...anew,
    },
    {
      lie: 'Somebody deletes all snapshots in the middle of a stream',
      ...exported,
      rules: midStream({ kind: 'action', action: 'remove-all-snapshots' }),
      noticed: [{ outcome: 'snapshot-changed' }],
      ends: failed('snapshot-changed'),
    },
    {
      lie: 'Somebody deletes all snapshots in the middle of a stream and takes one of his own',
      ...exported,
      rules: [
        ...midStream({ kind: 'action', action: 'remove-all-snapshots' }),
        ...midStream({ kind: 'action', action: 'write', body: { bytes: 400_000 } }),
        ...midStream({ kind: 'action', action: 'snapshot', body: { name: 'mine' } }),
      ],
      noticed: [{ outcome: 'snapshot-changed' }],
      ends: failed('snapshot-changed'),
      foreign: ['mine'],
      next: failed('foreign-snapshot'),
    },
    {
      lie: 'Somebody takes a snapshot in the middle of a stream',
      ...exported,
      rules: midStream({ kind: 'action', action: 'snapshot', body: { name: 'mine' } }),
      noticed: [{ harmless: 'it rests on ours, which stays as it is' }],
      ends: ok,
      foreign: ['mine'],
      nextPolicy: { transport: ['lease'] },
    },
    {
      lie: 'The guest writes in the middle of a stream',
      ...exported,
      rules: midStream({ kind: 'action', action: 'write', body: { bytes: 500_000 } }),
      noticed: [{ harmless: 'what it writes lies in a delta that is not exported' }],
      ends: ok,
    },
  ],
}
