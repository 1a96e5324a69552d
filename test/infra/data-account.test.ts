// The bucket of infra/data-account.yml, asked by roles of the other account that may do anything there: what its own policy still keeps.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseTemplateYaml } from '../../scripts/template/template.ts'
import type { Template } from '../cloud/template.ts'
import { ask, type Request } from './iam.ts'
import { stackPolicies } from './stack-policies.ts'

const text = readFileSync(join(import.meta.dirname, '..', '..', 'infra', 'data-account.yml'), 'utf8')
const { Resources, Conditions, Parameters } = parseTemplateYaml(text)
const template = {
  Parameters,
  Conditions,
  Resources: Object.fromEntries(
    Object.entries(Resources).map(([name, { type, properties, condition }]) => [
      name,
      { Type: type, Properties: properties, ...(condition === null ? {} : { Condition: condition }) },
    ]),
  ),
} as unknown as Template

const engine = 'arn:aws:iam::444455556666:role'
const policies = stackPolicies(template, {
  EngineAccount: '444455556666',
  EngineStack: 'coldframe-prod',
  SweepPrincipal: 'arn:aws:iam::111122223333:role/sweeper',
})
const bucket = policies.arn('RepositoryStore')
const once = { 's3:if-none-match': '*' }

/** As a role of the engine's account whose own policies allow everything. */
function asEngine(role: string, call: Omit<Request, 'principal'>) {
  return ask(
    { ...call, principal: `${engine}/${role}` },
    {
      identity: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
      resource: policies.bucketStatements(bucket),
      resourceMustAllow: true,
    },
  )
}

const put = (key: string) => ({ action: 's3:PutObject', resource: `${bucket}/${key}`, context: once })
const call = (action: string, key = 'p/00/a') => ({ action: `s3:${action}`, resource: `${bucket}/${key}` })

describe("the engine's roles", () => {
  const mover = 'coldframe-prod-MoverTaskRole-1A2B'
  it('add and read', () => {
    expect(asEngine(mover, put('p/00/a'))).toBe('allowed')
    expect(asEngine(mover, call('GetObject'))).toBe('allowed')
    expect(asEngine(mover, call('PutObjectRetention'))).toBe('allowed')
  })
  it.each(['GetBucketVersioning', 'GetBucketObjectLockConfiguration', 'GetBucketPublicAccessBlock'])(
    'see how the bucket is set up: %s',
    (action) => {
      expect(asEngine('coldframe-prod-SetupRole-1A2B', { action: `s3:${action}`, resource: bucket })).toBe('allowed')
    },
  )
  it.each(['DeleteObject', 'DeleteObjectVersion', 'BypassGovernanceRetention'])('cannot %s', (action) => {
    expect(asEngine(mover, call(action))).toBe('denied')
  })
  it.each(['PutBucketPolicy', 'PutLifecycleConfiguration', 'PutBucketVersioning', 'DeleteBucket'])(
    'cannot %s',
    (action) => {
      expect(asEngine(mover, { action: `s3:${action}`, resource: bucket })).toBe('not allowed')
    },
  )
  it('cannot overwrite, lock too long or come without TLS', () => {
    expect(asEngine(mover, { ...put('r/vm/1.rp'), context: {} })).toBe('denied')
    const long = { ...once, 's3:object-lock-remaining-retention-days': '401' }
    expect(asEngine(mover, { ...put('p/00/a'), context: long })).toBe('denied')
    expect(asEngine(mover, { ...put('p/00/a'), context: { ...once, 'aws:SecureTransport': 'false' } })).toBe('denied')
  })
})

it("other roles of the engine's account cannot do anything, administrators included", () => {
  for (const name of ['GetObject', 'PutObject'])
    expect(asEngine('Administrator', { ...call(name), context: once })).toBe('not allowed')
  expect(asEngine('Administrator', call('DeleteObjectVersion'))).toBe('denied')
})

describe('SweepRole', () => {
  it('removes versions of packs and points, not keys and settings', () => {
    expect(policies.ask('SweepRole', call('DeleteObjectVersion'))).toBe('allowed')
    expect(policies.ask('SweepRole', call('DeleteObjectVersion', 'r/vm/1.rp'))).toBe('allowed')
    expect(policies.ask('SweepRole', call('DeleteObjectVersion', 'keys/k/1.json'))).toBe('not allowed')
    expect(policies.ask('SweepRole', call('DeleteObjectVersion', 'repo/1.json'))).toBe('not allowed')
  })
  it('adds its lists, and nothing that a backup is made of', () => {
    expect(policies.ask('SweepRole', put('g/1/condemned'))).toBe('allowed')
    for (const key of ['p/00/a', 'm/00/a', 'r/vm/1.rp', 's/1/candidate'])
      expect(policies.ask('SweepRole', put(key))).toBe('not allowed')
  })
  it('cannot unlock', () => expect(policies.ask('SweepRole', call('BypassGovernanceRetention'))).toBe('denied'))
})
