// What a program on AWS is told by its environment: names of the stack's resources, checked once, all faults listed. Each
// function is given only what it needs, so most parts may be absent. Holds no secret, only the names of secrets.

import { BackupError, quote } from '../base/errors.ts'
import { STAGE_KINDS, type StageKind } from '../model/message.ts'
import { ADMISSION_SETTINGS, type AdmissionSettings, admissionSettingsOf } from './admission-settings.ts'
import { type BucketPlace, bucketPlaceOf } from './repository-place.ts'
import { thumbprintOf, vcenterUrlOf } from './vcenter-place.ts'
import { VDDK_VARIABLES, type VddkSettings, vddkSettingsOf } from './vddk-settings.ts'

export type AwsVcenter = {
  /** "https://host[:port]/sdk" */
  readonly url: string
  /** Name or ARN of a secret that holds {"user", "password"}. */
  readonly secret: string
  readonly trust: { readonly kind: 'thumbprint'; readonly sha256: string } | { readonly kind: 'system' }
}

export const CAPACITIES = ['FARGATE', 'FARGATE_SPOT', 'EXTERNAL'] as const
export type Capacity = (typeof CAPACITIES)[number]

/** Where tasks run. Each capacity in each subnet is one placement, in this order. */
export type AwsTasks = {
  readonly cluster: string
  readonly taskDefinition: string
  readonly subnets: readonly string[]
  readonly securityGroups: readonly string[]
  readonly capacity: readonly Capacity[]
}

/** One place where a task may be started. */
export type TaskPlace = { readonly capacity: Capacity; readonly subnet: string | null }

export type AwsScheduler = {
  readonly group: string
  /** ARN of the role that the scheduler takes. */
  readonly role: string
  /** ARN of the function that schedules invoke. */
  readonly target: string
  /** ARN of the queue for starts that never reached it; null: they are forgotten, and only a missed RPO tells of them. */
  readonly deadLetters: string | null
}

/** What a program may have been given: null where it was not. */
export type AwsParts = {
  /** Name of the state table. */
  readonly table: string | null
  readonly repository: BucketPlace | null
  /** ARN of the key that wraps the repository's master key. */
  readonly kmsKey: string | null
  readonly vcenter: AwsVcenter | null
  readonly tasks: AwsTasks | null
  readonly eventBus: string | null
  /** ARN of the topic for people. */
  readonly topic: string | null
  readonly scheduler: AwsScheduler | null
}

export type AwsSettings = AwsParts & {
  /** URL of each queue that was given. */
  readonly queues: Readonly<Partial<Record<StageKind, string>>>
  /** The guest secret "db" is "<secretPrefix>guest/db". */
  readonly secretPrefix: string
  readonly vddk: VddkSettings
  readonly admission: AdmissionSettings
}

type Environment = Readonly<Record<string, string | undefined>>
type Read = (variable: string) => string | null

/** The variable that an absent part is asked for by. */
const VARIABLE_OF: Readonly<Record<keyof AwsParts, string>> = {
  table: 'COLDFRAME_TABLE',
  repository: 'COLDFRAME_REPOSITORY',
  kmsKey: 'COLDFRAME_KMS_KEY',
  vcenter: 'COLDFRAME_VCENTER',
  tasks: 'COLDFRAME_CLUSTER',
  eventBus: 'COLDFRAME_EVENT_BUS',
  topic: 'COLDFRAME_TOPIC',
  scheduler: 'COLDFRAME_SCHEDULE_GROUP',
}

/** The variable that holds a queue's URL. */
export function queueVariable(kind: StageKind): string {
  return `COLDFRAME_${kind.toUpperCase()}_QUEUE`
}

/**
 * @param environment as the process has it; an empty variable counts as absent
 * @throws BackupError `settings-faulty` (kind usage); facts.faults holds one line a fault
 */
export function parseAwsSettings(environment: Environment): AwsSettings {
  const faults: string[] = []
  const read: Read = (variable) => environment[variable]?.trim() || null
  const given = (name: string | undefined) => {
    const text = name === undefined ? null : read(name)
    return name === undefined || text === null ? undefined : { name, text }
  }
  const limits: Readonly<Record<string, { readonly variable: string }>> = ADMISSION_SETTINGS
  const repository = given(VARIABLE_OF.repository)
  const settings: AwsSettings = {
    table: matching(
      read,
      { variable: VARIABLE_OF.table, form: /^[a-zA-Z0-9_.-]{3,255}$/, needed: 'a table name' },
      faults,
    ),
    queues: queuesOf(read, faults),
    repository: repository === undefined ? null : bucketPlaceOf(repository, { environment, faults }),
    kmsKey: arnOf(read, VARIABLE_OF.kmsKey, 'kms', faults),
    vcenter: vcenterOf(read, faults),
    tasks: tasksOf(read, faults),
    eventBus: read(VARIABLE_OF.eventBus),
    topic: arnOf(read, VARIABLE_OF.topic, 'sns', faults),
    scheduler: schedulerOf(read, faults),
    secretPrefix: read('COLDFRAME_SECRET_PREFIX') ?? 'coldframe/',
    vddk: vddkSettingsOf((key) => given(VDDK_VARIABLES[key]), { faults, folder: '/' }),
    admission: admissionSettingsOf((key) => given(limits[key]?.variable), faults),
  }
  if (faults.length > 0) throw faulty(faults)
  return settings
}

/**
 * A part that this program cannot do without.
 * @throws BackupError `settings-faulty` (kind usage), naming the variable
 */
