// YAML that a person wrote, checked against a schema: every fault at once, each with its line. Not for our own records.

import { type Document, isMap, isNode, isScalar, LineCounter, type ParsedNode, parseDocument } from 'yaml'
import * as z from 'zod'
import { nearNames } from '../base/text.ts'

/** `line` and `column` count from 1; 0 when the fault is of the whole text. */
export type YamlFault = { readonly line: number; readonly column: number; readonly message: string }

export type YamlResult<Value> =
  | { readonly kind: 'read'; readonly value: Value }
  | { readonly kind: 'refused'; readonly faults: readonly YamlFault[] }

/** The largest text that is read, in characters: a person's file is far smaller. */
const TEXT_LENGTH_MAX = 1_000_000

/** @returns the value, or all faults in the order of their lines */
export function readYaml<Value>(text: string, schema: z.ZodType<Value>): YamlResult<Value> {
  if (text.length > TEXT_LENGTH_MAX) {
    return { kind: 'refused', faults: [{ ...nowhere, message: `longer than ${TEXT_LENGTH_MAX} characters` }] }
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, schema: 'core', merge: false })
  const syntax = document.errors.map((error) => ({
    ...at(error.pos[0], lines),
    message: syntaxMessage(error.message),
  }))
  const whole = document.contents
  const plain = syntax.some(({ message }) => !message.includes('twice')) ? null : plainOf(document)
  if (plain === 'unresolved') {
    const message = 'an alias ("*name") names no anchor; put text that begins with "*" or "&" in quotes'
    return { kind: 'refused', faults: [...syntax, { ...nowhere, message }] }
  }
  const checked = plain === null ? null : schema.safeParse(plain.value)
  if (syntax.length === 0 && checked?.success === true) return { kind: 'read', value: checked.data }

  const known = knownKeys(schema)
  const place: Place = { whole, lines, known }
  const faults = (checked?.error?.issues ?? []).flatMap((issue) => faultsOf(issue, place))
  return { kind: 'refused', faults: [...syntax, ...faults].toSorted(byPlace) }
}

/** @returns 'unresolved' for an alias without its anchor, or too many of them; the library's own words would repeat the text */
function plainOf(document: Document.Parsed): { readonly value: unknown } | 'unresolved' {
  try {
    return { value: document.toJS({ maxAliasCount: 50 }) ?? {} }
  } catch (error) {
    if (error instanceof ReferenceError) return 'unresolved'
    throw error
  }
}

/** Several faults as lines of text, for example `line 4: unknown key "retentoin"`. */
export function faultLines(faults: readonly Pick<YamlFault, 'line' | 'message'>[]): readonly string[] {
  return faults.map(({ line, message }) => (line === 0 ? message : `line ${line}: ${message}`))
}

type Spot = Pick<YamlFault, 'line' | 'column'>

const nowhere: Spot = { line: 0, column: 0 }

function at(offset: number, lines: LineCounter): Spot {
  const { line, col } = lines.linePos(offset)
  return { line, column: col }
}

function byPlace(a: Spot, b: Spot): number {
  return a.line - b.line || a.column - b.column
}

type Place = { readonly whole: ParsedNode | null; readonly lines: LineCounter; readonly known: readonly string[] }

function faultsOf(issue: z.core.$ZodIssue, place: Place): readonly YamlFault[] {
  if (issue.code !== 'unrecognized_keys') {
    return [{ ...spotOf(issue.path, place), message: `${pathText(issue.path)}${plainMessage(issue)}` }]
  }
  return issue.keys.map((key) => {
    const near = nearNames(key, place.known).filter((name) => name !== key)
    const hint = near.length === 0 ? '' : ` (did you mean ${near.map((name) => `"${name}"`).join(' or ')}?)`
    return { ...keySpotOf([...issue.path, key], place), message: `${pathText(issue.path)}unknown key "${key}"${hint}` }
  })
}

function syntaxMessage(message: string): string {
  return message === 'Map keys must be unique' ? 'this key is given twice' : `not YAML: ${message}`
}

function plainMessage(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined'))
    return `missing: ${issue.expected} needed`
  if (issue.code === 'invalid_value') return `must be ${issue.values.map((value) => `"${String(value)}"`).join(' or ')}`
  return issue.message.replace(/^Invalid input: expected /, 'must be of type ').replace(', received', ', but is')
}

function pathText(path: readonly PropertyKey[]): string {
  return path.length === 0 ? '' : `${path.map(String).join('.')}: `
}

/** The place of the value at this path, or of the nearest value around it. */
function spotOf(path: readonly PropertyKey[], place: Place): Spot {
  let node: unknown = place.whole
  let spot = startOf(node, place)
  for (const step of path) {
    const key = isMap(node) ? node.items.find((pair) => isScalar(pair.key) && pair.key.value === step)?.key : undefined
    node = isNode(node) && 'get' in node && typeof node.get === 'function' ? node.get(step, true) : undefined
    const next = startOf(node, place) ?? startOf(key, place)
    if (next === null) break
    spot = next
  }
  return spot ?? nowhere
}

function keySpotOf(path: readonly PropertyKey[], place: Place): Spot {
  let node: unknown = place.whole
  for (const step of path.slice(0, -1)) {
    node = isNode(node) && 'get' in node && typeof node.get === 'function' ? node.get(step, true) : undefined
  }
  const last = path.at(-1)
  const key = isMap(node) ? node.items.find((pair) => isScalar(pair.key) && pair.key.value === last)?.key : undefined
  return startOf(key, place) ?? spotOf(path, place)
}

function startOf(node: unknown, place: Place): Spot | null {
  if (!isNode(node) || node.range === null || node.range === undefined) return null
  return at(node.range[0], place.lines)
}

function knownKeys(schema: z.ZodType): readonly string[] {
  const keys = new Set<string>()
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    for (const [name, member] of Object.entries(value)) {
      if (name === 'properties' && typeof member === 'object' && member !== null) {
        for (const key of Object.keys(member)) keys.add(key)
      }
      walk(member)
    }
  }
  walk(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }))
  return [...keys]
}
