// The resolver on templates of its own: what CloudFormation documents for each intrinsic function, and refusals.

import { describe, expect, it } from 'vitest'
import { physicalIds } from './physical.ts'
import { openStack, type Surroundings } from './resolve.ts'
import type { Json, Template } from './template.ts'

const place = {
  region: 'eu-central-1',
  account: '000000000000',
  stackName: 'test',
  queueBase: 'http://127.0.0.1:1',
  apiBase: 'http://127.0.0.1:2',
}

const template: Template = {
  Parameters: {
    Stage: { Type: 'String', Default: 'dev' },
    Size: { Type: 'Number', Default: 7 },
    Subnets: { Type: 'List<AWS::EC2::Subnet::Id>', Default: 'subnet-1, subnet-2' },
    Nobody: { Type: 'CommaDelimitedList', Default: '' },
    Image: { Type: 'AWS::SSM::Parameter::Value<String>', Default: '/image' },
    Missing: { Type: 'String', AllowedPattern: '[a-z]+' },
    Few: { Type: 'String', AllowedValues: ['on', 'off'], Default: 'on' },
  },
  Mappings: { Sizes: { dev: { memory: 512, list: ['a'] } } },
  Conditions: {
    IsDev: { 'Fn::Equals': [{ Ref: 'Stage' }, 'dev'] },
    IsNot: { 'Fn::Not': [{ Condition: 'IsDev' }] },
    Both: { 'Fn::And': [{ Condition: 'IsDev' }, { 'Fn::Equals': [{ Ref: 'Size' }, '7'] }] },
    Either: { 'Fn::Or': [{ Condition: 'IsNot' }, { Condition: 'Both' }] },
    Round: { 'Fn::Not': [{ Condition: 'About' }] },
    About: { 'Fn::Not': [{ Condition: 'Round' }] },
  },
  Resources: {
    Queue: { Type: 'AWS::SQS::Queue', Properties: { VisibilityTimeout: { Ref: 'Size' } } },
    Named: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'named' } },
    Absent: { Type: 'AWS::SQS::Queue', Condition: 'IsNot' },
    Odd: { Type: 'AWS::Odd::Thing' },
  },
}

function stackWith(changes: Partial<Surroundings> = {}) {
  return openStack(template, {
    parameters: {},
    pseudo: { 'AWS::Region': place.region, 'AWS::AccountId': place.account },
    imports: { 'other-Vpc': 'vpc-9' },
    dynamic: { 'ssm:/image': 'image:1', 'secretsmanager:db:SecretString:user': 'root' },
    zones: ['eu-central-1a', 'eu-central-1b'],
    ...physicalIds(place),
    ...changes,
  })
}

const resolve = (value: Json) => stackWith().resolve(value, 'test')

