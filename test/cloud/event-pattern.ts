// Whether an event fits an EventBridge pattern (EventBridge guide, "Comparison operators"). An operator that is not known here is an error.

import { isList, isObject } from './resolve.ts'
import type { Json, JsonObject } from './template.ts'

export function fits(event: Json, pattern: JsonObject): boolean {
  return Object.entries(pattern).every(([key, wanted]) => {
    const value = isObject(event) && Object.hasOwn(event, key) ? event[key] : undefined
    if (isObject(wanted)) return fits(value ?? null, wanted)
    if (!isList(wanted))
      throw new Error(`The pattern of "${key}" is ${JSON.stringify(wanted)}, a list or an object is needed`)
    const values = value !== undefined && isList(value) ? value : [value]
    return wanted.some((one) => values.some((each) => matches(each, one)))
  })
}

function matches(value: Json | undefined, wanted: Json): boolean {
  if (!isObject(wanted)) return value === wanted
  const [operator = '', argument] = Object.entries(wanted)[0] ?? []
  switch (operator) {
    case 'prefix':
      return typeof value === 'string' && value.startsWith(String(argument))
    case 'suffix':
      return typeof value === 'string' && value.endsWith(String(argument))
    case 'exists':
      return (value !== undefined) === argument
    case 'equals-ignore-case':
      return typeof value === 'string' && value.toLowerCase() === String(argument).toLowerCase()
    case 'anything-but': {
      if (value === undefined) return false
      const others = isList(argument ?? null) ? (argument as readonly Json[]) : [argument ?? null]
      return !others.some((other) => matches(value, other))
    }
    case 'wildcard':
      return typeof value === 'string' && wildcard(String(argument)).test(value)
    default:
      throw new Error(`The operator "${operator}" of a pattern is not known here`)
  }
}

function wildcard(text: string): RegExp {
  return new RegExp(`^${text.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`, 's')
}
