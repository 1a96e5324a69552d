// A stage with everything around it, as small as the rules of the stack let it be, and ways to make a mistake in it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Tree = { [key: string]: unknown }
export type Mistake = readonly [name: string, make: (stack: Tree) => void, found: string]

export const allow = (action: string, resource: unknown) => ({ Effect: 'Allow', Action: action, Resource: resource })
export const arn = (name: string) => ({ 'Fn::GetAtt': [name, 'Arn'] })

/** In a text of Fn::Sub: what stands for the value of a name. */
export const hole = (name: string) => `\${${name}}`

const text = readFileSync(join(import.meta.dirname, 'good-stack.json'), 'utf8')

export function goodStack(): Tree {
  return JSON.parse(text)
}

/** Sets what lies at a path: of a resource's properties, or of the whole template after a leading slash. Undefined takes it away. */
export function put(path: string, value: unknown): (stack: Tree) => void {
  return (stack) => {
    const { holder, key } = placeIn(stack, path)
    if (value === undefined) delete holder[key]
    else holder[key] = value
  }
}

/** Adds to a list at a path. */
export function add(path: string, item: unknown): (stack: Tree) => void {
  return (stack) => {
    const { holder, key } = placeIn(stack, path)
    const list = holder[key]
    if (!Array.isArray(list)) throw new Error(`There is no list at "${path}"`)
    list.push(item)
  }
}

export function both(...makes: readonly ((stack: Tree) => void)[]): (stack: Tree) => void {
  return (stack) => {
    for (const make of makes) make(stack)
  }
}

function placeIn(stack: Tree, path: string): { readonly holder: Tree; readonly key: string } {
  const [name = '', ...rest] = path.split('.')
  const parts = name.startsWith('/') ? [name.slice(1), ...rest] : ['Resources', name, 'Properties', ...rest]
  const key = parts.pop() ?? ''
  const holder = parts.reduce((at: unknown, part) => (isTree(at) ? at[part] : undefined), stack)
  if (!isTree(holder)) throw new Error(`There is nothing at "${path}"`)
  return { holder, key }
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null
}
