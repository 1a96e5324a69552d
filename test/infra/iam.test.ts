// The evaluator on cases that the IAM and S3 user guides decide in words.

import { describe, expect, it } from 'vitest'
import { ask, type Request, type Statement } from './iam.ts'

const role = 'arn:aws:iam::111122223333:role/worker'
const allow = (rest: Partial<Statement>): Statement => ({
  Effect: 'Allow',
  Action: 's3:GetObject',
  Resource: '*',
  ...rest,
})
const deny = (rest: Partial<Statement>): Statement => ({ ...allow(rest), Effect: 'Deny' })
const get = (rest: Partial<Request> = {}): Request => ({
  action: 's3:GetObject',
  resource: 'arn:aws:s3:::bucket/a/b',
  principal: role,
  ...rest,
})

describe('ask()', () => {
  it('does not allow what nothing says', () => expect(ask(get(), { identity: [] })).toBe('not allowed'))
  it('allows what the role may', () => expect(ask(get(), { identity: [allow({})] })).toBe('allowed'))
  it('lets a denial win over an allowance, wherever it stands', () => {
    expect(ask(get(), { identity: [allow({}), deny({})] })).toBe('denied')
    expect(ask(get(), { identity: [allow({})], resource: [deny({ Principal: '*' })] })).toBe('denied')
  })
  it('takes actions for the same in any case, resources not', () => {
    expect(ask(get({ action: 'S3:getobject' }), { identity: [allow({})] })).toBe('allowed')
    expect(ask(get(), { identity: [allow({ Resource: 'arn:aws:s3:::Bucket/*' })] })).toBe('not allowed')
  })
  it('lets a star cross slashes in a resource, and a question mark stand for one character', () => {
    expect(ask(get(), { identity: [allow({ Resource: 'arn:aws:s3:::bucket/*' })] })).toBe('allowed')
    expect(ask(get(), { identity: [allow({ Resource: 'arn:aws:s3:::bucket/?/?' })] })).toBe('allowed')
    expect(ask(get(), { identity: [allow({ Resource: 'arn:aws:s3:::bucket/?' })] })).toBe('not allowed')
    expect(ask(get(), { identity: [allow({ Action: 's3:Get*' })] })).toBe('allowed')
    expect(ask(get(), { identity: [allow({ Action: 's3:Put*' })] })).toBe('not allowed')
  })
  it('lets in by a policy of the resource that names the role, not by one that names its account', () => {
    const byName = [allow({ Principal: { AWS: role } })]
    const byAccount = [allow({ Principal: { AWS: 'arn:aws:iam::111122223333:root' } })]
    expect(ask(get(), { identity: [], resource: byName })).toBe('allowed')
    expect(ask(get(), { identity: [], resource: byAccount })).toBe('not allowed')
    expect(ask(get(), { identity: [allow({})], resource: byAccount, resourceMustAllow: true })).toBe('allowed')
    expect(ask(get(), { identity: [allow({})], resource: [], resourceMustAllow: true })).toBe('not allowed')
    const stranger = [allow({ Principal: { AWS: 'arn:aws:iam::444455556666:root' } })]
    expect(ask(get(), { identity: [allow({})], resource: stranger, resourceMustAllow: true })).toBe('not allowed')
    expect(ask(get(), { identity: [], resource: [allow({ Principal: { Service: 'events.amazonaws.com' } })] })).toBe(
      'not allowed',
    )
  })
})

