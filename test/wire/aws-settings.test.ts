import { describe, expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import { STAGE_KINDS } from '../../lib/model/message.ts'
import { needed, neededQueue, parseAwsSettings, placesOf, queueVariable } from '../../lib/wire/aws-settings.ts'

const whole = {
  AWS_REGION: 'eu-central-1',
  COLDFRAME_TABLE: 'coldframe-dev-state',
  ...Object.fromEntries(
    STAGE_KINDS.map((kind) => [queueVariable(kind), `https://sqs.eu-central-1.amazonaws.com/123456789012/${kind}`]),
  ),
  COLDFRAME_REPOSITORY: 's3:backups-of-acme/one/two/',
  COLDFRAME_KMS_KEY: 'arn:aws:kms:eu-central-1:123456789012:key/0f',
  COLDFRAME_VCENTER: 'https://vc.example:8443',
  COLDFRAME_VCENTER_SECRET: 'coldframe/vcenter',
  COLDFRAME_VCENTER_THUMBPRINT: `${'AB:'.repeat(31)}AB`,
  COLDFRAME_CLUSTER: 'coldframe-dev',
  COLDFRAME_TASK_DEFINITION: 'coldframe-mover:7',
  COLDFRAME_SUBNETS: 'subnet-a, subnet-b,subnet-a,',
  COLDFRAME_SECURITY_GROUPS: 'sg-1',
  COLDFRAME_CAPACITY: 'FARGATE_SPOT,FARGATE',
  COLDFRAME_EVENT_BUS: 'coldframe-dev',
  COLDFRAME_TOPIC: 'arn:aws:sns:eu-central-1:123456789012:coldframe-dev',
  COLDFRAME_SCHEDULE_GROUP: 'coldframe-dev',
  COLDFRAME_SCHEDULE_ROLE: 'arn:aws:iam::123456789012:role/schedule',
  COLDFRAME_SCHEDULE_TARGET: 'arn:aws:lambda:eu-central-1:123456789012:function:schedule',
}

function errorOf(action: () => unknown): BackupError {
  try {
    action()
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('parseAwsSettings()', () => {
  it('reads all that a stack writes', () => {
    const settings = parseAwsSettings(whole)
    expect(settings).toMatchObject({
      table: 'coldframe-dev-state',
      repository: { kind: 's3', bucket: 'backups-of-acme', prefix: 'one/two/' },
      kmsKey: whole.COLDFRAME_KMS_KEY,
      vcenter: {
        url: 'https://vc.example:8443/sdk',
        secret: 'coldframe/vcenter',
        trust: { kind: 'thumbprint', sha256: 'ab'.repeat(32) },
      },
      tasks: {
        cluster: 'coldframe-dev',
        taskDefinition: 'coldframe-mover:7',
        subnets: ['subnet-a', 'subnet-b'],
        securityGroups: ['sg-1'],
        capacity: ['FARGATE_SPOT', 'FARGATE'],
      },
      eventBus: 'coldframe-dev',
      topic: whole.COLDFRAME_TOPIC,
      scheduler: {
        group: 'coldframe-dev',
        role: whole.COLDFRAME_SCHEDULE_ROLE,
        target: whole.COLDFRAME_SCHEDULE_TARGET,
        deadLetters: null,
      },
      secretPrefix: 'coldframe/',
      admission: {},
    })
    expect(neededQueue(settings, 'capture')).toBe('https://sqs.eu-central-1.amazonaws.com/123456789012/capture')
  })

  it('reads an empty environment: every part is absent, and asking for one names its variable', () => {
    const settings = parseAwsSettings({ COLDFRAME_TABLE: ' ' })
    expect(settings).toMatchObject({ table: null, queues: {}, repository: null, vcenter: null, tasks: null })
    expect(errorOf(() => needed(settings, 'table'))).toMatchObject({
      code: 'settings-faulty',
      kind: 'usage',
      message: 'Cannot start: COLDFRAME_TABLE is not set, and this needs it',
    })
    expect(errorOf(() => neededQueue(settings, 'plan')).message).toMatch(/COLDFRAME_PLAN_QUEUE is not set/)
    expect(needed(parseAwsSettings(whole), 'table')).toBe('coldframe-dev-state')
  })

  it('takes a bucket alone as the place of a repository, and FARGATE as capacity', () => {
    const { COLDFRAME_CAPACITY: _, ...rest } = whole
    const settings = parseAwsSettings({ ...rest, COLDFRAME_REPOSITORY: 's3:backups' })
    expect(settings.repository).toMatchObject({ kind: 's3', bucket: 'backups', prefix: '', region: 'eu-central-1' })
    expect(settings.tasks?.capacity).toEqual(['FARGATE'])
    expect(placesOf(settings.tasks ?? expect.fail())).toHaveLength(2)
  })

  it('needs no network for tasks on machines of one’s own', () => {
    const { COLDFRAME_SUBNETS: _, COLDFRAME_SECURITY_GROUPS: __, ...rest } = whole
    expect(parseAwsSettings({ ...rest, COLDFRAME_CAPACITY: 'EXTERNAL' }).tasks?.subnets).toEqual([])
    expect(errorOf(() => parseAwsSettings(rest)).facts['faults']).toHaveLength(2)
  })

  it('lists all faults at once, in its message, too', () => {
    const error = errorOf(() =>
      parseAwsSettings({
        COLDFRAME_TABLE: 'a b',
        COLDFRAME_PLAN_QUEUE: 'plan',
        COLDFRAME_REPOSITORY: 'file:/x',
        COLDFRAME_KMS_KEY: 'alias/x',
        COLDFRAME_VCENTER: 'http://vc',
        COLDFRAME_VCENTER_THUMBPRINT: 'ab',
        COLDFRAME_CLUSTER: 'c',
        COLDFRAME_CAPACITY: 'LAMBDA',
        COLDFRAME_TOPIC: whole.COLDFRAME_KMS_KEY,
        COLDFRAME_SCHEDULE_GROUP: 'g',
        COLDFRAME_NFC_CONNECTIONS: '0',
      }),
    )
    const { faults } = error.facts
    expect(faults).toEqual([
      'COLDFRAME_TABLE is "a b": must be a table name',
      'COLDFRAME_PLAN_QUEUE is "plan": must be the URL of a queue',
      'COLDFRAME_REPOSITORY is "file:/x": must be s3:BUCKET[/PREFIX]',
      'COLDFRAME_KMS_KEY is "alias/x": must be the ARN of a resource of "kms"',
      'COLDFRAME_VCENTER is "http://vc": must be https://host[:port][/sdk]',
      'COLDFRAME_VCENTER_SECRET is not set: the secret that holds the account of COLDFRAME_VCENTER',
      'COLDFRAME_VCENTER_THUMBPRINT is "ab": must be a SHA-256 of 64 hex digits',
      'COLDFRAME_TASK_DEFINITION is not set: what a task is',
      'COLDFRAME_CAPACITY has "LAMBDA": must be a list of FARGATE, FARGATE_SPOT, EXTERNAL',
      'COLDFRAME_SUBNETS is not set: where tasks on Fargate get their address',
      'COLDFRAME_SECURITY_GROUPS is not set: what tasks on Fargate may reach',
      `COLDFRAME_TOPIC is "${whole.COLDFRAME_KMS_KEY}": must be the ARN of a resource of "sns"`,
      'COLDFRAME_SCHEDULE_ROLE is not set, and COLDFRAME_SCHEDULE_GROUP is',
      'COLDFRAME_SCHEDULE_TARGET is not set, and COLDFRAME_SCHEDULE_GROUP is',
      'COLDFRAME_NFC_CONNECTIONS is "0": must be a whole number from 1 to 1000',
    ])
    for (const fault of Array.isArray(faults) ? faults : []) expect(error.message).toContain(fault)
  })

  it('refuses a prefix that leads elsewhere', () => {
    for (const place of ['s3:b', 's3:bucket/../x', 's3:bucket//x', 's3:Bucket', 's3:', 's3:bucket/a b'])
      expect(errorOf(() => parseAwsSettings({ COLDFRAME_REPOSITORY: place })).message).toMatch(/must be s3:BUCKET/)
  })
})
