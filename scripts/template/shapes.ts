// Whether every resource has the properties that its type has, all it must have, each of the right form, with values that AWS knows.

import type { PropertyType, ResourceProperties } from '@aws-cdk/service-spec-types'
import { knownValues } from './known-values.ts'
import { definitionOf, propertiesOf } from './resource-types.ts'
import {
  type Intrinsic,
  intrinsicOf,
  isList,
  isValues,
  type Template,
  type TemplateFault,
  textOf,
  type Value,
  type Values,
} from './template.ts'

type At = {
  readonly template: Template
  readonly path: string
  readonly faults: TemplateFault[]
  /** Whose properties these are: a resource type, or one with a definition inside it. */
  readonly owner: string
  /** What a text may be, where the specification does not say. */
  readonly values: readonly string[] | null
}

export function checkShapes(template: Template): readonly TemplateFault[] {
  const faults: TemplateFault[] = []
  for (const [name, { type, properties }] of Object.entries(template.Resources)) {
    const path = `Resources.${name}`
    const known = propertiesOf(type)
    if (known === undefined) faults.push({ path, message: `there is no resource type "${type}"` })
    else checkProperties(properties, known, { template, path: `${path}.Properties`, faults, owner: type, values: null })
  }
  for (const [name, parameter] of Object.entries(template.Parameters)) {
    checkParameter(parameter, { path: `Parameters.${name}`, faults })
  }
  return faults
}

function checkProperties(values: Values, known: ResourceProperties, at: At): void {
  for (const [name, value] of Object.entries(values)) {
    const property = Object.hasOwn(known, name) ? known[name] : undefined
    const path = `${at.path}.${name}`
    if (property === undefined)
      at.faults.push({ path, message: `there is no such property${nearest(name, Object.keys(known))}` })
    else checkValue(value, property.type, { ...at, path, values: knownValues(at.owner, name) })
  }
  for (const [name, property] of Object.entries(known)) {
    if (property.required === true && (values[name] === undefined || isNoValue(values[name]))) {
      at.faults.push({ path: at.path, message: `the property "${name}" is missing` })
    }
  }
}

function checkValue(value: Value, type: PropertyType, at: At): void {
  if (isNoValue(value) || type.type === 'json') return
  const intrinsic = intrinsicOf(value)
  if (intrinsic !== null) return checkIntrinsic(intrinsic, type, at)
  const message = faultOf(value, type, at.values)
  if (message !== null) {
    at.faults.push({ path: at.path, message })
    return
  }
  switch (type.type) {
    case 'array':
      if (isList(value)) {
        for (const [index, item] of value.entries())
          checkValue(item, type.element, { ...at, path: `${at.path}[${index}]` })
      }
      return
    case 'map':
      if (isValues(value)) {
        for (const [key, item] of Object.entries(value))
          checkValue(item, type.element, { ...at, path: `${at.path}.${key}` })
      }
      return
    case 'ref':
      if (isValues(value)) {
        const { name, properties } = definitionOf(type)
        checkProperties(value, properties, { ...at, owner: `${at.owner.split('.')[0]}.${name}` })
      }
      return
    case 'union':
      checkUnion(value, type.types, at)
      return
    default:
  }
}

/** One of the types must fit; with none, the faults of the first are told. */
function checkUnion(value: Value, types: readonly PropertyType[], at: At): void {
  const tries = types.map((type) => {
    const faults: TemplateFault[] = []
    checkValue(value, type, { ...at, faults })
    return faults
  })
  if (!tries.some((faults) => faults.length === 0)) at.faults.push(...(tries[0] ?? []))
}

