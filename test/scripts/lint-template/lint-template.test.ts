// The template's judge, on a small stack that is right and on one mistake of every kind in it: each must be found, and nothing else.

import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lintPlainTemplate, PLAIN_TEMPLATES } from '../../../scripts/lint-template.ts'
import { checkReferences } from '../../../scripts/template/references.ts'
import { checkRules } from '../../../scripts/template/rules.ts'
import { checkShapes } from '../../../scripts/template/shapes.ts'
import { parseTemplateJson, parseTemplateYaml } from '../../../scripts/template/template.ts'
import { add, allow, arn, both, goodStack, hole, type Mistake, put, type Tree } from './good-stack.ts'

const root = dirname(dirname(dirname(import.meta.dirname)))

function judge(stack: Tree): readonly string[] {
  const template = parseTemplateJson(JSON.stringify(stack))
  return [...checkShapes(template), ...checkReferences(template), ...checkRules(template)].map(
    ({ path, message }) => `${path}: ${message}`,
  )
}

const sendTo = (queue: string) => allow('sqs:SendMessage', arn(queue))
const statements = 'StageRole.Policies.0.PolicyDocument.Statement'
const anybody = { Statement: [{ Effect: 'Allow', Principal: '*', Action: 'sts:AssumeRole' }] }

const shapes: readonly Mistake[] = [
  [
    'a property that a type does not have',
    put('Table.BilingMode', 'X'),
    'Resources.Table.Properties.BilingMode: there is no such property; "BillingMode" is one',
  ],
  [
    'one deep inside',
    put('Stage.Environment.Varables', {}),
    'Environment.Varables: there is no such property; "Variables" is one',
  ],
  [
    'a property that is missing',
    put('Store.OwnershipControls', {}),
    'Resources.Store.Properties.OwnershipControls: the property "Rules" is missing',
  ],
  [
    'a property that NoValue takes away',
    put('Stage.Code', { Ref: 'AWS::NoValue' }),
    'Resources.Stage.Properties: the property "Code" is missing',
  ],
  [
    'a number that is none',
    put('LastQueue.DelaySeconds', 'soon'),
    'Resources.LastQueue.Properties.DelaySeconds: must be a whole number',
  ],
  [
    'a truth that is none',
    put('LastQueue.SqsManagedSseEnabled', 'yes'),
    'Resources.LastQueue.Properties.SqsManagedSseEnabled: must be true or false',
  ],
  [
    'one thing for a list',
    put('Table.AttributeDefinitions', 'pk'),
    'Resources.Table.Properties.AttributeDefinitions: must be a list',
  ],
  ['a list for one thing', put('Stage.Handler', ['a']), 'Resources.Stage.Properties.Handler: must be a text'],
  [
    'a text for properties',
    put('Store.VersioningConfiguration', 'Enabled'),
    'Resources.Store.Properties.VersioningConfiguration: must have properties',
  ],
  [
    'a value that the specification does not know',
    put('Stage.RecursiveLoop', 'Allowed'),
    'Resources.Stage.Properties.RecursiveLoop: is "Allowed", may be Allow, Terminate',
  ],
  [
    'a value that AWS does not know',
    put('Table.BillingMode', 'PER_REQUEST'),
    'Resources.Table.Properties.BillingMode: is "PER_REQUEST", may be PAY_PER_REQUEST, PROVISIONED',
  ],
  [
    'a value in a branch that AWS does not know',
    put('Table.BillingMode', { 'Fn::If': ['AtB', 'PROVISIONED', 'FREE'] }),
    'BillingMode.Fn::If[2]: is "FREE", may be PAY_PER_REQUEST, PROVISIONED',
  ],
  [
    'a list function for one thing',
    put('Stage.Handler', { 'Fn::Split': [',', 'a,b'] }),
    'Resources.Stage.Properties.Handler: Fn::Split gives list, this needs one',
  ],
  [
    'a reference to one thing for a list',
    put('QueuePolicy.Queues', { Ref: 'StageQueue' }),
    'Resources.QueuePolicy.Properties.Queues: Ref gives one, this needs list',
  ],
  [
    'a type that AWS does not have',
    put('/Resources.Topic.Type', 'AWS::SNS::Topics'),
    'Resources.Topic: there is no resource type "AWS::SNS::Topics"',
  ],
  [
    'a parameter without a description',
    put('/Parameters.Place.Description', undefined),
    'Parameters.Place: has no description',
  ],
  [
    'a parameter of no type',
    put('/Parameters.Place.Type', 'Text'),
    'Parameters.Place: there is no parameter type "Text"',
  ],
  [
    'a default that is not allowed',
    put('/Parameters.Place.Default', 'c'),
    'Parameters.Place: its default "c" is not among its allowed values',
  ],
  [
    'a default that does not match',
    put('/Parameters.Place.AllowedPattern', '[b-z]'),
    'Parameters.Place: its default "a" does not match its pattern',
  ],
]

