// What CloudFormation makes of a template's values: parameters, conditions and intrinsic functions. What it does not know is an error,
// never a text that passes for a value.

import type { Json, JsonObject, Template, TemplateResource } from './template.ts'

/** The stack's surroundings: what is not in its template. */
export type Surroundings = {
  /** Given values of parameters; of a list or comma-delimited list: the texts with commas between them. */
  readonly parameters: Readonly<Record<string, string>>
  /** For example "AWS::Region". */
  readonly pseudo: Readonly<Record<string, string>>
  /** Exports of other stacks. */
  readonly imports: Readonly<Record<string, string>>
  /** SSM parameters and secrets by "ssm:NAME" and "secretsmanager:NAME". */
  readonly dynamic: Readonly<Record<string, string>>
  readonly zones: readonly string[]
  /** The physical id of a resource that Ref gives; undefined: there is no such resource here. */
  readonly ref: (name: string, resource: TemplateResource) => string | undefined
  readonly attribute: (name: string, attribute: string, resource: TemplateResource) => string | undefined
}

export interface Stack {
  /** @throws Error that says where in the template a value cannot be resolved */
  resolve(value: Json, where: string): Json
  /** The properties of a resource that is made, resolved. */
  properties(name: string): JsonObject
  /** Names of the resources of a type whose condition holds. */
  ofType(type: string): readonly string[]
  condition(name: string): boolean
}

/** Stands for a value that AWS::NoValue took away. */
const NOTHING = Symbol('AWS::NoValue')
type Value = Json | typeof NOTHING

export function openStack(template: Template, around: Surroundings): Stack {
  checkParameters(template, around.parameters)
  const stack = new Resolver(template, around)
  return {
    resolve: (value, where) => stack.json(value, where),
    properties: (name) => {
      const found = stack.json(stack.made(name, name).Properties ?? {}, name)
      return isObject(found) ? found : {}
    },
    ofType: (type) =>
      Object.entries(template.Resources).flatMap(([name, one]) =>
        one.Type === type && stack.isMade(one) ? [name] : [],
      ),
    condition: (name) => stack.condition(name, name),
  }
}

/** @throws Error as CloudFormation refuses values before it makes anything */
function checkParameters({ Parameters: declared = {} }: Template, given: Surroundings['parameters']): void {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(declared, name)) throw new Error(`There is no parameter "${name}" to be given`)
  }
  for (const [name, { Default, AllowedPattern, AllowedValues, MinValue, MaxValue }] of Object.entries(declared)) {
    const value = given[name] ?? Default?.toString()
    if (value === undefined) continue
    const fits =
      (AllowedPattern === undefined || new RegExp(`^(?:${AllowedPattern})$`).test(value)) &&
      (AllowedValues === undefined || AllowedValues.some((allowed) => String(allowed) === value)) &&
      (MinValue === undefined || Number(value) >= MinValue) &&
      (MaxValue === undefined || Number(value) <= MaxValue)
    if (!fits) throw new Error(`The parameter "${name}" may not be "${value}"`)
  }
}

type Intrinsic = (argument: Json, where: string) => Value

class Resolver {
  readonly #template: Template
  readonly #around: Surroundings
  readonly #asked = new Set<string>()
  readonly #intrinsics: Readonly<Record<string, Intrinsic>>

