// Reads what a rule of a scenario wants to go wrong.

import { MACHINE_ACTIONS, type MachineAction, readAction } from './estate/actions.ts'
import { JsonObject, type JsonSpot } from './estate/json.ts'
import { AREAS_LIES, type SimMishap } from './machine/types.ts'

/** Something happens to a machine, and the call itself goes on. */
export type ActionMishap = {
  readonly kind: 'action'
  /** A name or an instance uuid. */
  readonly vm: string
  readonly action: MachineAction
  /** As POST /machines/NAME/ACTION takes it. */
  readonly body: unknown
}

export type Mishap = SimMishap | ActionMishap

const KEYS: Readonly<Record<Mishap['kind'], readonly string[]>> = {
  fault: ['kind', 'fault', 'message', 'properties'],
  'task-fault': ['kind', 'fault', 'message'],
  'task-fault-after': ['kind', 'fault', 'message'],
  'task-timeout': ['kind', 'workMs'],
  'task-vanish': ['kind', 'workMs'],
  'task-hang': ['kind', 'work', 'ms'],
  'task-idle': ['kind'],
  'task-slow': ['kind', 'durationMs'],
  areas: ['kind', 'lie'],
  delay: ['kind', 'delayMs'],
  'drop-connection': ['kind'],
  'drop-reply': ['kind'],
  'expire-session': ['kind'],
  'http-status': ['kind', 'status'],
  'short-body': ['kind'],
  'wrong-range': ['kind'],
  'other-bytes': ['kind'],
  action: ['kind', 'vm', 'action', 'body'],
}

const KINDS = [
  ...(['fault', 'task-fault', 'task-fault-after', 'task-timeout', 'task-vanish', 'task-hang'] as const),
  ...([
    'task-idle',
    'task-slow',
    'areas',
    'delay',
    'drop-connection',
    'drop-reply',
    'expire-session',
    'http-status',
  ] as const),
  ...(['short-body', 'wrong-range', 'other-bytes', 'action'] as const),
] as const

const LONGEST_MS = 3_600_000

/** See SimMishap and ActionMishap; faults go to the spot's list. */
export function readMishap(spot: JsonSpot): Mishap {
  const kind = new JsonObject({ ...spot, faults: [] }, { keys: [] }).spot('kind').value
  const known = KINDS.find((one) => one === kind)
  const object = new JsonObject(spot, { keys: known === undefined ? KEYS.fault : KEYS[known] })
  const chosen = object.choice('kind', { of: KINDS })
  const msOf = (key: string, fallback?: number) =>
    object.number(key, { low: 0, high: LONGEST_MS, ...(fallback === undefined ? {} : { fallback }) })
  switch (chosen) {
    case 'fault':
    case 'task-fault':
    case 'task-fault-after': {
      const fault = known === undefined ? '' : object.text('fault', {})
      const told = { fault, message: object.text('message', { fallback: `The scenario asked for ${fault}` }) }
      if (chosen !== 'fault') return { kind: chosen, ...told }
      return { kind: chosen, ...told, ...(object.has('properties') ? { properties: propertiesOf(object) } : {}) }
    }
    case 'task-timeout':
    case 'task-vanish':
      return { kind: chosen, workMs: msOf('workMs', 0) }
    case 'task-hang': {
      const isBounded = (object.spot('ms').value ?? null) !== null
      return { kind: chosen, work: object.flag('work', { fallback: true }), ms: isBounded ? msOf('ms') : null }
    }
    case 'task-slow':
      return { kind: chosen, durationMs: msOf('durationMs') }
    case 'areas':
      return { kind: chosen, lie: object.choice('lie', { of: AREAS_LIES }) }
    case 'delay':
      return { kind: chosen, delayMs: msOf('delayMs') }
    case 'http-status':
      return { kind: chosen, status: object.wholeNumber('status', { low: 100, high: 599 }) }
    case 'action':
      return readActionMishap(object)
    default:
      return { kind: chosen }
  }
}

function readActionMishap(object: JsonObject): ActionMishap {
  const action = object.choice('action', { of: MACHINE_ACTIONS })
  const body = object.has('body') ? object.spot('body') : { ...object.spot('body'), value: {} }
  readAction(body, action)
  return { kind: 'action', vm: object.text('vm', {}), action, body: body.value }
}

function propertiesOf(object: JsonObject): Readonly<Record<string, string | number | boolean>> {
  const { value } = object.spot('properties')
  const entries = Object.entries(typeof value === 'object' && value !== null ? value : {})
  const plain = entries.filter((entry): entry is [string, string | number | boolean] =>
    ['string', 'number', 'boolean'].includes(typeof entry[1]),
  )
  if (plain.length === 0 || plain.length < entries.length) {
    object.fault('properties', 'must be an object of texts, numbers and flags')
  }
  return Object.fromEntries(plain)
}