export function needed<Part extends keyof AwsParts>(settings: AwsSettings, part: Part): NonNullable<AwsSettings[Part]> {
  const value: AwsSettings[Part] = settings[part]
  if (value === null || value === undefined) throw faulty([`${VARIABLE_OF[part]} is not set, and this needs it`])
  return value
}

/** Where a task may be started, capacities in the order given: each in each subnet; a machine of one's own needs none. */
export function placesOf({ capacity, subnets }: AwsTasks): readonly TaskPlace[] {
  return capacity.flatMap((one): readonly TaskPlace[] =>
    one === 'EXTERNAL' ? [{ capacity: one, subnet: null }] : subnets.map((subnet) => ({ capacity: one, subnet })),
  )
}

/** @throws BackupError `settings-faulty` (kind usage), naming the variable */
export function neededQueue({ queues }: AwsSettings, kind: StageKind): string {
  const url = queues[kind]
  if (url === undefined) throw faulty([`${queueVariable(kind)} is not set, and this needs it`])
  return url
}

/** A function's log shows an error's message and no more of it: the faults stand in it. */
function faulty(faults: readonly string[]): BackupError {
  return new BackupError(`Cannot start: ${faults.join('; ')}`, {
    code: 'settings-faulty',
    kind: 'usage',
    hint: 'Deploy the stack again: it writes these variables',
    facts: { faults },
  })
}

function queuesOf(read: Read, faults: string[]): AwsSettings['queues'] {
  const queues: Partial<Record<StageKind, string>> = {}
  for (const kind of STAGE_KINDS) {
    const variable = queueVariable(kind)
    // http only for a peer of the same machine.
    const url = matching(read, { variable, form: /^https?:\/\/[^\s/]+\/\S+$/, needed: 'the URL of a queue' }, faults)
    if (url !== null) queues[kind] = url
  }
  return queues
}

function vcenterOf(read: Read, faults: string[]): AwsVcenter | null {
  const [name, secretName, pinName] = [
    VARIABLE_OF.vcenter,
    'COLDFRAME_VCENTER_SECRET',
    'COLDFRAME_VCENTER_THUMBPRINT',
  ] as const
  const text = read(name)
  if (text === null) return null
  const url = vcenterUrlOf({ name, text }, faults)
  const secret = read(secretName)
  if (secret === null) faults.push(`${secretName} is not set: the secret that holds the account of ${name}`)
  const pin = read(pinName)
  const sha256 = pin === null ? null : thumbprintOf({ name: pinName, text: pin }, faults)
  if (url === null || secret === null) return null
  return { url, secret, trust: sha256 === null ? { kind: 'system' } : { kind: 'thumbprint', sha256 } }
}

function tasksOf(read: Read, faults: string[]): AwsTasks | null {
  const cluster = read(VARIABLE_OF.tasks)
  if (cluster === null) return null
  const missing = (variable: string, what: string): null => {
    faults.push(`${variable} is not set: ${what}`)
    return null
  }
  const taskDefinition = read('COLDFRAME_TASK_DEFINITION') ?? missing('COLDFRAME_TASK_DEFINITION', 'what a task is')
  const capacity = listOf(read('COLDFRAME_CAPACITY') ?? 'FARGATE').map((text) => {
    const known = CAPACITIES.find((one) => one === text)
    if (known === undefined)
      faults.push(`COLDFRAME_CAPACITY has ${quote(text)}: must be a list of ${CAPACITIES.join(', ')}`)
    return known ?? 'FARGATE'
  })
  const subnets = listOf(read('COLDFRAME_SUBNETS'))
  const securityGroups = listOf(read('COLDFRAME_SECURITY_GROUPS'))
  // An own machine brings its own network.
  if (capacity.some((one) => one !== 'EXTERNAL')) {
    if (subnets.length === 0) missing('COLDFRAME_SUBNETS', 'where tasks on Fargate get their address')
    if (securityGroups.length === 0) missing('COLDFRAME_SECURITY_GROUPS', 'what tasks on Fargate may reach')
  }
  return taskDefinition === null ? null : { cluster, taskDefinition, subnets, securityGroups, capacity }
}

function schedulerOf(read: Read, faults: string[]): AwsScheduler | null {
  const group = read(VARIABLE_OF.scheduler)
  if (group === null) return null
  const role = arnOf(read, 'COLDFRAME_SCHEDULE_ROLE', 'iam', faults)
  const target = arnOf(read, 'COLDFRAME_SCHEDULE_TARGET', 'lambda', faults)
  for (const variable of ['COLDFRAME_SCHEDULE_ROLE', 'COLDFRAME_SCHEDULE_TARGET'])
    if (read(variable) === null) faults.push(`${variable} is not set, and ${VARIABLE_OF.scheduler} is`)
  const deadLetters = arnOf(read, 'COLDFRAME_SCHEDULE_DEAD_LETTERS', 'sqs', faults)
  return role === null || target === null ? null : { group, role, target, deadLetters }
}

function arnOf(read: Read, variable: string, kind: string, faults: string[]): string | null {
  const form = new RegExp(`^arn:aws[a-z-]*:${kind}:[a-z0-9-]*:\\d{12}:\\S+$`)
  return matching(read, { variable, form, needed: `the ARN of a resource of "${kind}"` }, faults)
}

type Needed = { readonly variable: string; readonly form: RegExp; readonly needed: string }

function matching(read: Read, { variable, form, needed: what }: Needed, faults: string[]): string | null {
  const text = read(variable)
  if (text === null || form.test(text)) return text
  faults.push(`${variable} is ${quote(text)}: must be ${what}`)
  return null
}

function listOf(text: string | null): readonly string[] {
  return [...new Set((text ?? '').split(',').map((part) => part.trim()))].filter((part) => part !== '')
}
