// What this project promises about its stack, that neither the specification nor single resources can tell: how they fit together.

import {
  attributeOf,
  intrinsicOf,
  isValues,
  listOf,
  type Resource,
  type Template,
  type TemplateFault,
  textOf,
  type Value,
  type Values,
  valuesOf,
  walkValue,
} from './template.ts'

type Named = { readonly name: string; readonly resource: Resource }
type Tell = (name: string, message: string) => void
type Rule = (template: Template, tell: Tell) => void

/** AWS Lambda guide, "Configuring SQS": at least six times the function's time limit. */
const VISIBILITY_FACTOR = 6

const rules: readonly Rule[] = [
  queuesOutlastFunctions,
  sourcesReportSingleFailures,
  everyQueueHasDeadLetters,
  everyFunctionHasARoleOfItsOwn,
  everyFunctionKeepsItsLog,
  onlyStagesMayLoop,
  environmentsNameWhatIsThere,
  environmentsHoldNoSecret,
  rolesAreTakenByOne,
  everythingWantsTls,
]

export function checkRules(template: Template): readonly TemplateFault[] {
  const faults: TemplateFault[] = []
  const tell: Tell = (name, message) => faults.push({ path: `Resources.${name}`, message })
  for (const rule of rules) rule(template, tell)
  return faults
}

function queuesOutlastFunctions(template: Template, tell: Tell): void {
  for (const { name, resource } of ofType(template, 'AWS::Lambda::EventSourceMapping')) {
    const queue = targetOf(resource.properties['EventSourceArn'], template)
    const called = targetOf(resource.properties['FunctionName'], template)
    if (queue === null || called === null) {
      tell(name, 'connects no queue of this template with a function of it')
      continue
    }
    const hiddenSeconds = Number(queue.resource.properties['VisibilityTimeout'] ?? 30)
    const limitSeconds = Number(called.resource.properties['Timeout'] ?? 3)
    if (!(hiddenSeconds >= VISIBILITY_FACTOR * limitSeconds)) {
      tell(
        queue.name,
        `hides a message for ${hiddenSeconds} s, "${called.name}" may take ${limitSeconds} s: must be six times that`,
      )
    }
  }
}

function sourcesReportSingleFailures(template: Template, tell: Tell): void {
  for (const { name, resource } of ofType(template, 'AWS::Lambda::EventSourceMapping')) {
    const { FunctionResponseTypes: types, ScalingConfig: scaling } = resource.properties
    if (!listOf(types).includes('ReportBatchItemFailures')) tell(name, 'does not report single failures of a batch')
    if (!(Number(valuesOf(scaling)['MaximumConcurrency']) >= 2)) tell(name, 'has no MaximumConcurrency')
  }
}

/** But the last: what lies there is for people. */
function everyQueueHasDeadLetters(template: Template, tell: Tell): void {
  const queues = ofType(template, 'AWS::SQS::Queue')
  const last = queues.filter(({ resource }) => resource.properties['RedrivePolicy'] === undefined)
  for (const { name, resource } of queues) {
    const redrive = resource.properties['RedrivePolicy']
    if (redrive === undefined) continue
    const target = targetOf(valuesOf(redrive)['deadLetterTargetArn'], template)
    const keptSeconds = Number(target?.resource.properties['MessageRetentionPeriod'])
    if (!(keptSeconds >= Number(resource.properties['MessageRetentionPeriod']))) {
      tell(name, 'keeps messages longer than the queue of its dead letters: SQS counts from when one was sent first')
    }
  }
  const consumers = ofType(template, 'AWS::Lambda::EventSourceMapping').map(
    ({ resource }) => targetOf(resource.properties['EventSourceArn'], template)?.name,
  )
  for (const { name } of last)
    if (consumers.includes(name)) tell(name, 'has no dead letters, and a function that takes from it')
}

