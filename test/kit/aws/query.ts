// The AWS Query protocol: a form in, XML out.

import type { NormalizedSchema } from '@smithy/core/schema'
import type { ApiError } from './api-error.ts'
import type { Shape } from './schema.ts'

type Tree = { readonly [name: string]: Tree | string }

/** The members of a form, "A.entry.1.Name=…" nested by the schema; everything but Action and Version. */
export function queryValues(form: URLSearchParams, schema: NormalizedSchema): Shape {
  const tree: Record<string, Tree | string> = {}
  for (const [path, value] of form) {
    if (path !== 'Action' && path !== 'Version') place(tree, path.split('.'), value)
  }
  return objectOf(tree, schema)
}

function place(tree: Record<string, Tree | string>, [name = '', ...rest]: readonly string[], value: string): void {
  if (rest.length === 0) {
    tree[name] = value
    return
  }
  const inner = typeof tree[name] === 'object' ? { ...tree[name] } : {}
  place(inner, rest, value)
  tree[name] = inner
}

function objectOf(tree: Tree, schema: NormalizedSchema): Shape {
  const members = new Map(schema.structIterator())
  return Object.fromEntries(
    Object.entries(tree).map(([name, value]) => {
      const member = members.get(name)
      return [name, member === undefined ? value : memberOf(value, member)]
    }),
  )
}

function memberOf(value: Tree | string, schema: NormalizedSchema): unknown {
  if (typeof value === 'string') {
    if (schema.isNumericSchema()) return Number(value)
    return schema.isBooleanSchema() ? value === 'true' : value
  }
  if (schema.isStructSchema()) return objectOf(value, schema)
  if (schema.isListSchema()) {
    return Object.values(childOf(value, 'member')).map((item) => memberOf(item, schema.getValueSchema()))
  }
  if (!schema.isMapSchema()) return value
  const entries = Object.values(childOf(value, 'entry')).map((entry) => {
    const pair = typeof entry === 'string' ? {} : entry
    const key = pair['Name'] ?? pair['key']
    return [String(key), memberOf(pair['Value'] ?? pair['value'] ?? '', schema.getValueSchema())]
  })
  return Object.fromEntries(entries)
}

function childOf(tree: Tree, name: string): Tree {
  const child = tree[name]
  return typeof child === 'object' ? child : {}
}

/** Replies of flat strings only: that is all that is asked for. */
export function xmlReply(
  what: ApiError | { readonly operation: string; readonly output: Shape },
  namespace: string,
): string {
  if (!('output' in what)) {
    const type = what.status < 500 ? 'Sender' : 'Receiver'
    const error = `<Error><Type>${type}</Type><Code>${what.code}</Code><Message>${escaped(what.message)}</Message></Error>`
    return `<ErrorResponse xmlns="${namespace}">${error}<RequestId>1</RequestId></ErrorResponse>`
  }
  const { operation, output } = what
  const members = Object.entries(output).map(([name, value]) => `<${name}>${escaped(String(value))}</${name}>`)
  const result = `<${operation}Result>${members.join('')}</${operation}Result>`
  const metadata = '<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>'
  return `<${operation}Response xmlns="${namespace}">${result}${metadata}</${operation}Response>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
