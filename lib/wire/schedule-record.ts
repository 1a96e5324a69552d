// A schedule as one machine keeps it: JSON text and back.

import * as z from 'zod'
import { codec } from './job.ts'
import { count, policyName } from './scalars.ts'

const schedule = z.strictObject({
  policy: policyName,
  when: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('cron'), fields: z.string() }),
    z.strictObject({ kind: z.literal('rate'), everyMs: count }),
  ]),
  timeZone: z.string(),
  jitterMs: count,
})

export const scheduleRecord = codec('schedule', schedule)