function everyFunctionHasARoleOfItsOwn(template: Template, tell: Tell): void {
  const users = new Map<string, string>()
  for (const { name, resource } of ofType(template, 'AWS::Lambda::Function')) {
    const role = targetOf(resource.properties['Role'], template)?.name
    if (role === undefined) tell(name, 'has no role of this template')
    else if (users.has(role)) tell(name, `shares the role "${role}" with "${users.get(role)}"`)
    else users.set(role, name)
  }
}

function everyFunctionKeepsItsLog(template: Template, tell: Tell): void {
  const logs = ofType(template, 'AWS::Logs::LogGroup').map(({ resource }) => resource.properties['LogGroupName'])
  for (const { name, resource } of ofType(template, 'AWS::Lambda::Function')) {
    const wanted = `/aws/lambda/${textOf(resource.properties['FunctionName'])}`
    if (!logs.includes(wanted)) tell(name, `has no log group "${wanted}": Lambda would make one that is kept for ever`)
  }
}

/** A function that sends to a queue it takes from needs leave to loop; another must not have it, so that AWS stops it. */
function onlyStagesMayLoop(template: Template, tell: Tell): void {
  const sources = ofType(template, 'AWS::Lambda::EventSourceMapping')
  for (const { name, resource } of ofType(template, 'AWS::Lambda::Function')) {
    const taken = sources
      .filter((one) => targetOf(one.resource.properties['FunctionName'], template)?.name === name)
      .map((one) => targetOf(one.resource.properties['EventSourceArn'], template)?.name)
    const given = Object.values(variablesOf(resource)).map((value) => targetOf(value, template)?.name)
    const loops = taken.some((queue) => queue !== undefined && given.includes(queue))
    const mayLoop = resource.properties['RecursiveLoop'] === 'Allow'
    if (loops && !mayLoop)
      tell(name, 'sends to the queue it takes from, and AWS would stop it: RecursiveLoop is not "Allow"')
    if (!loops && mayLoop) tell(name, 'has RecursiveLoop "Allow" and does not send to a queue it takes from')
  }
}

/** Whoever is given the name of a queue may send to it, and whoever may send is given the name: else a stage fails when it is too late. */
function environmentsNameWhatIsThere(template: Template, tell: Tell): void {
  for (const { name, resource } of ofType(template, 'AWS::Lambda::Function')) {
    const role = targetOf(resource.properties['Role'], template)
    if (role === null) continue
    const given = new Set(
      Object.entries(variablesOf(resource))
        .filter(([variable]) => /^COLDFRAME_[A-Z]+_QUEUE$/.test(variable))
        .map(([, value]) => targetOf(value, template)?.name ?? ''),
    )
    const allowed = new Set(queuesSentTo(role.resource, template))
    for (const queue of given)
      if (!allowed.has(queue)) tell(name, `is told of "${queue}", and its role may not send there`)
    for (const queue of allowed) {
      if (!given.has(queue) && queue !== 'BuriedQueue') tell(name, `may send to "${queue}", and is not told of it`)
    }
  }
}

/** Names of secrets, never secrets: whoever may look at a function sees its environment. */
function environmentsHoldNoSecret(template: Template, tell: Tell): void {
  const containers = ofType(template, 'AWS::ECS::TaskDefinition').flatMap(({ name, resource }) =>
    listOf(resource.properties['ContainerDefinitions'])
      .flatMap((container) => listOf(valuesOf(container)['Environment']))
      .map((variable) => ({
        name,
        variable: textOf(valuesOf(variable)['Name']) ?? '',
        value: valuesOf(variable)['Value'],
      })),
  )
  const functions = ofType(template, 'AWS::Lambda::Function').flatMap(({ name, resource }) =>
    Object.entries(variablesOf(resource)).map(([variable, value]) => ({ name, variable, value })),
  )
  for (const { name, variable, value } of [...functions, ...containers]) {
    const text = textOf(value) ?? ''
    if (/AKIA|ASIA|-----BEGIN|resolve:secretsmanager/.test(text) || /PASSWORD|PASSPHRASE/.test(variable)) {
      tell(name, `holds a secret in its variable "${variable}"`)
    }
  }
}

