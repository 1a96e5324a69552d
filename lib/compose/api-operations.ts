// Routes of restores and checks: two names for operations, each of which sees its own kind only.

import { isDeepStrictEqual } from 'node:util'
import { hexOf } from '../base/bytes.ts'
import { cancelOperation } from '../doors/cancel.ts'
import { requestOperation } from '../doors/request-operation.ts'
import { parseOperationId } from '../model/ids.ts'
import type { Operation, OperationRequest } from '../model/operation.ts'
import { documentOfOperation } from '../operate/documents.ts'
import { encodeCursor, parseCursor } from '../wire/api/cursor.ts'
import { pageQuery, startRestore, startVerification } from '../wire/api/requests.ts'
import { refuseOtherTargets } from '../wire/restore-targets.ts'
import { type ApiAnswer, type ApiCall, type ApiHandler, LOOK_AGAIN_SECONDS } from './api-call.ts'
import { keyReused, knownId, notFound } from './api-errors.ts'
import { LIMIT } from './api-lists.ts'

type Kind = OperationRequest['kind']

const PLURALS: Readonly<Record<Kind, string>> = { restore: 'restores', verify: 'verifications' }
const NAMES: Readonly<Record<Kind, string>> = { restore: 'restore', verify: 'verification' }

/** Pages of the other kind that one call passes over at most. */
const PASSED_MAX = 20

export const operationHandlers = {
  startRestore: async (call) => {
    const { point, disks, target } = startRestore.parse(call.body)
    refuseOtherTargets(target, call.deps.targets)
    return begin({ kind: 'restore', point, disks, target }, call)
  },
  startVerification: async (call) => begin({ kind: 'verify', ...startVerification.parse(call.body) }, call),
  listRestores: (call) => list('restore', call),
  listVerifications: (call) => list('verify', call),
  getRestore: async (call) => view(await find('restore', call)),
  getVerification: async (call) => view(await find('verify', call)),
  cancelRestore: (call) => end('restore', call),
  cancelVerification: (call) => end('verify', call),
} as const satisfies Readonly<Record<string, ApiHandler>>

async function begin(request: OperationRequest, { deps, cancel, caller, ...call }: ApiCall): Promise<ApiAnswer> {
  const key = call.key ?? hexOf(deps.random.bytes(16))
  const asked = { request, requestedBy: caller.name, key: JSON.stringify([caller.name, key]) }
  const operation = await requestOperation(asked, deps, cancel)
  if (!isDeepStrictEqual(operation.request, request)) throw keyReused(key)
  return { ...view(operation), location: `/v1/${PLURALS[request.kind]}/${operation.id}` }
}

/** Both kinds lie in one list: what is of the other is passed over, in bounds; then a page is shorter than asked and not the last. */
async function list(kind: Kind, call: ApiCall): Promise<ApiAnswer> {
  const { limit = LIMIT, cursor } = pageQuery.parse(call.query)
  const found: Operation[] = []
  let after = cursor === undefined ? null : parseCursor(cursor)
  let more = true
  for (let pages = 0; pages < PASSED_MAX && more && found.length < limit; pages++) {
    const page = { limit: limit + 1, ...(after === null ? {} : { after }) }
    const some = await call.deps.jobStore.recentOperations(page, call.cancel)
    more = some.length > limit
    for (const operation of some.slice(0, limit)) {
      if (found.length === limit) {
        more = true
        break
      }
      after = { at: operation.requestedAt, id: operation.id }
      if (operation.request.kind === kind) found.push(operation)
    }
  }
  const next = more && after !== null ? encodeCursor(after) : null
  return { body: { items: found.map(documentOfOperation), next } }
}

async function find(kind: Kind, call: ApiCall): Promise<Operation> {
  const id = knownId(call, NAMES[kind], parseOperationId)
  const found = await call.deps.jobStore.operations.get(id, call.cancel)
  if (found?.value.request.kind === kind) return found.value
  throw notFound(NAMES[kind], id)
}

async function end(kind: Kind, call: ApiCall): Promise<ApiAnswer> {
  const { id } = await find(kind, call)
  return { ...view(await cancelOperation(id, call)), location: `/v1/${PLURALS[kind]}/${id}` }
}

function view(operation: Operation): ApiAnswer {
  const retryAfter = operation.state === 'done' ? null : LOOK_AGAIN_SECONDS
  return { body: documentOfOperation(operation), retryAfter }
}
