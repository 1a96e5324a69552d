// What others leave of a host: its buffers and connections for reads run out in the middle of one.

import { MiB } from '../../lib/base/bytes.ts'
import { type Chapter, during, failed, ok, READ, type Rule } from './lie.ts'

const NOTHING_LEFT = 'NFC error 5: NFC_NO_MEMORY: Failed to allocate the requested 262144 bytes'

const refused = (times: number): readonly Rule[] => [
  { call: READ, nth: 3, times, mishap: { kind: 'fault', fault: 'NfcFault', message: NOTHING_LEFT } },
]

/** So many reads later they are done. */
const othersRead = (use: object): readonly Rule[] => [
  ...during('others-read', use),
  { call: READ, nth: 6, mishap: { kind: 'action', action: 'others-read' } },
]

const again = { noticed: [{ repeats: READ, calls: 6 }], ends: ok } as const

export const LIMIT_LIES: Chapter = {
  title: 'Limits of hosts',
  lies: [
    { lie: 'A read is refused for memory, `NFC error 5`, twice', rules: refused(2), ...again },
    { lie: "Others use all of the host's buffers for a while", rules: othersRead({ bufferBytes: 48 * MiB }), ...again },
    { lie: 'Others use all NFC connections for a while', rules: othersRead({ connections: 52 }), ...again },
    {
      lie: "Others use all of the host's buffers, and go on",
      rules: during('others-read', { bufferBytes: 48 * MiB }),
      after: [{ action: 'others-read' }],
      noticed: [{ outcome: 'no-transport' }],
      ends: failed('no-transport'),
    },
  ],
}
