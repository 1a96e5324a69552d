// JSON with one spelling: members in ascending order of their names, no white space, so that equal values are equal bytes.

import { assert } from '../../base/errors.ts'
import { ascending } from '../../base/text.ts'

type Json = string | number | boolean | null | undefined | readonly Json[] | { readonly [name: string]: Json }

/** Members whose value is undefined are left out. Numbers are finite. */
export function canonicalJson(value: unknown): string {
  return write(value as Json)
}

function write(value: Json): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    assert(Number.isFinite(value), 'a stored number is finite')
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`
  assert(typeof value === 'object', 'a stored value is JSON')
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  members.sort(([left], [right]) => ascending(left, right))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${write(member)}`).join(',')}}`
}
