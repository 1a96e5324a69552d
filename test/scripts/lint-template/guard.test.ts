// The rules of infra/guard, by the real cfn-guard, on a small stack that is right and on one mistake for every rule.

import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkByGuard } from '../../../scripts/template/guard.ts'
import { add, allow, goodStack, type Mistake, put, type Tree } from './good-stack.ts'

const rulesFolder = join(dirname(dirname(dirname(import.meta.dirname))), 'infra', 'guard')
const statements = 'StageRole.Policies.0.PolicyDocument.Statement'
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coldframe-guard-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function judge(stack: Tree) {
  const path = join(folder, 'stack.json')
  await writeFile(path, JSON.stringify(stack))
  return await checkByGuard({ template: path, rules: rulesFolder })
}

function managed(action: string): Tree {
  return {
    Type: 'AWS::IAM::ManagedPolicy',
    Properties: { PolicyDocument: { Statement: [allow('s3:GetObject', 'x'), allow(action, 'x')] } },
  }
}

/** The last word is the rule that must find it, and no other may. */
const mistakes: readonly Mistake[] = [
  ['a bucket that is not encrypted', put('Store.BucketEncryption', undefined), 'buckets_are_encrypted'],
  ['a public repository', put('Store.PublicAccessBlockConfiguration.BlockPublicPolicy', false), 'repository_is_closed'],
  ['a repository that goes with its stack', put('/Resources.Store.DeletionPolicy', 'Delete'), 'repository_is_kept'],
  [
    'a repository with a default lock',
    put('Store.ObjectLockConfiguration.Rule', { DefaultRetention: { Mode: 'COMPLIANCE', Days: 1 } }),
    'repository_is_kept',
  ],
  ['a repository without versions', put('Store.VersioningConfiguration.Status', 'Suspended'), 'repository_is_kept'],
  ['a queue that is not encrypted', put('LastQueue.SqsManagedSseEnabled', false), 'queues_are_encrypted'],
  [
    'a table without point-in-time recovery',
    put('Table.PointInTimeRecoverySpecification', undefined),
    'tables_are_encrypted_and_kept',
  ],
  ['a table that can be deleted', put('Table.DeletionProtectionEnabled', false), 'tables_are_encrypted_and_kept'],
  ['a log that is kept for ever', put('StageLogs.RetentionInDays', undefined), 'logs_end'],
  ['a key that does not rotate', put('Key.EnableKeyRotation', false), 'keys_rotate_and_are_kept'],
  ['images that are not scanned', put('Images.ImageScanningConfiguration.ScanOnPush', false), 'images_are_scanned'],
  ['an action with a wildcard', add(statements, allow('s3:*', 'x')), 'roles_name_their_actions'],
  [
    'an action with a wildcard in a list',
    add(statements, { ...allow('', 'x'), Action: ['s3:GetObject', 's3:Put*'] }),
    'roles_name_their_actions',
  ],
  [
    'everything but something',
    add(statements, { ...allow('a:b', 'x'), NotAction: 's3:GetObject' }),
    'roles_name_their_actions',
  ],
  [
    'everything, in a managed policy',
    put('/Resources.Managed', managed('ec2:*')),
    'managed_policies_name_their_actions',
  ],
  [
    'a policy of somebody else',
    put('StageRole.ManagedPolicyArns', ['arn:aws:iam::aws:policy/AdministratorAccess']),
    'roles_have_no_policies_of_others',
  ],
  ['a role that deletes', add(statements, allow('s3:DeleteObject', 'x')), 'roles_do_not_delete_or_administer'],
  [
    'a role that deletes state',
    add(statements, { ...allow('', 'x'), Action: ['dynamodb:DeleteTable'] }),
    'roles_do_not_delete_or_administer',
  ],
  ['a role that takes others', add(statements, allow('sts:AssumeRole', 'x')), 'roles_do_not_delete_or_administer'],
  [
    'a call by whomever',
    put('/Resources.Leave', { Type: 'AWS::Lambda::Permission', Properties: { Action: 'lambda:InvokeFunction' } }),
    'permissions_say_of_whom',
  ],
  [
    'a task that can write itself',
    put('Task.ContainerDefinitions.0.ReadonlyRootFilesystem', false),
    'tasks_cannot_write_themselves',
  ],
  [
    'a task without time to stop',
    put('Task.ContainerDefinitions.0.StopTimeout', undefined),
    'tasks_cannot_write_themselves',
  ],
  [
    'a door that is open to everybody',
    put('Group.SecurityGroupIngress.0.CidrIp', '0.0.0.0/0'),
    'groups_let_nobody_in_from_everywhere',
  ],
]

describe('a stack that is right', () => {
  it('passes all rules', async () => expect((await judge(goodStack())).faults).toEqual([]))
})

describe('a mistake is found by a rule of Guard:', () => {
  it.each(mistakes)('%s', async (_name, make, rule) => {
    const stack = goodStack()
    make(stack)
    const { faults } = await judge(stack)
    expect(new Set(faults.map(({ message }) => message.split(':')[0]))).toEqual(new Set([rule]))
    for (const { path } of faults) expect(path).toMatch(/^Resources\.\w+/)
  })
})

it('every rule has a mistake that it finds', () => {
  const texts = readdirSync(rulesFolder).map((name) => readFileSync(join(rulesFolder, name), 'utf8'))
  const rules = texts.flatMap((text) => [...text.matchAll(/^rule (\w+)/gm)].map(([, name]) => name))
  expect([...new Set(mistakes.map(([, , rule]) => rule))].toSorted()).toEqual(rules.toSorted())
})
