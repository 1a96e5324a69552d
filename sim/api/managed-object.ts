// A managed object as the property collector sees it, and reading one property path of it.

import { SimFault } from '../machine/types.ts'
import { dataTypeOf, type Field, managedTypeOf } from '../soap/schema.ts'
import { isData, isList, isRef, type Ref, type Typed, type Value } from '../soap/value.ts'

export type ManagedObject = {
  readonly ref: Ref
  /** A declared property that is missing here, or that gives null, is unset. */
  readonly properties: Readonly<Record<string, () => Value | null>>
}

/**
 * The value of a path such as "name", "config.hardware.device" or "config.hardware.device[2000].backing".
 * @returns null when the property, or something on the way to it, is unset
 * @throws SimFault InvalidProperty when the type declares no such path
 */
export function readPath(object: ManagedObject, path: string): Typed | null {
  const steps = path.split(/\.(?![^[]*\])/)
  let declared: Field | null = null
  let value: Value | null = null
  let isFirst = true
  for (const step of steps) {
    const { name, key } = splitStep(step)
    declared = isFirst ? propertyOf(object.ref.type, name) : fieldOf(value, declared, name)
    if (declared === null)
      throw new SimFault('InvalidProperty', `The property "${path}" does not exist`, { name: path })
    value = isFirst ? (object.properties[name]?.() ?? null) : isData(value) ? (value.fields[name] ?? null) : null
    if (key !== null) {
      value = isList(value) ? (value.find((item) => keyOf(item) === key) ?? null) : null
      declared = { ...declared, array: false }
    }
    isFirst = false
  }
  if (value === null || declared === null) return null
  return { kind: 'typed', type: declared.type, reference: declared.reference, array: declared.array, value }
}

/** The names of every property that is set, in the declared order. */
export function setProperties(object: ManagedObject): readonly string[] {
  const declared = managedTypeOf(object.ref.type)?.properties ?? []
  return declared.map(({ name }) => name).filter((name) => (object.properties[name]?.() ?? null) !== null)
}

function propertyOf(type: string, name: string): Field | null {
  return managedTypeOf(type)?.properties.find((field) => field.name === name) ?? null
}

function fieldOf(value: Value | null, declared: Field | null, name: string): Field | null {
  const actual = isData(value) ? value.type : declared?.array === false ? declared.type : null
  return actual === null ? null : (dataTypeOf(actual)?.fields.find((field) => field.name === name) ?? null)
}

function splitStep(step: string): { readonly name: string; readonly key: string | null } {
  const match = /^([^[]*)\[(?:"([^"]*)"|([^\]]*))\]$/.exec(step)
  return match === null ? { name: step, key: null } : { name: match[1] ?? '', key: match[2] ?? match[3] ?? '' }
}

function keyOf(item: Value): string | null {
  if (isRef(item)) return item.id
  if (!isData(item)) return null
  const key = item.fields['key'] ?? null
  return isRef(key) ? key.id : key === null ? null : String(key)
}
