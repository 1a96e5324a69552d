// Whether everything that a template refers to is there: parameters, resources and their attributes, conditions; whether it has what
// nothing refers to; and whether resources wait for each other in a circle.

import { attributesOf, isKnownType } from './resource-types.ts'
import {
  attributeOf,
  intrinsicOf,
  isList,
  isValues,
  namesInSub,
  type Template,
  type TemplateFault,
  textOf,
  type Value,
  walkValue,
} from './template.ts'

const pseudoParameters = new Set(
  ['AccountId', 'NoValue', 'NotificationARNs', 'Partition', 'Region', 'StackId', 'StackName', 'URLSuffix'].map(
    (name) => `AWS::${name}`,
  ),
)

const known = new Set(
  ['And', 'Base64', 'Cidr', 'Equals', 'FindInMap', 'GetAtt', 'GetAZs', 'If', 'ImportValue', 'Join', 'Not', 'Or'].concat(
    ['Select', 'Split', 'Sub'],
  ),
)

type Use = { readonly kind: 'name' | 'condition'; readonly name: string; readonly path: string; readonly from: string }

/** @returns faults, those of one place in the order of the template */
export function checkReferences(template: Template): readonly TemplateFault[] {
  const faults: TemplateFault[] = []
  const uses: Use[] = []
  const fault = (path: string, message: string) => faults.push({ path, message })
  const look = (value: Value, path: string, from: string) =>
    walkValue(value, path, (inner, at) => {
      for (const found of usesIn(inner, { template, path: at, from, fault })) uses.push(found)
    })

  for (const [name, condition] of Object.entries(template.Conditions)) look(condition, `Conditions.${name}`, `?${name}`)
  for (const [name, { properties, condition, dependsOn }] of Object.entries(template.Resources)) {
    const path = `Resources.${name}`
    look(properties, `${path}.Properties`, name)
    if (condition !== null) uses.push({ kind: 'condition', name: condition, path: `${path}.Condition`, from: name })
    for (const other of dependsOn) {
      if (template.Resources[other] === undefined) fault(`${path}.DependsOn`, `there is no resource "${other}"`)
      else uses.push({ kind: 'name', name: other, path: `${path}.DependsOn`, from: name })
    }
  }
  for (const [name, output] of Object.entries(template.Outputs)) {
    look(output['Value'] ?? null, `Outputs.${name}.Value`, outputName(name))
    const condition = textOf(output['Condition'])
    if (condition !== undefined) uses.push({ kind: 'condition', name: condition, path: `Outputs.${name}`, from: '' })
  }

  for (const { kind, name, path } of uses) {
    if (kind === 'condition' && template.Conditions[name] === undefined) fault(path, `there is no condition "${name}"`)
  }
  return [...faults, ...unused(template, uses), ...circles(template, uses), ...unmade(template, uses)]
}

function usesIn(
  value: Value,
  at: {
    readonly template: Template
    readonly path: string
    readonly from: string
    readonly fault: (path: string, message: string) => void
  },
): readonly Use[] {
  const { template, path, from, fault } = at
  const name = (to: string): readonly Use[] => {
    if (to.startsWith('AWS::')) {
      if (!pseudoParameters.has(to)) fault(path, `there is no pseudo parameter "${to}"`)
      return []
    }
    const isThere = template.Parameters[to] !== undefined || template.Resources[to] !== undefined
    if (!isThere) fault(path, `there is no parameter and no resource "${to}"`)
    return isThere ? [{ kind: 'name', name: to, path, from }] : []
  }
  const attribute = (argument: Value): readonly Use[] => {
    const parts = attributeOf(argument)
    if (parts === null) return []
    const resource = template.Resources[parts.name]
    if (resource === undefined) {
      fault(path, `there is no resource "${parts.name}"`)
      return []
    }
    if (isKnownType(resource.type) && !attributesOf(resource.type).has(parts.attribute)) {
      fault(path, `"${resource.type}" has no attribute "${parts.attribute}"`)
    }
    return [{ kind: 'name', name: parts.name, path, from }]
  }

  const found = intrinsicOf(value)
  if (found === null) {
    if (isValues(value) && Object.keys(value).some((key) => key === 'Ref' || key.startsWith('Fn::'))) {
      fault(path, 'an intrinsic function stands beside other keys')
    }
    return []
  }
  switch (found.name) {
    case 'Ref':
      return name(textOf(found.argument) ?? '')
    case 'Fn::GetAtt':
      return attribute(found.argument)
    case 'Fn::Sub': {
      const [text, given] = isList(found.argument) ? found.argument : [found.argument]
      const own = isValues(given) ? given : {}
      const names = namesInSub(textOf(text) ?? '')
      for (const unusedName of Object.keys(own).filter((one) => !names.includes(one))) {
        fault(path, `Fn::Sub is given "${unusedName}", which its text does not have`)
      }
      return names
        .filter((one) => own[one] === undefined)
        .flatMap((one) => (one.includes('.') ? attribute(one) : name(one)))
    }
    case 'Fn::If':
      return [{ kind: 'condition', name: textOf(isList(found.argument) ? found.argument[0] : '') ?? '', path, from }]
    case 'Condition':
      // In policies of IAM "Condition" is a key of its own, and never a text.
      return typeof found.argument === 'string' ? [{ kind: 'condition', name: found.argument, path, from }] : []
    default:
      if (!known.has(found.name.slice('Fn::'.length))) fault(path, `there is no intrinsic function "${found.name}"`)
      return []
  }
}

