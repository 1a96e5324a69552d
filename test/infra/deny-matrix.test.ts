// Who may do what: every role of the packaged stack against every thing that must be kept from most. What is not in the table below as
// allowed must be refused, so that a new role, or a new statement, is refused until the table says otherwise.

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packageInto } from '../cloud/template.ts'
import { temporaryFolder } from '../kit/local-state.ts'
import type { Request } from './iam.ts'
import { type StackPolicies, stackPolicies } from './stack-policies.ts'

const root = join(import.meta.dirname, '..', '..')
const opened = new AsyncDisposableStack()
const account = 'arn:aws:iam::111122223333'
const here = 'eu-central-1:111122223333'
const bucketKey = `arn:aws:kms:${here}:key/00112233-4455-6677-8899-aabbccddeeff`
let policies: StackPolicies

beforeAll(async () => {
  const folder = opened.use(await temporaryFolder())
  const { template } = await packageInto(join(folder.path, 'stack'), root)
  policies = stackPolicies(template, {
    VCenter: 'https://vcenter.example',
    RepositoryPrefix: 'vms/',
    BucketKeyArn: bucketKey,
    RestoreTargets: 's3://images/from-coldframe/',
  })
}, 60_000)
afterAll(() => opened.disposeAsync())

const bucket = () => policies.arn('RepositoryStore')
const object = (key: string) => `${bucket()}/vms/${key}`
const once = { 's3:if-none-match': '*' }
const forRepository = { 'kms:EncryptionContext:repositoryId': 'r' }
const secret = (name: string) => `arn:aws:secretsmanager:${here}:secret:${name}-AbC1d2`
const record = (key: string) => ({ 'dynamodb:LeadingKeys': [key] })
const put = (key: string): Call => ({ action: 's3:PutObject', resource: object(key), context: once })

type Call = Omit<Request, 'principal'>
type Row = readonly [what: string, call: () => Call, allowed: readonly string[]]

const stages = ['Plan', 'Prepare', 'Capture', 'Transfer', 'Commit', 'Release', 'Finish'].map((name) => `${name}Role`)
const tasks = ['MoverTaskRole', 'OperateTaskRole']
const keyHolders = ['PrepareRole', 'CommitRole', 'FinishRole', ...tasks, 'ReaderRole', 'SetupRole']
const readers = ['CommitRole', 'FinishRole', ...tasks, 'ReaderRole']
const vcenter = [...stages, 'WatchRole', 'HuntRole', 'AlarmRole', 'PullRole', 'MoverTaskRole', 'PolicyRole']
const guests = ['PrepareRole', 'CaptureRole', 'ReleaseRole', 'FinishRole', 'WatchRole']

const stateWriters = [
  ...stages,
  'AbandonRole',
  'AlarmRole',
  'PullRole',
  'OperateRole',
  'WatchRole',
  'HuntRole',
  ...tasks,
]

