// A CloudFormation template as plain values, and how to walk it. What is wrong with one is a list of faults, never an exception.

import { type CollectionTag, parse, type ScalarTag, type Tags, YAMLMap, type YAMLSeq } from 'yaml'

export type Value = string | number | boolean | null | readonly Value[] | Values
export type Values = { readonly [key: string]: Value }

export type Template = {
  readonly Parameters: Readonly<Record<string, Values>>
  readonly Conditions: Readonly<Record<string, Value>>
  readonly Resources: Readonly<Record<string, Resource>>
  readonly Outputs: Readonly<Record<string, Values>>
  readonly Mappings: Readonly<Record<string, Values>>
}

export type Resource = {
  readonly type: string
  readonly properties: Values
  readonly condition: string | null
  readonly dependsOn: readonly string[]
  readonly deletionPolicy: string | null
}

/** `path` leads to the place, for example "Resources.PlanQueue.Properties.VisibilityTimeout". */
export type TemplateFault = { readonly path: string; readonly message: string }

/** An intrinsic function: the one key of an object that holds nothing else. */
export type Intrinsic = { readonly name: string; readonly argument: Value }

export function parseTemplateJson(text: string): Template {
  return templateOf(JSON.parse(text))
}

/** Reads the short forms too: !Ref, !GetAtt, !Sub and so on. */
export function parseTemplateYaml(text: string): Template {
  const value: unknown = parse(text, { customTags: shortForms })
  return templateOf(value)
}

export function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isList(value: unknown): value is readonly Value[] {
  return Array.isArray(value)
}

export function textOf(value: Value | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

export function valuesOf(value: Value | undefined): Values {
  return isValues(value) ? value : {}
}

/** A list, or the one thing in place of a list. */
export function listOf(value: Value | undefined): readonly Value[] {
  if (value === undefined || value === null) return []
  return isList(value) ? value : [value]
}

export function intrinsicOf(value: Value | undefined): Intrinsic | null {
  if (!isValues(value)) return null
  const [entry, ...others] = Object.entries(value)
  if (entry === undefined || others.length > 0) return null
  const [name, argument] = entry
  return name === 'Ref' || name === 'Condition' || name.startsWith('Fn::') ? { name, argument } : null
}

/** Calls `visit` for the value and everything in it, outer ones first. */
export function walkValue(value: Value, path: string, visit: (value: Value, path: string) => void): void {
  visit(value, path)
  if (isList(value)) {
    for (const [index, item] of value.entries()) walkValue(item, `${path}[${index}]`, visit)
  } else if (isValues(value)) {
    for (const [key, item] of Object.entries(value)) walkValue(item, `${path}.${key}`, visit)
  }
}

/** Names in ${…} of a text of Fn::Sub, without those that ${!…} writes out. */
export function namesInSub(text: string): readonly string[] {
  return [...text.matchAll(/\$\{([^!}][^}]*)\}/g)].map(([, name = '']) => name.trim())
}

/** The resource and attribute in an argument of Fn::GetAtt. */
export function attributeOf(argument: Value): { readonly name: string; readonly attribute: string } | null {
  if (isList(argument)) {
    const [name, ...rest] = argument.map(textOf)
    return name === undefined || rest.length === 0 || rest.includes(undefined)
      ? null
      : { name, attribute: rest.join('.') }
  }
  const [, name, attribute] = /^([^.]+)\.(.+)$/.exec(textOf(argument) ?? '') ?? []
  return name === undefined || attribute === undefined ? null : { name, attribute }
}

function templateOf(value: unknown): Template {
  const all = isValues(value) ? value : {}
  return {
    Parameters: sectionOf(all['Parameters']),
    Conditions: valuesOf(all['Conditions']),
    Resources: Object.fromEntries(
      Object.entries(sectionOf(all['Resources'])).map(([name, one]) => [name, resourceOf(one)]),
    ),
    Outputs: sectionOf(all['Outputs']),
    Mappings: sectionOf(all['Mappings']),
  }
}

function sectionOf(value: Value | undefined): Readonly<Record<string, Values>> {
  return Object.fromEntries(Object.entries(valuesOf(value)).map(([name, one]) => [name, valuesOf(one)]))
}

function resourceOf(one: Values): Resource {
  return {
    type: textOf(one['Type']) ?? '',
    properties: valuesOf(one['Properties']),
    condition: textOf(one['Condition']) ?? null,
    dependsOn: listOf(one['DependsOn']).flatMap((name) => textOf(name) ?? []),
    deletionPolicy: textOf(one['DeletionPolicy']) ?? null,
  }
}

const listed = ['And', 'Cidr', 'Equals', 'FindInMap', 'GetAtt', 'If', 'Join', 'Not', 'Or', 'Select', 'Split', 'Sub']
const said = ['Base64', 'Condition', 'GetAtt', 'GetAZs', 'ImportValue', 'Ref', 'Sub']

const shortForms: Tags = [
  ...said.map((name): ScalarTag => ({ tag: `!${name}`, resolve: (text) => ({ [longName(name)]: text }) })),
  ...listed.map(
    (name): CollectionTag => ({
      tag: `!${name}`,
      collection: 'seq',
      resolve: (node: YAMLMap.Parsed | YAMLSeq.Parsed) => {
        const map = new YAMLMap()
        map.set(longName(name), node)
        return map
      },
    }),
  ),
]

function longName(name: string): string {
  return name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`
}
