// The small schemas that every record of ours is made of. Not a record by itself.

import * as z from 'zod'
import { messageOf } from '../base/errors.ts'
import {
  parseAlarmId,
  parseJobId,
  parseMoref,
  parseOperationId,
  parsePackId,
  parsePointId,
  parsePolicyName,
  parseRunId,
  parseSessionId,
  parseVmId,
} from '../model/ids.ts'

/** A string that a parser of the model accepts; the parser's own sentence becomes the issue. */
export function parsedBy<Output>(parse: (text: string) => Output): z.ZodType<Output> {
  return z.string().transform((text, context) => {
    try {
      return parse(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) })
      return z.NEVER
    }
  })
}

export const alarmId = parsedBy(parseAlarmId)
export const jobId = parsedBy(parseJobId)
export const moref = parsedBy(parseMoref)
export const operationId = parsedBy(parseOperationId)
export const packId = parsedBy(parsePackId)
export const pointId = parsedBy(parsePointId)
export const policyName = parsedBy(parsePolicyName)
export const runId = parsedBy(parseRunId)
export const sessionId = parsedBy(parseSessionId)
export const vmId = parsedBy(parseVmId)

/** 0 and up, exact. */
export const count = z.int().min(0)
/** From 1 to 9,999, as a session id can hold it. */
export const attemptNumber = z.int().min(1).max(9999)
/** ISO 8601 in UTC ("Z"), with or without fractions of a second. */
export const time = z.iso.datetime()

/** One line that names every issue and where it is, for an error message. */
export function issuesText(error: z.ZodError): string {
  return error.issues.map((issue) => `${pathText(issue.path)}${issue.message}`).join('; ')
}

/** @returns the value, or throws what `refuse` makes of the issues (or of text that is no JSON) */
export function parseJson<Output>(
  text: string,
  form: { readonly schema: z.ZodType<Output>; readonly refuse: (reason: string) => Error },
): Output {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw form.refuse(`not JSON: ${messageOf(error)}`)
  }
  const parsed = form.schema.safeParse(value)
  if (!parsed.success) throw form.refuse(issuesText(parsed.error))
  return parsed.data
}

function pathText(path: readonly PropertyKey[]): string {
  return path.length === 0 ? '' : `${path.map(String).join('.')}: `
}
