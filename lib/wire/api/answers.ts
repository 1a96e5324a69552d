// What the HTTP API answers, read by a client: documents of this version, and problems as the errors that they were.

import * as z from 'zod'
import { BackupError, type ErrorKind, type Facts } from '../../base/errors.ts'
import {
  jobDocument,
  operationDocument,
  pageOf,
  pointDocument,
  policyDocument,
  policyTextDocument,
  problemDocument,
  runDocument,
} from './documents.ts'

export const parseRun = reader(runDocument)
export const parseJob = reader(jobDocument)
export const parseJobPage = reader(pageOf(jobDocument))
export const parsePointPage = reader(pageOf(pointDocument))
export const parseOperation = reader(operationDocument)
export const parsePolicyPage = reader(pageOf(policyDocument))
export const parsePolicyText = reader(policyTextDocument)

function reader<Schema extends z.ZodType>(schema: Schema): (answer: unknown) => z.output<Schema> {
  return (answer) => {
    const read = schema.safeParse(answer)
    if (read.success) return read.data
    throw new BackupError(`Cannot read what the API answers: ${z.prettifyError(read.error).split('\n')[0] ?? ''}`, {
      code: 'api-answer-malformed',
      hint: 'It may be of another version of Coldframe than this program, or no Coldframe at all',
    })
  }
}

/** The error that a problem tells; what is no problem is told by its status. */
export function errorOfProblem(status: number, answer: unknown): BackupError {
  const read = problemDocument.safeParse(answer)
  const kind = kindOf(status)
  const later = status === 503 || status === 429 ? ({ retry: 'later' } as const) : {}
  if (read.success) {
    const { detail, code, hint, facts } = read.data
    return new BackupError(detail, {
      code,
      kind,
      ...later,
      ...(hint === null ? {} : { hint }),
      facts: plainFacts(facts),
    })
  }
  // The gateway's own answers: {"message": "Unauthorized"}.
  const told = z.object({ message: z.string() }).safeParse(answer)
  const why = told.success ? told.data.message : `status ${status}`
  return new BackupError(`The API refuses the request: ${why}`, {
    code: status === 401 || status === 403 ? 'not-authenticated' : 'api-refused',
    kind,
    ...later,
    hint:
      kind === 'refused' ? 'Look at the token, or at the AWS credentials, and at who the stack lets in' : 'Try again',
  })
}

function kindOf(status: number): ErrorKind {
  if (status === 404) return 'not-found'
  if (status === 401 || status === 403 || status === 409 || status === 422) return 'refused'
  return status >= 400 && status < 500 && status !== 429 ? 'usage' : 'failed'
}

function plainFacts(facts: Readonly<Record<string, unknown>>): Facts {
  const plain = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())])
  return Object.fromEntries(
    Object.entries(facts).flatMap(([name, value]) => {
      const read = plain.safeParse(value)
      return read.success ? [[name, read.data] as const] : []
    }),
  )
}