function queuesSentTo({ properties }: Resource, template: Template): readonly string[] {
  return statementsOf(properties)
    .filter((statement) => listOf(statement['Action']).includes('sqs:SendMessage'))
    .flatMap((statement) => listOf(statement['Resource']))
    .flatMap((queue) => targetOf(queue, template)?.name ?? [])
}

function rolesAreTakenByOne(template: Template, tell: Tell): void {
  for (const { name, resource } of ofType(template, 'AWS::IAM::Role')) {
    const trust = listOf(valuesOf(resource.properties['AssumeRolePolicyDocument'])['Statement'])
    for (const statement of trust) {
      const principal = valuesOf(statement)['Principal']
      const isOne = isValues(principal) && Object.values(principal).flatMap(listOf).length === 1
      if (!isOne || textOf(principal['AWS']) === '*') tell(name, 'may be taken by more than one service or by anybody')
    }
  }
}

/** Buckets, queues and topics answer to HTTP as well, unless a policy refuses it. */
function everythingWantsTls(template: Template, tell: Tell): void {
  const kinds = [
    { type: 'AWS::S3::Bucket', policies: 'AWS::S3::BucketPolicy', of: 'Bucket' },
    { type: 'AWS::SQS::Queue', policies: 'AWS::SQS::QueuePolicy', of: 'Queues' },
    { type: 'AWS::SNS::Topic', policies: 'AWS::SNS::TopicPolicy', of: 'Topics' },
  ] as const
  for (const { type, policies, of } of kinds) {
    const covered = ofType(template, policies)
      .filter(({ resource }) => statementsOf(resource.properties).some(refusesPlainHttp))
      .flatMap(({ resource }) => listOf(resource.properties[of]))
      .map((target) => targetOf(target, template)?.name)
    for (const { name } of ofType(template, type)) {
      if (!covered.includes(name)) tell(name, 'has no policy that refuses what does not come by TLS')
    }
  }
}

function refusesPlainHttp(statement: Values): boolean {
  const asked = valuesOf(valuesOf(statement['Condition'])['Bool'])['aws:SecureTransport']
  return statement['Effect'] === 'Deny' && statement['Principal'] === '*' && String(asked) === 'false'
}

export function ofType(template: Template, type: string): readonly Named[] {
  return Object.entries(template.Resources).flatMap(([name, resource]) =>
    resource.type === type ? [{ name, resource }] : [],
  )
}

/** Statements of a role's or managed policy's own documents. */
export function statementsOf(properties: Values): readonly Values[] {
  const documents = [
    properties['PolicyDocument'],
    ...listOf(properties['Policies']).map((policy) => valuesOf(policy)['PolicyDocument']),
  ]
  return documents.flatMap((document) => listOf(valuesOf(document)['Statement'])).filter(isValues)
}

/** The resource that a reference leads to, also through the first that an Fn::If may give. */
export function targetOf(value: Value | undefined, template: Template): Named | null {
  let found: string | null = null
  walkValue(value ?? null, '', (inner) => {
    const intrinsic = intrinsicOf(inner)
    const name =
      intrinsic?.name === 'Ref'
        ? textOf(intrinsic.argument)
        : intrinsic?.name === 'Fn::GetAtt'
          ? attributeOf(intrinsic.argument)?.name
          : undefined
    if (found === null && name !== undefined && template.Resources[name] !== undefined) found = name
  })
  const resource = found === null ? undefined : template.Resources[found]
  return found === null || resource === undefined ? null : { name: found, resource }
}

function variablesOf({ properties }: Resource): Values {
  return valuesOf(valuesOf(properties['Environment'])['Variables'])
}