/** What the value is not, at its own level. */
function faultOf(value: Value, type: PropertyType, values: readonly string[] | null): string | null {
  switch (type.type) {
    case 'string':
      if (isValues(value) || isList(value)) return 'must be a text'
      return allowed(value, type.allowedValues ?? values)
    case 'integer':
      if (!/^-?\d+$/.test(String(value)) || isList(value)) return 'must be a whole number'
      return allowed(value, type.allowedValues?.map(String) ?? null)
    case 'number':
      return isList(value) || value === '' || value === null || !Number.isFinite(Number(value))
        ? 'must be a number'
        : null
    case 'boolean':
      return ['true', 'false'].includes(String(value)) && !isList(value) ? null : 'must be true or false'
    case 'array':
      return isList(value) ? null : 'must be a list'
    case 'map':
    case 'ref':
      return isValues(value) ? null : 'must have properties'
    case 'tag':
      return isValues(value) && 'Key' in value && 'Value' in value ? null : 'must have Key and Value'
    default:
      return null
  }
}

function allowed(value: Value, values: readonly string[] | null): string | null {
  return values === null || values.includes(String(value)) ? null : `is "${String(value)}", may be ${values.join(', ')}`
}

/** What gives a list cannot stand for one thing, and the other way round. */
function checkIntrinsic({ name, argument }: Intrinsic, type: PropertyType, at: At): void {
  if (name === 'Fn::If') {
    if (!isList(argument) || argument.length !== 3) {
      at.faults.push({ path: at.path, message: 'Fn::If has a condition and two values' })
      return
    }
    for (const [index, branch] of argument.slice(1).entries()) {
      checkValue(branch, type, { ...at, path: `${at.path}.Fn::If[${index + 1}]` })
    }
    return
  }
  const given = givenBy(name, argument, at.template)
  if (given === 'unknown' || type.type === 'union') return
  const wanted = type.type === 'array' ? 'list' : type.type === 'map' || type.type === 'ref' ? 'properties' : 'one'
  if (given !== wanted) at.faults.push({ path: at.path, message: `${name} gives ${given}, this needs ${wanted}` })
}

function givenBy(name: string, argument: Value, { Parameters }: Template): 'one' | 'list' | 'unknown' {
  switch (name) {
    case 'Ref': {
      const type = textOf(Parameters[textOf(argument) ?? '']?.['Type']) ?? 'String'
      return type === 'CommaDelimitedList' || type.startsWith('List<') ? 'list' : 'one'
    }
    case 'Fn::Split':
    case 'Fn::GetAZs':
    case 'Fn::Cidr':
      return 'list'
    case 'Fn::GetAtt':
    case 'Fn::FindInMap':
    case 'Fn::Select':
    case 'Fn::ImportValue':
      return 'unknown'
    default:
      return 'one'
  }
}

function checkParameter(parameter: Values, { path, faults }: Pick<At, 'path' | 'faults'>): void {
  const [type, preset] = [textOf(parameter['Type']), parameter['Default']]
  if (type === undefined || !/^(String|Number|CommaDelimitedList|List<.+>|AWS::.+)$/.test(type)) {
    faults.push({ path, message: `there is no parameter type "${type ?? ''}"` })
  }
  if (textOf(parameter['Description']) === undefined) faults.push({ path, message: 'has no description' })
  if (preset === undefined) return
  const values = parameter['AllowedValues']
  if (isList(values) && !values.map(String).includes(String(preset))) {
    faults.push({ path, message: `its default "${String(preset)}" is not among its allowed values` })
  }
  const pattern = textOf(parameter['AllowedPattern'])
  if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`).test(String(preset))) {
    faults.push({ path, message: `its default "${String(preset)}" does not match its pattern` })
  }
}

function isNoValue(value: Value | undefined): boolean {
  const found = intrinsicOf(value)
  return found?.name === 'Ref' && found.argument === 'AWS::NoValue'
}

function nearest(name: string, names: readonly string[]): string {
  const close = names.find((one) => one.toLowerCase() === name.toLowerCase() || distance(one, name) <= 2)
  return close === undefined ? '' : `; "${close}" is one`
}

/** Levenshtein's. */
function distance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (const [i, letter] of [...left].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...right].entries()) {
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
