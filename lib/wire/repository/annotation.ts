// What is said about a restore point later, as stored JSON: a plain document that names the point, and a sealed text in it.

import * as z from 'zod'
import type { Unproven } from '../../model/annotation.ts'
import { parsePointId, parseSessionId, parseVmId } from '../../model/ids.ts'

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
export const unprovenJson = z.object({
  kind: z.literal('unproven'),
  reason: z.string(),
  diskKeys: z.array(z.int()),
  foundBy: z.string().transform(parseSessionId),
}) satisfies z.ZodType<Unproven>