  constructor(template: Template, around: Surroundings) {
    this.#template = template
    this.#around = around
    this.#intrinsics = {
      Ref: (name, where) => this.#ref(textOf(name, where), where),
      'Fn::GetAtt': (argument, where) => this.#getAttribute(argument, where),
      'Fn::Sub': (argument, where) => this.#sub(argument, where),
      'Fn::Join': (argument, where) => this.#join(argument, where),
      'Fn::If': (argument, where) => this.#if(argument, where),
      'Fn::Select': (argument, where) => this.#select(argument, where),
      'Fn::Split': (argument, where) => this.#split(argument, where),
      'Fn::FindInMap': (argument, where) => this.#findInMap(argument, where),
      'Fn::ImportValue': (argument, where) => this.#import(argument, where),
      'Fn::Base64': (argument, where) => Buffer.from(this.text(argument, where)).toString('base64'),
      'Fn::GetAZs': (argument, where) => {
        this.text(argument, where)
        return this.#around.zones
      },
    }
  }

  json(value: Json, where: string): Json {
    const found = this.value(value, where)
    if (found === NOTHING) throw fault(where, 'AWS::NoValue leaves no value here')
    return found
  }

  text(value: Json, where: string): string {
    return textOf(this.json(value, where), where)
  }

  value(value: Json, where: string): Value {
    if (typeof value === 'string') return this.#dynamic(value, where)
    if (isList(value)) {
      const items = value.map((item, index) => this.value(item, `${where}[${index}]`))
      return items.filter((item): item is Json => item !== NOTHING)
    }
    if (!isObject(value)) return value
    const [key = '', ...others] = Object.keys(value)
    if (key === 'Ref' || key.startsWith('Fn::') || key === 'Condition') {
      const intrinsic = this.#intrinsics[key]
      if (others.length > 0) {
        if (key === 'Condition') return this.#object(value, where)
        throw fault(where, `"${key}" stands beside "${others.join('", "')}"`)
      }
      if (intrinsic !== undefined) return intrinsic(value[key] ?? null, `${where}.${key}`)
      if (key !== 'Condition' || typeof value[key] === 'string') throw fault(where, `"${key}" is not known here`)
    }
    return this.#object(value, where)
  }

  #object(value: JsonObject, where: string): Json {
    const entries = Object.entries(value).map(([key, inner]) => [key, this.value(inner, `${where}.${key}`)] as const)
    return Object.fromEntries(entries.filter((entry): entry is [string, Json] => entry[1] !== NOTHING))
  }

  isMade({ Condition }: TemplateResource): boolean {
    return Condition === undefined || this.condition(Condition, `Condition of a resource`)
  }

  made(name: string, where: string): TemplateResource {
    const resource = Object.hasOwn(this.#template.Resources, name) ? this.#template.Resources[name] : undefined
    if (resource === undefined) throw fault(where, `there is no resource "${name}"`)
    if (!this.isMade(resource))
      throw fault(where, `the resource "${name}" is not made: "${resource.Condition}" is false`)
    return resource
  }

  condition(name: string, where: string): boolean {
    const conditions = this.#template.Conditions ?? {}
    const found = Object.hasOwn(conditions, name) ? conditions[name] : undefined
    if (found === undefined) throw fault(where, `there is no condition "${name}"`)
    const key = `condition ${name}`
    if (this.#asked.has(key)) throw fault(where, `the condition "${name}" asks for itself`)
    this.#asked.add(key)
    try {
      return this.#truth(found, `Conditions.${name}`)
    } finally {
      this.#asked.delete(key)
    }
  }

  #truth(value: Json, where: string): boolean {
    const [key = '', argument] = isObject(value) ? (Object.entries(value)[0] ?? []) : []
    if (key === 'Condition') return this.condition(textOf(argument ?? null, where), where)
    const parts = isList(argument ?? null) ? (argument as readonly Json[]) : null
    if (parts === null) throw fault(where, `"${key}" is not a condition`)
    const truths = () => parts.map((part, index) => this.#truth(part, `${where}.${key}[${index}]`))
    switch (key) {
      case 'Fn::Equals': {
        if (parts.length !== 2) throw fault(where, 'Fn::Equals compares two values')
        const [left, right] = parts.map((part) => this.text(part, where))
        return left === right
      }
      case 'Fn::And':
        return truths().every(Boolean)
      case 'Fn::Or':
        return truths().some(Boolean)
      case 'Fn::Not':
        if (parts.length !== 1) throw fault(where, 'Fn::Not takes one condition')
        return !truths()[0]
      default:
        throw fault(where, `"${key}" is not a condition`)
    }
  }

  #ref(name: string, where: string): Value {
    if (name === 'AWS::NoValue') return NOTHING
    if (name.startsWith('AWS::')) {
      const value = this.#around.pseudo[name]
      if (value === undefined) throw fault(where, `the pseudo parameter "${name}" is not known here`)
      return value
    }
    const parameters = this.#template.Parameters ?? {}
    if (Object.hasOwn(parameters, name)) return this.#parameter(name, where)
    const id = this.#around.ref(name, this.made(name, where))
    if (id === undefined) throw fault(where, `nobody knows the id of "${name}"`)
    return id
  }

  #parameter(name: string, where: string): Json {
    const declared = this.#template.Parameters?.[name]
    const given = this.#around.parameters[name] ?? declared?.Default?.toString()
    if (declared === undefined || given === undefined) throw fault(where, `the parameter "${name}" has no value`)
    const { Type: type } = declared
    const split = (text: string) => (text === '' ? [] : text.split(',').map((item) => item.trim()))
    if (type.startsWith('AWS::SSM::Parameter::Value<')) {
      const value = this.#around.dynamic[`ssm:${given}`]
      if (value === undefined) throw fault(where, `there is no SSM parameter "${given}"`)
      return /<(List<|CommaDelimitedList)/.test(type) ? split(value) : value
    }
    return type === 'CommaDelimitedList' || type.startsWith('List<') ? split(given) : given
  }

  #getAttribute(argument: Json, where: string): Value {
    const parts = typeof argument === 'string' ? argument.split(/\.(.*)/s, 2) : argument
    if (!isList(parts) || parts.length !== 2) throw fault(where, 'names a resource and one attribute')
    const [name, attribute] = [textOf(parts[0] ?? null, where), this.text(parts[1] ?? null, where)]
    const value = this.#around.attribute(name, attribute, this.made(name, where))
    if (value === undefined) throw fault(where, `nobody knows the attribute "${attribute}" of "${name}"`)
    return value
  }

  #sub(argument: Json, where: string): Value {
    const [text, variables] = isList(argument) ? argument : [argument, {}]
    const own = isObject(variables ?? null) ? (variables as JsonObject) : {}
    return textOf(text ?? null, where).replaceAll(/\$\{(!?)([^}]+)\}/g, (_whole, literal: string, name: string) => {
      if (literal === '!') return `\${${name}}`
      const trimmed = name.trim()
      if (Object.hasOwn(own, trimmed)) return this.text(own[trimmed] ?? null, where)
      const isAttribute = trimmed.includes('.') && !trimmed.startsWith('AWS::')
      return textOf(this.json(isAttribute ? { 'Fn::GetAtt': trimmed } : { Ref: trimmed }, where), where)
    })
  }

  #join(argument: Json, where: string): Value {
    if (!isList(argument) || argument.length !== 2) throw fault(where, 'joins with a separator a list')
    const items = this.json(argument[1] ?? null, where)
    if (!isList(items)) throw fault(where, 'what is joined must be a list')
    return items.map((item) => textOf(item, where)).join(textOf(argument[0] ?? null, where))
  }

  #if(argument: Json, where: string): Value {
    if (!isList(argument) || argument.length !== 3) throw fault(where, 'takes a condition and two values')
    const [name, yes, no] = argument
    return this.value((this.condition(textOf(name ?? null, where), where) ? yes : no) ?? null, where)
  }

  #select(argument: Json, where: string): Value {
    if (!isList(argument) || argument.length !== 2) throw fault(where, 'takes an index and a list')
    const index = Number(this.text(argument[0] ?? null, where))
    const items = this.json(argument[1] ?? null, where)
    const item = isList(items) ? items[index] : undefined
    if (item === undefined) throw fault(where, `there is no item ${index}`)
    return item
  }

  #split(argument: Json, where: string): Value {
    if (!isList(argument) || argument.length !== 2) throw fault(where, 'takes a separator and a text')
    return this.text(argument[1] ?? null, where).split(textOf(argument[0] ?? null, where))
  }

  #findInMap(argument: Json, where: string): Value {
    if (!isList(argument) || argument.length !== 3) throw fault(where, 'takes a map and two keys')
    const [map = '', first = '', second = ''] = argument.map((part) => this.text(part, where))
    const found = this.#template.Mappings?.[map]?.[first]?.[second]
    if (found === undefined) throw fault(where, `there is no "${map}.${first}.${second}" in Mappings`)
    return found
  }

  #import(argument: Json, where: string): Value {
    const name = this.text(argument, where)
    const value = this.#around.imports[name]
    if (value === undefined) throw fault(where, `no stack exports "${name}"`)
    return value
  }

  #dynamic(text: string, where: string): string {
    return text.replaceAll(/\{\{resolve:([a-z-]+):([^}]+)\}\}/g, (_whole, kind: string, name: string) => {
      const value = this.#around.dynamic[`${kind}:${name}`]
      if (value === undefined) throw fault(where, `there is no "${kind}:${name}"`)
      return value
    })
  }
}

function fault(where: string, text: string): Error {
  return new Error(`Cannot resolve ${where}: ${text}`)
}

export function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

function textOf(value: Json, where: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw fault(where, `${JSON.stringify(value)} is not a text`)
}
