// What was used, as records and points keep it.

import * as z from 'zod'
import type { Usage } from '../model/usage.ts'

const amount = z.number().min(0)

/** A kind that is counted later has its default here: what was not counted then is 0. */
export const usage = z.object({
  storePuts: amount,
  storeGets: amount,
  storePutBytes: amount,
  storeGetBytes: amount,
  functionCalls: amount,
  functionGbMs: amount,
  taskVcpuMs: amount,
  taskGbMs: amount,
  queueRequests: amount,
  tableReadUnits: amount,
  tableWriteUnits: amount,
  keyRequests: amount,
  eventRequests: amount,
}) satisfies z.ZodType<Usage>
