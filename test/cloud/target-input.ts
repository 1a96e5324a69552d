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
  const template = String(transformer['InputTemplate'])
  const text = template.replaceAll(/<([^<>]+)>/g, (_whole, name: string, index: number) => {
    const value = Object.hasOwn(paths, name) ? at(event, String(paths[name])) : undefined
    const json = JSON.stringify(value ?? '')
    const isWithinText = (template.slice(0, index).match(/(?<!\\)"/g) ?? []).length % 2 === 1
    // Within a text a text stands without its quotes; whatever else stands as its JSON, escaped.
    if (!isWithinText) return json
    return (typeof value === 'string' || value === undefined ? json : JSON.stringify(json)).slice(1, -1)
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