describe('the resolver', () => {
  it('gives what each intrinsic function stands for', () => {
    expect(resolve({ Ref: 'Stage' })).toBe('dev')
    expect(resolve({ Ref: 'Subnets' })).toEqual(['subnet-1', 'subnet-2'])
    expect(resolve({ Ref: 'Nobody' })).toEqual([])
    expect(resolve({ Ref: 'Image' })).toBe('image:1')
    expect(resolve({ Ref: 'AWS::Region' })).toBe('eu-central-1')
    expect(resolve({ Ref: 'Named' })).toBe('http://127.0.0.1:1/000000000000/named')
    expect(resolve({ 'Fn::GetAtt': ['Named', 'Arn'] })).toBe('arn:aws:sqs:eu-central-1:000000000000:named')
    expect(resolve({ 'Fn::GetAtt': 'Named.QueueName' })).toBe('named')
    expect(resolve({ 'Fn::Join': [',', { Ref: 'Subnets' }] })).toBe('subnet-1,subnet-2')
    expect(resolve({ 'Fn::Select': [1, { 'Fn::Split': ['/', 'a/b/c'] }] })).toBe('b')
    expect(resolve({ 'Fn::Select': ['0', { 'Fn::GetAZs': '' }] })).toBe('eu-central-1a')
    expect(resolve({ 'Fn::FindInMap': ['Sizes', { Ref: 'Stage' }, 'memory'] })).toBe(512)
    expect(resolve({ 'Fn::ImportValue': { 'Fn::Sub': 'other-Vpc' } })).toBe('vpc-9')
    expect(resolve({ 'Fn::Base64': 'abc' })).toBe('YWJj')
    expect(resolve('x {{resolve:secretsmanager:db:SecretString:user}}')).toBe('x root')
  })

  it('puts values into texts, and leaves what is escaped', () => {
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: CloudFormation's own syntax.
    expect(resolve({ 'Fn::Sub': '${Stage}-${Named.Arn}-${!Literal}' })).toBe(
      'dev-arn:aws:sqs:eu-central-1:000000000000:named-${Literal}',
    )
    expect(resolve({ 'Fn::Sub': ['${Own} ${AWS::AccountId}', { Own: { Ref: 'Size' } }] })).toBe('7 000000000000')
    expect(() => resolve({ 'Fn::Sub': '${Subnets}' })).toThrow('["subnet-1","subnet-2"] is not a text')
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: CloudFormation's own syntax.
  })

  it('judges conditions, and takes away what has no value', () => {
    const stack = stackWith()
    expect(['IsDev', 'IsNot', 'Both', 'Either'].map((name) => stack.condition(name))).toEqual([true, false, true, true])
    expect(stackWith({ parameters: { Stage: 'prod' } }).ofType('AWS::SQS::Queue')).toEqual(['Queue', 'Named', 'Absent'])
    expect(stack.ofType('AWS::SQS::Queue')).toEqual(['Queue', 'Named'])
    const ifNot = (yes: Json, no: Json): Json => ({ 'Fn::If': ['IsNot', yes, no] })
    expect(resolve({ a: ifNot('yes', { Ref: 'AWS::NoValue' }), b: [ifNot({ Ref: 'AWS::NoValue' }, 1)] })).toEqual({
      b: [1],
    })
    // Only the branch that is taken is looked at.
    expect(resolve(ifNot({ Ref: 'Absent' }, 'here'))).toBe('here')
    expect(() => resolve({ Ref: 'AWS::NoValue' })).toThrow('AWS::NoValue leaves no value here')
  })

  it('refuses values that a parameter does not allow, and parameters that are not there', () => {
    expect(() => stackWith({ parameters: { Missing: 'a1' } })).toThrow('"Missing" may not be "a1"')
    expect(() => stackWith({ parameters: { Few: 'maybe' } })).toThrow('"Few" may not be "maybe"')
    expect(() => stackWith({ parameters: { Fewer: 'on' } })).toThrow('no parameter "Fewer"')
    expect(stackWith({ parameters: { Missing: 'a' } }).resolve({ Ref: 'Missing' }, 'test')).toBe('a')
  })

  it('leaves what only looks like an intrinsic function: a policy has conditions of its own', () => {
    const statement = { Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }
    expect(resolve(statement)).toEqual(statement)
    expect(resolve({ Condition: { Bool: {} } })).toEqual({ Condition: { Bool: {} } })
  })

  it.each<readonly [Json, string]>([
    [{ 'Fn::Cidr': ['10.0.0.0/16', 2, 8] }, '"Fn::Cidr" is not known here'],
    [{ 'Fn::Transform': {} }, '"Fn::Transform" is not known here'],
    [{ Ref: 'Nowhere' }, 'there is no resource "Nowhere"'],
    [{ Ref: 'constructor' }, 'there is no resource "constructor"'],
    [{ Ref: 'Missing' }, 'the parameter "Missing" has no value'],
    [{ Ref: 'AWS::Moon' }, 'the pseudo parameter "AWS::Moon" is not known here'],
    [{ Ref: 'Absent' }, 'the resource "Absent" is not made: "IsNot" is false'],
    [{ Ref: 'Odd' }, 'nobody knows the id of "Odd"'],
    [{ 'Fn::GetAtt': ['Named', 'Colour'] }, 'nobody knows the attribute "Colour" of "Named"'],
    [{ 'Fn::If': ['Nothing', 1, 2] }, 'there is no condition "Nothing"'],
    [{ 'Fn::If': ['Round', 1, 2] }, 'asks for itself'],
    [{ 'Fn::ImportValue': 'nobody' }, 'no stack exports "nobody"'],
    [{ 'Fn::FindInMap': ['Sizes', 'prod', 'memory'] }, 'there is no "Sizes.prod.memory" in Mappings'],
    [{ 'Fn::Select': [2, ['a']] }, 'there is no item 2'],
    [{ Ref: 'Stage', Other: 1 }, '"Ref" stands beside "Other"'],
    ['{{resolve:ssm:/gone}}', 'there is no "ssm:/gone"'],
  ])('refuses %j', (value, message) => {
    expect(() => resolve({ deep: [value] })).toThrow(message)
    expect(() => resolve({ deep: [value] })).toThrow(/^Cannot resolve /)
  })
})
