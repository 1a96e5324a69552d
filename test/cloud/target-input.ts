// What a rule or a schedule gives to its target: the event as it is, a part of it, or a text made from it.

import { isObject } from './resolve.ts'
import type { Json, JsonObject } from './template.ts'

/** EventBridge targets: Input, InputPath or InputTransformer. */
export function inputOf(target: JsonObject, event: JsonObject): Json {
  const { Input: input, InputPath: path, InputTransformer: transformer } = target
  if (typeof input === 'string') return JSON.parse(input)
  if (typeof path === 'string') return at(event, path) ?? null
  if (transformer !== undefined && isObject(transformer)) return transformed(transformer, event)
  return event
}

function transformed(transformer: JsonObject, event: JsonObject): Json {
  const paths = isObject(transformer['InputPathsMap'] ?? null) ? (transformer['InputPathsMap'] as JsonObject) : {}
  const text = String(transformer['InputTemplate']).replaceAll(/"?<([^>]+)>"?/g, (whole, name: string) => {
    const value = Object.hasOwn(paths, name) ? at(event, String(paths[name])) : undefined
    if (value === undefined) return whole.startsWith('"') ? '""' : ''
    if (whole.startsWith('"') && whole.endsWith('"'))
      return JSON.stringify(typeof value === 'string' ? value : JSON.stringify(value))
    return typeof value === 'string' && !whole.startsWith('"') ? value : JSON.stringify(value)
  })
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function at(event: JsonObject, path: string): Json | undefined {
  if (!/^\$(\.[\w-]+)*$/.test(path)) throw new Error(`The path "${path}" of a rule is not known here`)
  return path
    .split('.')
    .slice(1)
    .reduce<Json | undefined>((value, key) => (value !== undefined && isObject(value) ? value[key] : undefined), event)
}

/** Schedules know their own placeholders (EventBridge Scheduler guide, "Context attributes"). */
export function scheduleInput(
  input: Json | undefined,
  told: { readonly arn: string; readonly scheduledMs: number },
): Json {
  const time = new Date(told.scheduledMs).toISOString().replace(/\.\d+Z$/, 'Z')
  if (typeof input !== 'string') {
    return {
      version: '0',
      'detail-type': 'Scheduled Event',
      source: 'aws.scheduler',
      time,
      resources: [told.arn],
      detail: '{}',
    }
  }
  const text = input
    .replaceAll('<aws.scheduler.scheduled-time>', time)
    .replaceAll('<aws.scheduler.schedule-arn>', told.arn)
    .replaceAll('<aws.scheduler.execution-id>', `execution-${told.scheduledMs}`)
    .replaceAll('<aws.scheduler.attempt-number>', '1')
  return JSON.parse(text)
}
