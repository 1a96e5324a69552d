// What clients send: bodies and query parameters, strict: a key that nobody knows is a mistake, and it is told.

import * as z from 'zod'
import { BackupError } from '../../base/errors.ts'
import { parseRestoreTarget } from '../restore-targets.ts'
import { issuesText, parsedBy, policyName, vmId } from '../scalars.ts'

/** Names of VMs that one request may give. */
const VMS_MAX = 1_000

const text = z.string().min(1).max(300)

export const startRun = z.strictObject({
  policy: policyName.nullable().default(null).describe('Name of an applied policy; without it VMs must be named'),
  vms: z
    .array(text)
    .min(1)
    .max(VMS_MAX)
    .nullable()
    .default(null)
    .describe('Names, references (vm-101) or instance uuids; without them what the policy selects'),
  full: z.boolean().default(false).describe('Read and store everything anew'),
})

export const startRestore = z.strictObject({
  point: text.describe("NAME@latest, NAME@NUMBER, or 4 digits or more of a restore point's id"),
  disks: z
    .array(z.int().min(0))
    .min(1)
    .max(1_000)
    .nullable()
    .default(null)
    .describe('Device keys; without them every disk'),
  target: parsedBy(parseRestoreTarget).describe('s3://BUCKET/PREFIX/: one raw image a disk is written below it'),
})

export const startVerification = z.strictObject({
  point: text.nullable().default(null).describe('As for a restore; without it every restore point'),
  deep: z.boolean().default(true).describe('Read every chunk, not only what names and lists them'),
})

/** Of requests that only name something. */
export const nothing = z.strictObject({})

export const LIMIT_MAX = 100

const limit = z
  .string()
  .regex(/^[1-9][0-9]{0,2}$/)
  .transform(Number)
  .pipe(z.int().max(LIMIT_MAX))
  .describe(`1 to ${LIMIT_MAX}; 50 when left out`)
const cursor = z.string().min(1).max(500).describe('"next" of the page before')

export const pageQuery = z.strictObject({ limit: z.exactOptional(limit), cursor: z.exactOptional(cursor) })
export const jobsQuery = pageQuery.extend({ run: z.exactOptional(z.string()).describe('Only those of this run') })
export const pointsQuery = pageQuery.extend({
  vmId: z.exactOptional(vmId).describe('Only those of this VM, by instance uuid'),
})
export const noQuery = z.strictObject({})

/** Reads what a client sent. @throws BackupError `request-malformed` (usage) that names every fault */
export function readRequest<Schema extends z.ZodType>(
  value: unknown,
  { schema, what }: { readonly schema: Schema; readonly what: 'body' | 'query' },
): z.output<Schema> {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  const faults = issuesText(read.error)
  throw new BackupError(`Cannot read the ${what === 'body' ? 'body of the request' : 'query'}: ${faults}`, {
    code: 'request-malformed',
    kind: 'usage',
    hint: 'GET /v1/openapi.json says what it may hold',
    facts: { faults: read.error.issues.slice(0, 50).map((issue) => `${issue.path.join('.')}: ${issue.message}`) },
  })
}