function unused({ Parameters, Conditions }: Template, uses: readonly Use[]): readonly TemplateFault[] {
  const names = new Set(uses.filter(({ kind }) => kind === 'name').map(({ name }) => name))
  const conditions = new Set(uses.filter(({ kind }) => kind === 'condition').map(({ name }) => name))
  return [
    ...Object.keys(Parameters)
      .filter((name) => !names.has(name))
      .map((name) => ({ path: `Parameters.${name}`, message: 'nothing uses this parameter' })),
    ...Object.keys(Conditions)
      .filter((name) => !conditions.has(name))
      .map((name) => ({ path: `Conditions.${name}`, message: 'nothing uses this condition' })),
  ]
}

/** CloudFormation refuses a template in which a resource waits for itself. */
function circles({ Resources }: Template, uses: readonly Use[]): readonly TemplateFault[] {
  const edges = Map.groupBy(
    uses.filter(({ kind, name, from }) => kind === 'name' && Resources[name] !== undefined && from !== name),
    ({ from }) => from,
  )
  const finished = new Set<string>()
  const faults: TemplateFault[] = []
  const visit = (name: string, way: readonly string[]): void => {
    if (finished.has(name)) return
    for (const { name: next } of edges.get(name) ?? []) {
      const at = [...way, name].indexOf(next)
      if (at < 0) visit(next, [...way, name])
      else
        faults.push({
          path: `Resources.${name}`,
          message: `waits for itself: ${[...way, name].slice(at).join(' → ')} → ${next}`,
        })
    }
    finished.add(name)
  }
  for (const name of Object.keys(Resources)) visit(name, [])
  return faults
}

/**
 * A reference to a resource that is made under a condition, from one that is made without it, must stand in an Fn::If, or
 * CloudFormation refuses the stack when the condition is false ("Unresolved resource dependencies"). Which Fn::If guards it is not judged.
 */
function unmade({ Resources, Outputs }: Template, uses: readonly Use[]): readonly TemplateFault[] {
  const conditions = new Map([
    ...Object.entries(Resources).map(([name, { condition }]) => [name, condition] as const),
    ...Object.entries(Outputs).map(
      ([name, output]) => [outputName(name), textOf(output['Condition']) ?? null] as const,
    ),
  ])
  return uses.flatMap(({ kind, name, path, from }) => {
    const condition = kind === 'name' ? (Resources[name]?.condition ?? null) : null
    if (condition === null || path.includes('Fn::If') || path.endsWith('.DependsOn')) return []
    // Whether another condition implies this one takes more than names to tell.
    if ((conditions.get(from) ?? null) !== null) return []
    return [{ path, message: `"${name}" is made only where "${condition}" holds, and this is used without asking` }]
  })
}

/** Outputs may be named like resources. */
function outputName(name: string): string {
  return `Outputs.${name}`
}
