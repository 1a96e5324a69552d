// The policy that docs/DEPLOY.md gives to whoever deploys: a document that IAM takes, which does not reach the backups.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ask, type Statement } from './iam.ts'

const text = readFileSync(join(import.meta.dirname, '..', '..', 'infra', 'deploy-policy.json'), 'utf8')
const identity: readonly Statement[] = JSON.parse(text.replaceAll('ACCOUNT', '111122223333')).Statement
const principal = 'arn:aws:iam::111122223333:role/deployer'
const may = (action: string, resource: string) => ask({ action, resource, principal }, { identity }) === 'allowed'

describe('whoever deploys', () => {
  it('has a policy within the 6,144 characters of a managed one', () => {
    expect(JSON.stringify(identity).length).toBeLessThan(6_144 - 60)
  })
  it.each([
    ['cloudformation:CreateStack', 'arn:aws:cloudformation:eu-central-1:111122223333:stack/coldframe-prod/1'],
    ['iam:CreateRole', 'arn:aws:iam::111122223333:role/coldframe-prod-PlanRole-1'],
    ['s3:PutBucketPolicy', 'arn:aws:s3:::coldframe-prod-repositorystore-1'],
    ['s3:PutObject', 'arn:aws:s3:::coldframe-prod-serverlessdeploymentbucket-1/a.zip'],
    ['ec2:CreateNatGateway', '*'],
    ['kms:CreateKey', '*'],
  ])('may %s', (action, resource) => expect(may(action, resource)).toBe(true))

  it.each([
    ['s3:GetObject', 'arn:aws:s3:::coldframe-prod-repositorystore-1/p/00/a'],
    ['s3:DeleteObjectVersion', 'arn:aws:s3:::coldframe-prod-repositorystore-1/p/00/a'],
    ['s3:BypassGovernanceRetention', 'arn:aws:s3:::coldframe-prod-repositorystore-1/p/00/a'],
    ['s3:DeleteBucket', 'arn:aws:s3:::coldframe-prod-repositorystore-1'],
    ['kms:Decrypt', 'arn:aws:kms:eu-central-1:111122223333:key/1'],
    ['kms:ScheduleKeyDeletion', 'arn:aws:kms:eu-central-1:111122223333:key/1'],
    ['secretsmanager:GetSecretValue', 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:coldframe/vcenter-1'],
    ['iam:CreateRole', 'arn:aws:iam::111122223333:role/administrator'],
    ['iam:PassRole', 'arn:aws:iam::111122223333:role/administrator'],
    ['iam:CreateUser', 'arn:aws:iam::111122223333:user/x'],
    ['sts:AssumeRole', 'arn:aws:iam::111122223333:role/coldframe-prod-ReaderRole-1'],
  ])('may not %s on %s', (action, resource) => expect(may(action, resource)).toBe(false))
})