const matrix: readonly Row[] = [
  // What is backed up is never taken away.
  ['delete a pack', () => ({ action: 's3:DeleteObject', resource: object('p/00/a') }), []],
  ['delete a version of a point', () => ({ action: 's3:DeleteObjectVersion', resource: object('r/vm/1.rp') }), []],
  ['delete a key', () => ({ action: 's3:DeleteObjectVersion', resource: object('keys/k/1.json') }), []],
  ['unlock a pack', () => ({ action: 's3:BypassGovernanceRetention', resource: object('p/00/a') }), []],
  ['prove that the store keeps what was first', () => put('s/proof-1/condition'), ['MoverTaskRole', 'SetupRole']],
  ['change the bucket policy', () => ({ action: 's3:PutBucketPolicy', resource: bucket() }), []],
  ['remove the bucket policy', () => ({ action: 's3:DeleteBucketPolicy', resource: bucket() }), []],
  ['change the default lock', () => ({ action: 's3:PutBucketObjectLockConfiguration', resource: bucket() }), []],
  ['let the bucket forget', () => ({ action: 's3:PutLifecycleConfiguration', resource: bucket() }), []],
  ['stop versions', () => ({ action: 's3:PutBucketVersioning', resource: bucket() }), []],
  ['delete the bucket', () => ({ action: 's3:DeleteBucket', resource: bucket() }), []],
  ['overwrite a point', () => ({ ...put('r/vm/1.rp'), context: {} }), []],
  ['overwrite a pack', () => ({ ...put('p/00/a'), context: {} }), []],
  ['overwrite the settings', () => ({ ...put('repo/1.json'), context: {} }), []],
  ['write without TLS', () => ({ ...put('p/00/a'), context: { ...once, 'aws:SecureTransport': 'false' } }), []],
  [
    'lock for too long',
    () => ({ ...put('p/00/a'), context: { ...once, 's3:object-lock-remaining-retention-days': '401' } }),
    [],
  ],
  ['write beside the repository', () => ({ ...put(''), resource: `${bucket()}/other/p/00/a` }), []],

  // What is added, and by whom alone.
  ['publish a point', () => put('r/vm/1.rp'), ['CommitRole']],
  ['add a pack', () => put('p/00/a'), ['MoverTaskRole']],
  ['add a metadata pack', () => put('m/00/a'), ['MoverTaskRole']],
  ['leave a candidate', () => put('s/job#1/candidate'), ['MoverTaskRole']],
  ['annotate a point', () => put('a/vm/1/1'), ['CommitRole', 'FinishRole', 'OperateTaskRole', 'QuarantineRole']],
  ['add settings', () => put('repo/2.json'), ['SetupRole']],
  ['add a wrap of the key', () => put('keys/k/2.json'), ['SetupRole']],
  ['store a script', () => put('scripts/a.tgz'), ['PolicyRole']],
  [
    'lock a pack longer',
    () => ({ action: 's3:PutObjectRetention', resource: object('p/00/a') }),
    ['MoverTaskRole', 'CommitRole'],
  ],
  [
    'write an image where restores may',
    () => ({ action: 's3:PutObject', resource: 'arn:aws:s3:::images/from-coldframe/a.raw' }),
    ['OperateTaskRole'],
  ],
  ['write an image elsewhere', () => ({ action: 's3:PutObject', resource: 'arn:aws:s3:::images/a.raw' }), []],

  // Who can read backups needs the bucket and the key.
  ['read a pack', () => ({ action: 's3:GetObject', resource: object('p/00/a') }), readers],
  ['read a point', () => ({ action: 's3:GetObject', resource: object('r/vm/1.rp') }), [...readers, 'QuarantineRole']],
  [
    'open the master key',
    () => ({ action: 'kms:Decrypt', resource: policies.arn('WrapKey'), context: forRepository }),
    keyHolders,
  ],
  ['use the key for something else', () => ({ action: 'kms:Decrypt', resource: policies.arn('WrapKey') }), []],
  [
    'wrap a key',
    () => ({ action: 'kms:Encrypt', resource: policies.arn('WrapKey'), context: forRepository }),
    ['SetupRole'],
  ],
  ['delete the key', () => ({ action: 'kms:ScheduleKeyDeletion', resource: policies.arn('WrapKey') }), []],
  ['disable the key', () => ({ action: 'kms:DisableKey', resource: policies.arn('WrapKey') }), []],
  ['change who may use the key', () => ({ action: 'kms:PutKeyPolicy', resource: policies.arn('WrapKey') }), []],
  ['lend the key', () => ({ action: 'kms:CreateGrant', resource: policies.arn('WrapKey') }), []],

  // What S3 asks of the bucket's own key, where it has one, for whoever puts or reads an object.
  ...['kms:Decrypt', 'kms:GenerateDataKey'].map(
    (action): Row => [
      `have S3 ask "${action}" of the bucket's key`,
      () => ({ action, resource: bucketKey, context: { 'kms:ViaService': 's3.eu-central-1.amazonaws.com' } }),
      [...keyHolders, 'PolicyRole', 'QuarantineRole'],
    ],
  ),
  ["use the bucket's key past S3", () => ({ action: 'kms:Decrypt', resource: bucketKey }), []],

  // Secrets.
  [
    "read vCenter's account",
    () => ({ action: 'secretsmanager:GetSecretValue', resource: secret('coldframe/vcenter') }),
    vcenter,
  ],
  [
    'read an account of restores',
    () => ({ action: 'secretsmanager:GetSecretValue', resource: secret('coldframe/vcenter-restore') }),
    [],
  ],
  [
    "read a guest's account",
    () => ({ action: 'secretsmanager:GetSecretValue', resource: secret('coldframe/guest/db') }),
    guests,
  ],
  [
    "read a door's secret",
    () => ({ action: 'secretsmanager:GetSecretValue', resource: secret('coldframe/door/script') }),
    ['WebhookRole'],
  ],
  ['read any other secret', () => ({ action: 'secretsmanager:GetSecretValue', resource: secret('payroll') }), []],
  ['change a secret', () => ({ action: 'secretsmanager:PutSecretValue', resource: secret('coldframe/vcenter') }), []],
  ['list secrets', () => ({ action: 'secretsmanager:ListSecrets', resource: '*' }), []],

  // State.
  [
    'write a job',
    () => ({ action: 'dynamodb:PutItem', resource: policies.arn('StateTable'), context: record('job#1') }),
    [...stateWriters, 'ApiRole'],
  ],
  [
    'write an alarm',
    () => ({ action: 'dynamodb:PutItem', resource: policies.arn('StateTable'), context: record('alarm#1') }),
    [...stateWriters, 'WebhookRole'],
  ],
  [
    'write what alarms wait for and have spent',
    () => ({
      action: 'dynamodb:UpdateItem',
      resource: policies.arn('StateTable'),
      context: record('door#alarms:gold'),
    }),
    stateWriters,
  ],
  [
    'write a run',
    () => ({ action: 'dynamodb:PutItem', resource: policies.arn('StateTable'), context: record('run#1') }),
    [...stateWriters, 'StartRole', 'ApiRole'],
  ],
  [
    'ask for a restore',
    () => ({ action: 'dynamodb:PutItem', resource: policies.arn('StateTable'), context: record('operation#1') }),
    [...stateWriters, 'ApiRole'],
  ],
  [
    'take a mark off a VM',
    () => ({ action: 'dynamodb:PutItem', resource: policies.arn('StateTable'), context: record('vm#1') }),
    [...stateWriters, 'QuarantineRole'],
  ],
  [
    'take places',
    () => ({ action: 'dynamodb:PutItem', resource: policies.arn('StateTable'), context: record('resource#vm/1') }),
    stateWriters,
  ],
  [
    'call the door of schedules',
    () => ({ action: 'lambda:InvokeFunction', resource: policies.arn('ScheduleLambdaFunction') }),
    ['ScheduleRole'],
  ],
  [
    'write a policy',
    () => ({ action: 'dynamodb:PutItem', resource: policies.arn('StateTable'), context: record('policy#gold') }),
    ['PolicyRole'],
  ],
  [
    'change a policy',
    () => ({ action: 'dynamodb:UpdateItem', resource: policies.arn('StateTable'), context: record('policy#gold') }),
    ['PolicyRole'],
  ],
  [
    'delete a record',
    () => ({ action: 'dynamodb:DeleteItem', resource: policies.arn('StateTable'), context: record('job#1') }),
    [],
  ],
  ['delete the table', () => ({ action: 'dynamodb:DeleteTable', resource: policies.arn('StateTable') }), []],
  [
    'stop point-in-time recovery',
    () => ({ action: 'dynamodb:UpdateContinuousBackups', resource: policies.arn('StateTable') }),
    [],
  ],
  ['read the whole table', () => ({ action: 'dynamodb:Scan', resource: policies.arn('StateTable') }), []],

  // Starting work, and becoming somebody else.
  [
    'schedule a policy',
    () => ({
      action: 'scheduler:CreateSchedule',
      resource: `arn:aws:scheduler:${here}:schedule/${ref('Schedules')}/gold`,
    }),
    ['PolicyRole'],
  ],
  [
    'schedule elsewhere',
    () => ({ action: 'scheduler:CreateSchedule', resource: `arn:aws:scheduler:${here}:schedule/default/gold` }),
    [],
  ],
  ['give the schedules their role', () => passRole('ScheduleRole', 'scheduler.amazonaws.com'), ['PolicyRole']],
  ['give that role to a function', () => passRole('ScheduleRole', 'lambda.amazonaws.com'), []],
  ['give a task the role of the mover', () => passRole('MoverTaskRole', 'ecs-tasks.amazonaws.com'), ['TransferRole']],
  ['give a task the role of restores', () => passRole('OperateTaskRole', 'ecs-tasks.amazonaws.com'), ['OperateRole']],
  ['give the role of commit to anything', () => passRole('CommitRole', 'ecs-tasks.amazonaws.com'), []],
  ['give the role that sets up to a task', () => passRole('SetupRole', 'ecs-tasks.amazonaws.com'), []],
  ['start a mover', () => runTask('MoverTask'), ['TransferRole']],
  ['start a restore', () => runTask('OperateTask'), ['OperateRole']],
  [
    'start any other task',
    () => ({ ...runTask('MoverTask'), resource: `arn:aws:ecs:${here}:task-definition/other:1` }),
    [],
  ],
  [
    'start a mover in another cluster',
    () => ({ ...runTask('MoverTask'), context: { 'ecs:cluster': `arn:aws:ecs:${here}:cluster/other` } }),
    [],
  ],
  ['change what tasks are', () => ({ action: 'ecs:RegisterTaskDefinition', resource: '*' }), []],
  ['take a role', () => ({ action: 'sts:AssumeRole', resource: policies.arn('SetupRole') }), []],
  ['make a role', () => ({ action: 'iam:CreateRole', resource: `${account}:role/x` }), []],
  ['change a role', () => ({ action: 'iam:PutRolePolicy', resource: policies.arn('MoverTaskRole') }), []],
  [
    'change a function',
    () => ({ action: 'lambda:UpdateFunctionCode', resource: policies.arn('PlanLambdaFunction') }),
    [],
  ],
  [
    'start watch',
    () => ({ action: 'lambda:InvokeFunction', resource: policies.arn('WatchLambdaFunction') }),
    ['TickRole'],
  ],
  ['replace an image', () => ({ action: 'ecr:PutImage', resource: policies.arn('ImagePlace') }), []],

  // Messages.
  [
    'give a job up',
    () => ({ action: 'sqs:SendMessage', resource: policies.arn('AbandonQueue') }),
    ['AbandonRole', 'WatchRole'],
  ],
  [
    'start a run',
    () => ({ action: 'sqs:SendMessage', resource: policies.arn('PlanQueue') }),
    ['PlanRole', 'AbandonRole', 'AlarmRole', 'StartRole', 'WatchRole', 'ApiRole'],
  ],
  [
    'leave something for people',
    () => ({ action: 'sqs:SendMessage', resource: policies.arn('BuriedQueue') }),
    ['StartRole', 'ScheduleRole'],
  ],
  ['take what is for people', () => ({ action: 'sqs:ReceiveMessage', resource: policies.arn('BuriedQueue') }), []],
  ['empty a queue', () => ({ action: 'sqs:PurgeQueue', resource: policies.arn('CommitQueue') }), []],
  [
    'send without TLS',
    () => ({
      action: 'sqs:SendMessage',
      resource: policies.arn('PlanQueue'),
      context: { 'aws:SecureTransport': 'false' },
    }),
    [],
  ],
]

