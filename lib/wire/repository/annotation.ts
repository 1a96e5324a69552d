// What is said about a restore point later, as stored JSON: a plain document that names the point, and a sealed text in it.

import * as z from 'zod'
import type { Cleared, Said, Suspect, Unproven } from '../../model/annotation.ts'
import { parseAlarmId, parsePointId, parseSessionId, parseVmId } from '../../model/ids.ts'

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`))

/** a/<vmId>/<sequence>/<n>; `sealed` opens with a key of its own, derived from `salt`. */
export const annotationJson = z.object({
  repositoryId: hex(32),
  kid: hex(16),
  vmId: z.string().transform(parseVmId),
  sequence: z.int().min(1).max(9_999_999_999),
  number: z.int().min(1),
  pointId: hex(32).transform(parsePointId),
  kind: z.string().min(1),
  writtenAt: z.iso.datetime(),
  salt: hex(32),
  sealed: z.base64(),
})
export type AnnotationJson = z.output<typeof annotationJson>

/** The sealed text of kind 'unproven'. */
const unproven = z.object({
  kind: z.literal('unproven'),
  reason: z.string(),
  diskKeys: z.array(z.int()),
  foundBy: z.string().transform(parseSessionId),
}) satisfies z.ZodType<Unproven>

const alarm = z.string().transform(parseAlarmId)

/** The sealed text of kind 'suspect'. */
const suspect = z.object({ kind: z.literal('suspect'), reason: z.string(), alarm }) satisfies z.ZodType<Suspect>

/** The sealed text of kind 'cleared'. */
const cleared = z.object({
  kind: z.literal('cleared'),
  reason: z.string(),
  alarm,
  by: z.string(),
}) satisfies z.ZodType<Cleared>

/** The sealed text of the kinds that this program knows. */
export const saidJson = z.discriminatedUnion('kind', [unproven, suspect, cleared]) satisfies z.ZodType<Said>
export const SAID_KINDS: ReadonlySet<string> = new Set(['unproven', 'suspect', 'cleared'])