describe('conditions', () => {
  const answers = (Condition: Statement['Condition'] & {}, context: Request['context'] & {}) =>
    ask(get({ context }), { identity: [allow({ Condition })] }) === 'allowed'

  it('all must hold; one of several values is enough', () => {
    const both = { StringEquals: { 'a:b': ['1', '2'] }, Bool: { 'a:c': 'true' } }
    expect(answers(both, { 'a:b': '2', 'a:c': 'true' })).toBe(true)
    expect(answers(both, { 'a:b': '2', 'a:c': 'false' })).toBe(false)
    expect(answers(both, { 'a:b': '3', 'a:c': 'true' })).toBe(false)
  })
  it('an absent key fails an operator, and satisfies its negation', () => {
    expect(answers({ StringEquals: { 'a:b': '1' } }, {})).toBe(false)
    expect(answers({ StringNotEquals: { 'a:b': '1' } }, {})).toBe(true)
    expect(answers({ NumericGreaterThan: { 'a:b': '1' } }, {})).toBe(false)
    expect(answers({ StringEqualsIfExists: { 'a:b': '1' } }, {})).toBe(true)
  })
  it('a negated operator wants none of its values', () => {
    expect(answers({ StringNotEquals: { 'a:b': ['1', '2'] } }, { 'a:b': '2' })).toBe(false)
    expect(answers({ StringNotLike: { 'a:b': 'x*' } }, { 'a:b': 'y' })).toBe(true)
  })
  it('Null asks whether a key is there', () => {
    expect(answers({ Null: { 'a:b': 'true' } }, {})).toBe(true)
    expect(answers({ Null: { 'a:b': 'true' } }, { 'a:b': '' })).toBe(false)
    expect(answers({ Null: { 'a:b': 'false' } }, { 'a:b': '' })).toBe(true)
  })
  it('ForAllValues wants every value, and is content with none; ForAnyValue wants one', () => {
    const all = { 'ForAllValues:StringLike': { 'a:b': 'x#*' } }
    expect(answers(all, { 'a:b': ['x#1', 'x#2'] })).toBe(true)
    expect(answers(all, { 'a:b': ['x#1', 'y#2'] })).toBe(false)
    expect(answers(all, {})).toBe(true)
    const any = { 'ForAnyValue:StringLike': { 'a:b': 'x#*' } }
    expect(answers(any, { 'a:b': ['x#1', 'y#2'] })).toBe(true)
    expect(answers(any, { 'a:b': ['y#2'] })).toBe(false)
    expect(answers(any, {})).toBe(false)
    expect(answers({ 'ForAllValues:StringNotLike': { 'a:b': 'x#*' } }, { 'a:b': ['y#1', 'x#2'] })).toBe(false)
  })
  it('ARNs are compared part by part', () => {
    const arn = { ArnLike: { 'a:b': 'arn:aws:sqs:*:111122223333:*' } }
    expect(answers(arn, { 'a:b': 'arn:aws:sqs:eu-west-1:111122223333:q' })).toBe(true)
    expect(answers(arn, { 'a:b': 'arn:aws:sqs:eu-west-1:444455556666:111122223333:q' })).toBe(false)
  })
  it('numbers are compared as numbers', () => {
    expect(answers({ NumericLessThan: { 's3:TlsVersion': '1.2' } }, { 's3:TlsVersion': '1.1' })).toBe(true)
    expect(answers({ NumericGreaterThan: { 'a:days': '90' } }, { 'a:days': '100' })).toBe(true)
  })
  it('what is not known is an error', () => {
    expect(() => answers({ IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, {})).toThrow('IpAddress')
    expect(() => ask(get(), { identity: [allow({ Resource: `arn:aws:s3:::bucket/\${${'aws:username'}}` })] })).toThrow(
      'variable',
    )
    const other = { ...allow({}), NotAction: 's3:*' }
    expect(() => ask(get(), { identity: [other] })).toThrow('NotAction')
  })
})

// S3 user guide, "Enforce conditional writes on Amazon S3 buckets".
describe('the example of the S3 guide that wants conditional writes', () => {
  const policy = [deny({ Principal: '*', Action: 's3:PutObject', Condition: { Null: { 's3:if-none-match': 'true' } } })]
  const put = (context: Request['context'] & {}) =>
    ask(get({ action: 's3:PutObject', context }), { identity: [allow({ Action: 's3:PutObject' })], resource: policy })

  it('refuses a write without the header and allows one with it', () => {
    expect(put({})).toBe('denied')
    expect(put({ 's3:if-none-match': '*' })).toBe('allowed')
  })
})