function passRole(role: string, to: string): Call {
  return { action: 'iam:PassRole', resource: policies.arn(role), context: { 'iam:PassedToService': to } }
}

function ref(name: string): string {
  return String(policies.stack.resolve({ Ref: name }, name))
}

function runTask(definition: string): Call {
  return { action: 'ecs:RunTask', resource: ref(definition), context: { 'ecs:cluster': policies.arn('Cluster') } }
}

describe('of all roles only those that are named may', () => {
  it.each(matrix)('%s', (_what, call, allowed) => {
    const found = policies.roles.filter((role) => policies.ask(role, call()) === 'allowed')
    expect(found.toSorted()).toEqual(allowed.toSorted())
  })
})

/** What AWS knows no resource for, or no resource that could be named. */
const anyResource: Readonly<Record<string, string>> = {
  'ec2:CreateNetworkInterface': 'Lambda makes a function its way into a VPC; the function itself is denied it',
  'ec2:DescribeNetworkInterfaces': 'has no resource; the function itself is denied it',
  'ec2:DescribeSubnets': 'has no resource; the function itself is denied it',
  'ec2:DeleteNetworkInterface': 'names of interfaces are not known before; the function itself is denied it',
  'ec2:AssignPrivateIpAddresses': 'as above',
  'ec2:UnassignPrivateIpAddresses': 'as above',
  'ecr:GetAuthorizationToken': 'has no resource',
  'ecs:ListTasks': 'lists a cluster, which its condition names',
  'scheduler:ListSchedules': 'has no resource',
}

describe('every allowed statement', () => {
  it('names whole actions, and resources wherever AWS knows any', () => {
    for (const role of policies.roles) {
      for (const { Effect, Action, Resource } of policies.statementsOf(role)) {
        if (Effect === 'Deny') continue
        for (const action of [Action].flat()) {
          expect(action, role).not.toMatch(/[*?]/)
          if ([Resource].flat().includes('*')) expect(Object.keys(anyResource), role).toContain(action)
        }
      }
    }
  })

  it("keeps Lambda's own calls to the network from the code of functions", () => {
    const fromCode = { 'lambda:SourceFunctionArn': policies.arn('PlanLambdaFunction') }
    const call = { action: 'ec2:CreateNetworkInterface', resource: '*' }
    expect(policies.ask('PlanRole', call)).toBe('allowed')
    expect(policies.ask('PlanRole', { ...call, context: fromCode })).toBe('denied')
  })
})