const references: readonly Mistake[] = [
  [
    'a reference to nothing',
    put('QueuePolicy.Queues.2', { Ref: 'Queue' }),
    'Resources.QueuePolicy.Properties.Queues[2]: there is no parameter and no resource "Queue"',
  ],
  [
    'a pseudo parameter that is none',
    put('Topic.TopicName', { Ref: 'AWS::Stack' }),
    'Resources.Topic.Properties.TopicName: there is no pseudo parameter "AWS::Stack"',
  ],
  [
    'an attribute of nothing',
    put('Topic.TopicName', arn('Queue')),
    'Resources.Topic.Properties.TopicName: there is no resource "Queue"',
  ],
  [
    'an attribute that a type does not have',
    put('Topic.TopicName', { 'Fn::GetAtt': ['LastQueue', 'Url'] }),
    '"AWS::SQS::Queue" has no attribute "Url"',
  ],
  [
    'a text with an attribute that a type does not have',
    put('Topic.TopicName', { 'Fn::Sub': hole('LastQueue.Url') }),
    '"AWS::SQS::Queue" has no attribute "Url"',
  ],
  [
    'a text with a name that is not there',
    put('Topic.TopicName', { 'Fn::Sub': hole('Stag') }),
    'there is no parameter and no resource "Stag"',
  ],
  [
    'a value that a text does not have',
    put('Topic.TopicName', { 'Fn::Sub': ['a', { B: 'c' }] }),
    'Fn::Sub is given "B", which its text does not have',
  ],
  [
    'a wait for nothing',
    put('/Resources.Stage.DependsOn', ['Logs']),
    'Resources.Stage.DependsOn: there is no resource "Logs"',
  ],
  [
    'a condition that is not there',
    put('/Resources.Images.Condition', 'AtC'),
    'Resources.Images.Condition: there is no condition "AtC"',
  ],
  [
    'a choice by a condition that is not there',
    put('Topic.DisplayName', { 'Fn::If': ['AtC', 'a', 'b'] }),
    'Resources.Topic.Properties.DisplayName: there is no condition "AtC"',
  ],
  [
    'a use of what may not be made',
    put('Topic.TopicName', { Ref: 'Key' }),
    'Resources.Topic.Properties.TopicName: "Key" is made only where "AtB" holds, and this is used without asking',
  ],
  [
    'an output of what may not be made',
    put('/Outputs', { Key: { Value: { Ref: 'Key' } } }),
    'Outputs.Key.Value: "Key" is made only where "AtB" holds',
  ],
  [
    'an output of nothing',
    put('/Outputs', { Key: { Value: { Ref: 'Lock' } } }),
    'Outputs.Key.Value: there is no parameter and no resource "Lock"',
  ],
  [
    'a parameter that nothing uses',
    put('/Parameters.Size', { Type: 'Number', Description: 'How large.' }),
    'Parameters.Size: nothing uses this parameter',
  ],
  [
    'a condition that nothing uses',
    put('/Conditions.Large', { 'Fn::Equals': ['a', 'b'] }),
    'Conditions.Large: nothing uses this condition',
  ],
  [
    'a function that does not exist',
    put('Topic.TopicName', { 'Fn::Concat': ['a', 'b'] }),
    'Resources.Topic.Properties.TopicName: there is no intrinsic function "Fn::Concat"',
  ],
  [
    'a function beside other keys',
    put('Topic.TopicName', { Ref: 'Place', Default: 'a' }),
    'Resources.Topic.Properties.TopicName: an intrinsic function stands beside other keys',
  ],
  ['a circle', put('/Resources.StageRole.DependsOn', 'Stage'), 'waits for itself: StageRole → Stage → StageRole'],
]

