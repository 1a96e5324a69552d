// Every policy of the packaged stack, as AWS would have it in force, and a way to ask them.

import { physicalIds } from '../cloud/physical.ts'
import { isObject, openStack, type Stack } from '../cloud/resolve.ts'
import type { Json, Template } from '../cloud/template.ts'
import { TEST_ACCOUNT, TEST_REGION } from '../kit/aws/identity.ts'
import { type Answer, ask, type Request, type Statement } from './iam.ts'

export type StackPolicies = {
  readonly stack: Stack
  /** Logical names of roles. */
  readonly roles: readonly string[]
  readonly statementsOf: (role: string) => readonly Statement[]
  /** @param call.resource an ARN */
  readonly ask: (role: string, call: Omit<Request, 'principal'>) => Answer
  readonly arn: (logicalName: string) => string
  /** Of the policy of a bucket, for callers of another account. */
  readonly bucketStatements: (arn: string) => readonly Statement[]
}

export function stackPolicies(template: Template, parameters: Readonly<Record<string, string>>): StackPolicies {
  const place = { region: TEST_REGION, account: TEST_ACCOUNT, stackName: 'coldframe-dev' }
  const pseudo = {
    'AWS::Region': TEST_REGION,
    'AWS::AccountId': TEST_ACCOUNT,
    'AWS::Partition': 'aws',
    'AWS::StackName': place.stackName,
    'AWS::URLSuffix': 'amazonaws.com',
  }
  const stack = openStack(template, {
    ...{ parameters, pseudo, imports: {}, dynamic: {}, zones: ['a', 'b', 'c'] },
    ...physicalIds({ ...place, queueBase: 'https://sqs.example', apiBase: 'https://api.example' }),
  })
  const arn = (name: string) => String(stack.resolve({ 'Fn::GetAtt': [name, 'Arn'] }, name))
  const statementsOf = (role: string) => identityOf(role, stack)
  const resources = resourcePolicies(stack)
  return {
    stack,
    roles: stack.ofType('AWS::IAM::Role'),
    statementsOf,
    arn,
    bucketStatements: (bucket) =>
      resources.filter(({ covers }) => covers(bucket)).flatMap(({ statements }) => statements),
    ask: (role, call) => {
      const own = resources.filter(({ covers }) => covers(call.resource))
      return ask(
        { ...call, principal: arn(role) },
        {
          identity: statementsOf(role),
          resource: own.flatMap(({ statements }) => statements),
          resourceMustAllow: own.some(({ mustAllow }) => mustAllow),
        },
      )
    },
  }
}

function identityOf(role: string, stack: Stack): readonly Statement[] {
  const { Policies = [], ManagedPolicyArns = [] } = stack.properties(role)
  const inline = listOf(Policies).map((policy) => (isObject(policy) ? policy['PolicyDocument'] : undefined))
  const managed = stack
    .ofType('AWS::IAM::ManagedPolicy')
    .filter((name) => listOf(ManagedPolicyArns).includes(stack.resolve({ Ref: name }, name)))
    .map((name) => stack.properties(name)['PolicyDocument'])
  const attached = [...stack.ofType('AWS::IAM::Policy'), ...stack.ofType('AWS::IAM::ManagedPolicy')]
    .map((name) => stack.properties(name))
    .filter(({ Roles }) => listOf(Roles).includes(stack.resolve({ Ref: role }, role)))
    .map(({ PolicyDocument }) => PolicyDocument)
  return [...inline, ...managed, ...attached].flatMap(statementsIn)
}

type ResourcePolicy = {
  readonly covers: (arn: string) => boolean
  readonly statements: readonly Statement[]
  /** Whether the account's own policies are not enough. */
  readonly mustAllow: boolean
}

function resourcePolicies(stack: Stack): readonly ResourcePolicy[] {
  const arnOf = (name: string) => String(stack.resolve({ 'Fn::GetAtt': [name, 'Arn'] }, name))
  const documents = (type: string) => stack.ofType(type).map((name) => stack.properties(name))
  const buckets = documents('AWS::S3::BucketPolicy').map(({ Bucket, PolicyDocument }) => ({
    covers: (arn: string) =>
      arn === `arn:aws:s3:::${String(Bucket)}` || arn.startsWith(`arn:aws:s3:::${String(Bucket)}/`),
    statements: statementsIn(PolicyDocument),
    mustAllow: false,
  }))
  const keys = stack.ofType('AWS::KMS::Key').map((name) => ({
    covers: (arn: string) => arn === arnOf(name),
    statements: statementsIn(stack.properties(name)['KeyPolicy']),
    mustAllow: true,
  }))
  const queues = documents('AWS::SQS::QueuePolicy').map(({ Queues, PolicyDocument }) => {
    const arns = stack
      .ofType('AWS::SQS::Queue')
      .filter((name) => listOf(Queues).includes(stack.resolve({ Ref: name }, name)))
      .map(arnOf)
    return { covers: (arn: string) => arns.includes(arn), statements: statementsIn(PolicyDocument), mustAllow: false }
  })
  return [...buckets, ...keys, ...queues]
}

function statementsIn(document: Json | undefined): readonly Statement[] {
  const statements = isObject(document ?? null) ? (document as Readonly<Record<string, Json>>)['Statement'] : []
  return listOf(statements) as unknown as readonly Statement[]
}

function listOf(value: Json | undefined): readonly Json[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : [value as Json]
}
