// Lies about sessions and files.

import { type Chapter, failed, ok, QUERY, READ, type Rule } from './lie.ts'

const folder = (mishap: Rule['mishap'], times = 1): readonly Rule[] => [{ call: READ, nth: 3, times, mishap }]

const repeated = { noticed: [{ repeats: READ, calls: 5 }], ends: ok } as const

export const WIRE_LIES: Chapter = {
  title: 'Sessions and files',
  lies: [
    { lie: 'The session ends between two reads', rules: folder({ kind: 'expire-session' }), ...repeated },
    { lie: 'A read is answered 401', rules: folder({ kind: 'http-status', status: 401 }), ...repeated },
    {
      lie: 'A question for changed areas is answered `NotAuthenticated`',
      rules: [
        {
          call: QUERY,
          mishap: { kind: 'fault', fault: 'NotAuthenticated', message: 'The session is not authenticated.' },
        },
      ],
      noticed: [{ repeats: QUERY, calls: 3 }],
      ends: ok,
    },
    { lie: 'Bodies are shorter than their heads say', rules: folder({ kind: 'short-body' }, 2), ...repeated },
    {
      lie: 'The range of an answer is not the one that was asked for',
      rules: folder({ kind: 'wrong-range' }, 2),
      ...repeated,
    },
    { lie: 'A connection is dropped in the middle of a read', rules: folder({ kind: 'drop-connection' }), ...repeated },
    { lie: 'A read is answered 503', rules: folder({ kind: 'http-status', status: 503 }), ...repeated },
    {
      lie: 'A file is said to be gone (404), once',
      rules: folder({ kind: 'http-status', status: 404 }),
      noticed: [{ outcome: 'disk-read-failed' }],
      ends: failed('disk-read-failed'),
    },
    {
      lie: 'A file is said to be gone (404), always',
      rules: folder({ kind: 'http-status', status: 404 }, 1000),
      noticed: [{ outcome: 'disk-read-failed' }],
      ends: failed('disk-read-failed'),
    },
  ],
}
