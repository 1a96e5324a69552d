// The REST JSON protocol: which operation a method and a path mean, and where the members of its input are.

import type { NormalizedSchema } from '@smithy/core/schema'
import type { StaticOperationSchema } from '@smithy/types'
import { SchemaFault, type Shape } from './schema.ts'

export type Route = {
  readonly operation: string
  readonly schema: StaticOperationSchema
  readonly labels: Readonly<Record<string, string>>
  readonly query: URLSearchParams
}

export function routeOf(
  { method, target }: { readonly method: string; readonly target: string },
  operations: Readonly<Record<string, { readonly schema: StaticOperationSchema }>>,
): Route | null {
  const url = new URL(target, 'http://localhost')
  for (const [operation, { schema }] of Object.entries(operations)) {
    const [verb, template = ''] = httpOf(schema)
    const labels = verb === method ? labelsOf(template, url.pathname) : null
    if (labels !== null) return { operation, schema, labels, query: url.searchParams }
  }
  return null
}

/** All members of the input; one that is in the wrong place is unknown. */
export function pathValues({ labels, query }: Route, schema: NormalizedSchema, body: Shape): Shape {
  const values: Record<string, unknown> = {}
  const names = new Map<string, string>()
  const inBody = new Set<string>()
  for (const [name, member] of schema.structIterator()) {
    const { httpLabel, httpQuery } = member.getMergedTraits()
    if (httpLabel !== undefined) values[name] = labels[name]
    else if (typeof httpQuery === 'string') names.set(httpQuery, name)
    else inBody.add(name)
    if (typeof httpQuery === 'string' && query.has(httpQuery)) {
      const text = query.get(httpQuery) ?? ''
      values[name] = member.isNumericSchema() ? Number(text) : text
    }
  }
  for (const name of query.keys()) {
    if (!names.has(name)) throw new SchemaFault('unknown', name, `Unknown query parameter "${name}"`)
  }
  for (const [name, value] of Object.entries(body)) {
    if (!inBody.has(name)) throw new SchemaFault('unknown', name, `Unknown member "${name}" in the body`)
    values[name] = value
  }
  return values
}

function httpOf(schema: StaticOperationSchema): readonly string[] {
  const traits: unknown = schema[3]
  const http = typeof traits === 'object' && traits !== null ? (traits as { readonly http?: unknown }).http : undefined
  return Array.isArray(http) ? http.map(String) : []
}

function labelsOf(template: string, path: string): Readonly<Record<string, string>> | null {
  const wanted = template.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return null
  const labels: Record<string, string> = {}
  for (const [index, part] of wanted.entries()) {
    const text = decodeURIComponent(given[index] ?? '')
    const label = /^\{(.+)\}$/.exec(part)?.[1]
    if (label === undefined ? part !== text : text === '') return null
    if (label !== undefined) labels[label] = text
  }
  return labels
}
