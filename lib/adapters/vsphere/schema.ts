// The order of elements in each type of our WSDL: vCenter's parser reads elements in schema order only.

import { assert } from '../../base/errors.ts'
import { VIM25_WSDL } from './vim25-wsdl.ts'

type TypeFacts = { readonly base: string | null; readonly elements: readonly ElementFacts[] }

/** One element of a type; `type` is its declared type without a prefix. */
export type ElementFacts = { readonly name: string; readonly type: string }

let known: ReadonlyMap<string, TypeFacts> | null = null

/** The elements of a type in schema order, those of its base types first. The type must be in the WSDL. */
export function elementsOf(type: string): readonly ElementFacts[] {
  known ??= readTypes()
  const facts = known.get(type)
  assert(facts !== undefined, `the type "${type}" is in the WSDL`)
  return facts.base === null ? facts.elements : [...elementsOf(facts.base), ...facts.elements]
}

/** Reads our own generated text, one type a line; not a general WSDL reader. */
function readTypes(): ReadonlyMap<string, TypeFacts> {
  const types = new Map<string, TypeFacts>()
  for (const [, name = '', body = ''] of VIM25_WSDL.matchAll(/<complexType name="([^"]+)">(.*?)<\/complexType>/g)) {
    const base = /<extension base="vim25:([^"]+)">/.exec(body)?.[1] ?? null
    const elements = [...body.matchAll(/<element name="([^"]+)" type="[^":]+:([^"]+)"/g)].map(
      ([, element = '', type = '']) => ({ name: element, type }),
    )
    types.set(name, { base, elements })
  }
  return types
}
