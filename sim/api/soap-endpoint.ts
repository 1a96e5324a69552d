// POST /sdk: one SOAP call in, one result or fault out.

import { utf8Decode } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { isAbort } from '../../lib/base/time-limit.ts'
import { SimFault, type SimMishap } from '../machine/types.ts'
import { decodeFields, decodeRef } from '../soap/decode.ts'
import { faultEnvelope, parseCall, resultEnvelope } from '../soap/envelope.ts'
import { type Method, managedTypeOf } from '../soap/schema.ts'
import { isList, isRef, type Value } from '../soap/value.ts'
import type { XmlElement } from '../soap/xml.ts'
import { asFault, faultData, notAuthenticated, notFound } from './faults.ts'
import { findObject } from './find-object.ts'
import type { Call, Front, Handler } from './front.ts'
import { answer, answerStatus, cookieOf, type Exchange, readBody } from './http.ts'
import { collectorMethods } from './methods/collector.ts'
import { createMachineMethods } from './methods/create-machine.ts'
import { eventMethods } from './methods/events.ts'
import { guestFileMethods } from './methods/guest-files.ts'
import { guestProgramMethods } from './methods/guest-programs.ts'
import { inventoryMethods } from './methods/inventory.ts'
import { leaseMethods } from './methods/leases.ts'
import { logIn, loginMethods, requirePrivilege } from './methods/login.ts'
import { machineMethods } from './methods/machine.ts'
import { performanceMethods } from './methods/performance.ts'
import { relocateMethods } from './methods/relocate.ts'
import { snapshotMethods } from './methods/snapshots.ts'
import { meetMishap } from './mishaps.ts'
import type { Session } from './sessions.ts'

const SESSION_COOKIE = 'vmware_soap_session'

const BODY_BYTES_MAX = 8 * 1024 * 1024
const handlers: ReadonlyMap<string, Handler> = new Map(
  Object.entries({
    ...loginMethods,
    ...collectorMethods,
    ...inventoryMethods,
    ...snapshotMethods,
    ...machineMethods,
    ...leaseMethods,
    ...relocateMethods,
    ...eventMethods,
    ...performanceMethods,
    ...createMachineMethods,
    ...guestFileMethods,
    ...guestProgramMethods,
  }),
)

export async function soapEndpoint(front: Front, exchange: Exchange): Promise<void> {
  const body = await readBody(exchange.request, BODY_BYTES_MAX)
  if (body === null) return answerStatus(exchange, 413)
  try {
    const call = parseCall(utf8Decode(body))
    checkVersion(exchange)
    const mishap = await meetMishap(front, { call: call.name, exchange, session: sessionOf(front, exchange) })
    if (mishap === 'answered') return
    const { text, session } = await carryOut({ front, exchange, call, mishap })
    if (mishap?.kind === 'drop-reply') return void exchange.request.socket.destroy()
    const headers =
      session === null ? {} : { 'Set-Cookie': `${SESSION_COOKIE}="${session.cookie}"; Path=/; HttpOnly; Secure` }
    answer(exchange, { status: 200, type: 'text/xml; charset=utf-8', body: text, headers })
  } catch (error) {
    if (isAbort(error) && exchange.signal.aborted) return
    const fault = error instanceof BackupError ? new SimFault('InvalidRequest', error.message) : asFault(error)
    answer(exchange, {
      status: 500,
      type: 'text/xml; charset=utf-8',
      body: faultEnvelope(faultData(fault), fault.message),
    })
  }
}

/** The live session of the request's cookie. */
export function sessionOf(front: Front, { request }: Pick<Exchange, 'request'>): Session | null {
  const cookie = cookieOf(request, SESSION_COOKIE)
  return cookie === null ? null : front.sessions.byCookie(cookie)
}

type Request = {
  readonly front: Front
  readonly exchange: Exchange
  readonly call: XmlElement
  readonly mishap: SimMishap | null
}

/** `session`: one that this call made. */
async function carryOut(request: Request): Promise<{ readonly text: string; readonly session: Session | null }> {
  const { front, exchange, call: element } = request
  const { method, self } = methodOf(element)
  const session = sessionOf(front, exchange)
  const call = prepare({ ...request, method, self, session })
  if (method.name === 'Login') {
    const { session: made, value } = logIn(call)
    return { text: resultEnvelope(method.name, { value, declared: method.result }), session: made }
  }
  const handler = handlers.get(method.name)
  if (handler === undefined) throw new SimFault('NotSupported', `"${method.name}" is not simulated`)
  const value = await handler(call)
  const shown = isList(value) && value.length === 0 ? null : value
  return { text: resultEnvelope(method.name, { value: shown, declared: method.result }), session: null }
}

type Prepared = Request & { readonly method: Method; readonly self: Value; readonly session: Session | null }

function prepare({ front, exchange, call: element, mishap, method, self, session }: Prepared): Call {
  if (!isRef(self)) throw new SimFault('InvalidRequest', 'The call names no object')
  if (method.privilege !== 'System.Anonymous' && session === null)
    throw notAuthenticated(method.privilege ?? 'System.View')
  const object = findObject(front, self, session)
  if (object === null) throw notFound(self)
  if (method.privilege !== null) requirePrivilege({ front, session }, { privilege: method.privilege, entity: self })
  const rest = { ...element, children: element.children.filter(({ name }) => name !== '_this') }
  return {
    front,
    self: object,
    args: decodeFields(rest, { type: method.name, fields: method.parameters }),
    session,
    mishap,
    from: {
      ipAddress: exchange.request.socket.remoteAddress ?? '127.0.0.1',
      userAgent: exchange.request.headers['user-agent'] ?? '',
      host: exchange.request.headers.host ?? '*',
    },
    signal: exchange.signal,
  }
}

function methodOf(element: XmlElement): { readonly method: Method; readonly self: Value } {
  const first = element.children[0]
  if (first?.name !== '_this') throw new SimFault('InvalidRequest', `"${element.name}" must name its object first`)
  const self = decodeRef(first, 'ManagedObject')
  const type = isRef(self) ? self.type : ''
  const method = managedTypeOf(type)?.methods.get(element.name)
  if (method === undefined) {
    const message = `The method "${element.name}" is unknown or not simulated for "${type}"`
    const receiver = isRef(self) ? self.id : ''
    throw new SimFault('MethodNotFound', message, { receiver, referenceType: type, method: element.name })
  }
  return { method, self }
}

/** SOAPAction names the API version that the caller speaks; those before 5.0 and after this server's are refused. */
function checkVersion({ request }: Exchange): void {
  const action = String(request.headers['soapaction'] ?? '').replaceAll('"', '')
  const match = /^urn:(?:internal)?vim25(?:\/(\d+)(?:\.\d+)*)?$/.exec(action)
  const major = Number(match?.[1] ?? 8)
  if (action !== '' && (match === null || major < 5 || major > 8)) {
    throw new SimFault('InvalidRequest', `Unsupported version URI "${action}"`)
  }
}
