// The published JSON Schema of a policy's YAML, generated from what reads it: for editors, and for those who write policies by program.

import * as z from 'zod'
import { policyText } from './policy.ts'

const description =
  'A backup policy of Coldframe: what to protect, when, how consistently, how long. "coldframe policy check FILE" says more: some rules go beyond what a schema can tell.'

/** A document of JSON Schema, draft 2020-12. */
export function policySchema(): Readonly<Record<string, unknown>> {
  const { $schema, ...schema } = z.toJSONSchema(policyText, { io: 'input', target: 'draft-2020-12' })
  return { $schema, title: 'Coldframe policy', description, ...schema }
}
