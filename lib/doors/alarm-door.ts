// The doors that alarms come in by HTTP: who may come in, how much of it, in which words, and what is answered. Nothing is decided here.

import { createHash } from 'node:crypto'
import { BackupError, messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { ToldAlarm } from '../model/alarm.ts'
import type { Log, Metrics } from '../ports/log.ts'
import type { Admission, DoorGuard } from './alarm-auth.ts'
import { type ReceiveDeps, receiveAlarm } from './receive-alarm.ts'

/** The largest body that is read. */
export const ALARM_BODY_BYTES_MAX = 256 * 1024
/** Where nothing else tells two alarms apart, the same words within this long are one. */
const SAME_MS = 5 * 60_000

export type HttpRequest = {
  readonly method: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Uint8Array
}

/** A body is JSON: of an alarm's id, or a problem (RFC 9457). */
export type HttpAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
}

export type AlarmBody = {
  readonly contentType: string | null
  readonly headers: HttpRequest['headers']
  readonly text: string
}

export type AlarmDoors = Readonly<
  Record<string, { readonly guard: DoorGuard; readonly parse: (body: AlarmBody) => ToldAlarm }>
>

export type AlarmDoorDeps = ReceiveDeps & { readonly doors: AlarmDoors; readonly log: Log; readonly metrics: Metrics }

/** The one that sends updates with PUT, and expects 201 to POST and 202 to PUT. */
const REST = 'vcf-rest'

/** @param request.dialect the door's name, as in its path. Never throws but when the caller gave up */
export async function answerAlarm(
  request: HttpRequest & { readonly dialect: string },
  deps: AlarmDoorDeps,
  cancel: Cancel,
): Promise<HttpAnswer> {
  const log = deps.log.with({ door: request.dialect })
  try {
    const answer = await admitAndReceive(request, { ...deps, log }, cancel)
    deps.metrics.count('alarm.request', 1, { door: doorName(request, deps), status: String(answer.status) })
    return answer
  } catch (error) {
    cancel.signal.throwIfAborted()
    log.error('alarm.not-received', error)
    deps.metrics.count('alarm.request', 1, { door: doorName(request, deps), status: '503' })
    // The sender keeps what it has to say, and says it again.
    return problem(503, 'alarm-not-kept', 'The alarm could not be written down; send it again', { 'retry-after': '30' })
  }
}

/** Of a closed set: names of doors that are not there are the sender's. */
function doorName({ dialect }: { readonly dialect: string }, { doors }: AlarmDoorDeps): string {
  return Object.hasOwn(doors, dialect) ? dialect : 'other'
}

async function admitAndReceive(
  request: HttpRequest & { readonly dialect: string },
  deps: AlarmDoorDeps,
  cancel: Cancel,
): Promise<HttpAnswer> {
  const { dialect, method, headers, body } = request
  const door = Object.hasOwn(deps.doors, dialect) ? deps.doors[dialect] : undefined
  if (door === undefined) return problem(404, 'door-unknown', 'There is no such door')
  const allowed = dialect === REST ? ['POST', 'PUT'] : ['POST']
  if (!allowed.includes(method))
    return problem(405, 'method', `Use ${allowed.join(' or ')}`, { allow: allowed.join(', ') })
  if (body.byteLength > ALARM_BODY_BYTES_MAX)
    return problem(
      413,
      'alarm-too-large',
      `The body has ${body.byteLength} bytes, ${ALARM_BODY_BYTES_MAX} are read at most`,
    )
  const admission = await door.guard.admit({ headers, body }, cancel)
  if (admission.kind === 'refused') {
    deps.log.warn('alarm.refused', { reason: admission.reason })
    return problem(401, 'unauthorized', 'Authenticate as this door asks', {
      'www-authenticate': 'Bearer, Basic realm="alarms"',
    })
  }
  let told: ToldAlarm
  try {
    told = door.parse({ contentType: headers['content-type'] ?? null, headers, text: textOf(body) })
  } catch (error) {
    return refusal(error, deps)
  }
  const key = told.key ?? keyOf({ admission, body }, deps)
  const alarmId = await receiveAlarm({ ...told, key }, deps, cancel)
  deps.log.info('alarm.received', { alarmId, alarm: told.alarmName, state: told.state })
  const status = dialect === REST && method === 'POST' ? 201 : 202
  return { status, headers: { 'content-type': 'application/json' }, body: { alarmId } }
}

/** @throws BackupError `alarm-malformed` */
function textOf(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    throw new BackupError('Cannot read the alarm: it is not UTF-8', { code: 'alarm-malformed', kind: 'usage' })
  }
}

function refusal(error: unknown, { log }: AlarmDoorDeps): HttpAnswer {
  if (!(error instanceof BackupError)) throw error
  log.warn('alarm.unreadable', { code: error.code, message: messageOf(error) })
  return problem(error.code === 'alarm-content-type' ? 415 : 422, error.code, error.message)
}

/** A request that was signed once is one alarm, however often it comes: its time is signed with it. */
function keyOf(
  { admission, body }: { readonly admission: Admission; readonly body: Uint8Array },
  { clock }: ReceiveDeps,
): string {
  const when = admission.kind === 'signed' ? admission.timestamp : `~${Math.floor(clock.nowMs() / SAME_MS)}`
  return createHash('sha256').update(`${when}.`).update(body).digest('hex')
}

function problem(
  status: number,
  code: string,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  const title = TITLES[status] ?? 'Error'
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...headers },
    body: { type: 'about:blank', title, status, code, detail },
  }
}

const TITLES: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  503: 'Service Unavailable',
}