const rules: readonly Mistake[] = [
  [
    'a queue that hides too short',
    put('StageQueue.VisibilityTimeout', 179),
    'Resources.StageQueue: hides a message for 179 s, "Stage" may take 30 s: must be six times that',
  ],
  [
    'a source that fails whole batches',
    put('StageSource.FunctionResponseTypes', undefined),
    'Resources.StageSource: does not report single failures of a batch',
  ],
  [
    'a source without a bound',
    put('StageSource.ScalingConfig', undefined),
    'Resources.StageSource: has no MaximumConcurrency',
  ],
  [
    'a queue without dead letters',
    put('StageQueue.RedrivePolicy', undefined),
    'Resources.StageQueue: has no dead letters, and a function that takes from it',
  ],
  [
    'dead letters that are kept shorter',
    put('LastQueue.MessageRetentionPeriod', 60),
    'Resources.StageQueue: keeps messages longer than the queue of its dead letters',
  ],
  [
    'a role of two functions',
    (stack) => put('/Resources.Other', { ...Object(stack['Resources'])['Stage'], DependsOn: [] })(stack),
    'Resources.Other: shares the role "StageRole" with "Stage"',
  ],
  [
    'a function without a log group',
    put('StageLogs.LogGroupName', '/aws/lambda/stages'),
    'Resources.Stage: has no log group "/aws/lambda/stage": Lambda would make one that is kept for ever',
  ],
  [
    'a loop without leave',
    put('Stage.RecursiveLoop', undefined),
    'Resources.Stage: sends to the queue it takes from, and AWS would stop it',
  ],
  [
    'leave to loop without a loop',
    both(put('Stage.Environment.Variables', {}), put(statements, [])),
    'Resources.Stage: has RecursiveLoop "Allow" and does not send to a queue it takes from',
  ],
  [
    'a queue that the role may not send to',
    put('Stage.Environment.Variables.COLDFRAME_LAST_QUEUE', { Ref: 'LastQueue' }),
    'Resources.Stage: is told of "LastQueue", and its role may not send there',
  ],
  [
    'a queue that is allowed and not told',
    add(statements, sendTo('LastQueue')),
    'Resources.Stage: may send to "LastQueue", and is not told of it',
  ],
  [
    'a secret in the environment',
    put('Stage.Environment.Variables.COLDFRAME_PASSWORD', 'x'),
    'Resources.Stage: holds a secret in its variable "COLDFRAME_PASSWORD"',
  ],
  [
    'a secret in a task',
    put('Task.ContainerDefinitions.0.Environment', [{ Name: 'A', Value: '-----BEGIN KEY' }]),
    'Resources.Task: holds a secret in its variable "A"',
  ],
  [
    'a role that anybody may take',
    put('StageRole.AssumeRolePolicyDocument', anybody),
    'Resources.StageRole: may be taken by more than one service or by anybody',
  ],
  [
    'a bucket that listens without TLS',
    put('StorePolicy.PolicyDocument.Statement', []),
    'Resources.Store: has no policy that refuses what does not come by TLS',
  ],
  [
    'a queue that no policy speaks of',
    put('QueuePolicy.Queues', [{ Ref: 'StageQueue' }]),
    'Resources.LastQueue: has no policy that refuses what does not come by TLS',
  ],
  [
    'a topic that refuses TLS',
    put('TopicPolicy.PolicyDocument.Statement.0.Condition.Bool.aws:SecureTransport', 'true'),
    'Resources.Topic: has no policy that refuses what does not come by TLS',
  ],
]

describe('a stack that is right', () => {
  it('has no faults', () => expect(judge(goodStack())).toEqual([]))
})

describe('a mistake is found:', () => {
  it.each([...shapes, ...references, ...rules])('%s', (_name, make, found) => {
    const stack = goodStack()
    make(stack)
    const faults = judge(stack)
    expect(faults.filter((fault) => fault.includes(found))).toHaveLength(1)
  })
})

describe('short forms in YAML', () => {
  it('mean what the long ones do', () => {
    const text = `
Resources:
  A:
    Type: AWS::SNS::Topic
    Properties:
      TopicName: !Join ["-", [!Ref AWS::StackName, !GetAtt B.QueueName, !Sub "\${B.Arn}", !If [C, !Sub ["\${x}", {x: !Ref D}], 1]]]`
    expect(parseTemplateYaml(text).Resources['A']?.properties).toEqual({
      TopicName: {
        'Fn::Join': [
          '-',
          [
            { Ref: 'AWS::StackName' },
            { 'Fn::GetAtt': 'B.QueueName' },
            { 'Fn::Sub': hole('B.Arn') },
            { 'Fn::If': ['C', { 'Fn::Sub': [hole('x'), { x: { Ref: 'D' } }] }, 1] },
          ],
        ],
      },
    })
  })
})

describe.each(PLAIN_TEMPLATES)('%s', (name) => {
  it('has no faults', async () => {
    const { faults, resources } = await lintPlainTemplate(join(root, name), root)
    expect(faults).toEqual([])
    expect(resources).toBeGreaterThan(0)
  })
})
