// Physical ids of a stack's resources, as Ref and GetAtt give them, for the types that other values are made from.

import { createHash } from 'node:crypto'
import type { TemplateResource } from './template.ts'

export type Place = {
  readonly region: string
  readonly account: string
  readonly stackName: string
  /** "http://127.0.0.1:PORT", in front of the queues. */
  readonly queueBase: string
  /** The front of the HTTP API, without a slash in the end. */
  readonly apiBase: string
}

type Naming = {
  /** The property that names it; without one a name is made up. */
  readonly named?: string
  readonly ref: (id: Id) => string
  readonly attributes?: Readonly<Record<string, (id: Id) => string>>
}

type Id = Place & {
  /** Its physical name. */
  readonly name: string
  /** Twelve hex digits that are its own. */
  readonly digits: string
  arn(owner: string, rest: string): string
}

const name = ({ name: own }: Id) => own
const numbered = (prefix: string): Naming => ({
  ref: ({ digits }) => `${prefix}-${digits}`,
  attributes: { [`${prefix[0]?.toUpperCase()}${prefix.slice(1)}Id`]: ({ digits }) => `${prefix}-${digits}` },
})
const arnOnly = (owner: string, kind: string): Naming => ({
  ref: (id) => id.arn(owner, `${kind}${id.name}`),
  attributes: { Arn: (id) => id.arn(owner, `${kind}${id.name}`) },
})

const NAMING: Readonly<Record<string, Naming>> = {
  'AWS::SQS::Queue': {
    named: 'QueueName',
    ref: ({ queueBase, account, name: own }) => `${queueBase}/${account}/${own}`,
    attributes: {
      Arn: (id) => id.arn('sqs', id.name),
      QueueName: name,
      QueueUrl: ({ queueBase, account, name: own }) => `${queueBase}/${account}/${own}`,
    },
  },
  'AWS::DynamoDB::Table': {
    named: 'TableName',
    ref: name,
    attributes: { Arn: (id) => id.arn('dynamodb', `table/${id.name}`) },
  },
  'AWS::S3::Bucket': {
    named: 'BucketName',
    ref: ({ name: own }) => own.toLowerCase(),
    attributes: {
      Arn: ({ name: own }) => `arn:aws:s3:::${own.toLowerCase()}`,
      DomainName: ({ name: own }) => `${own.toLowerCase()}.s3.amazonaws.com`,
      RegionalDomainName: ({ name: own, region }) => `${own.toLowerCase()}.s3.${region}.amazonaws.com`,
    },
  },
  'AWS::Lambda::Function': {
    named: 'FunctionName',
    ref: name,
    attributes: { Arn: (id) => id.arn('lambda', `function:${id.name}`) },
  },
  'AWS::IAM::Role': {
    named: 'RoleName',
    ref: name,
    attributes: {
      Arn: ({ account, name: own }) => `arn:aws:iam::${account}:role/${own}`,
      RoleId: ({ digits }) => `AROA${digits.toUpperCase()}`,
    },
  },
  'AWS::IAM::ManagedPolicy': {
    named: 'ManagedPolicyName',
    ref: ({ account, name: own }) => `arn:aws:iam::${account}:policy/${own}`,
  },
  'AWS::KMS::Key': {
    ref: uuid,
    attributes: { Arn: (id) => id.arn('kms', `key/${uuid(id)}`), KeyId: uuid },
  },
  'AWS::KMS::Alias': { named: 'AliasName', ref: name },
  'AWS::SNS::Topic': {
    named: 'TopicName',
    ref: (id) => id.arn('sns', id.name),
    attributes: { TopicArn: (id) => id.arn('sns', id.name), TopicName: name },
  },
  'AWS::SecretsManager::Secret': {
    named: 'Name',
    ref: (id) => id.arn('secretsmanager', `secret:${id.name}-${id.digits.slice(0, 6)}`),
    attributes: { Id: (id) => id.arn('secretsmanager', `secret:${id.name}-${id.digits.slice(0, 6)}`) },
  },
  'AWS::ECS::Cluster': {
    named: 'ClusterName',
    ref: name,
    attributes: { Arn: (id) => id.arn('ecs', `cluster/${id.name}`) },
  },
  'AWS::ECS::TaskDefinition': {
    named: 'Family',
    ref: (id) => id.arn('ecs', `task-definition/${id.name}:1`),
    attributes: { TaskDefinitionArn: (id) => id.arn('ecs', `task-definition/${id.name}:1`) },
  },
  'AWS::ECR::Repository': {
    named: 'RepositoryName',
    ref: name,
    attributes: {
      Arn: (id) => id.arn('ecr', `repository/${id.name}`),
      RepositoryUri: ({ account, region, name: own }) => `${account}.dkr.ecr.${region}.amazonaws.com/${own}`,
    },
  },
  'AWS::Logs::LogGroup': {
    named: 'LogGroupName',
    ref: name,
    attributes: { Arn: (id) => id.arn('logs', `log-group:${id.name}:*`) },
  },
  'AWS::Events::EventBus': {
    named: 'Name',
    ref: name,
    attributes: { Arn: (id) => id.arn('events', `event-bus/${id.name}`), Name: name },
  },
  'AWS::Events::Rule': {
    named: 'Name',
    ref: name,
    attributes: { Arn: (id) => id.arn('events', `rule/${id.name}`) },
  },
  'AWS::Scheduler::ScheduleGroup': {
    named: 'Name',
    ref: name,
    attributes: { Arn: (id) => id.arn('scheduler', `schedule-group/${id.name}`) },
  },
  'AWS::Scheduler::Schedule': {
    named: 'Name',
    ref: name,
    attributes: { Arn: (id) => id.arn('scheduler', `schedule/default/${id.name}`) },
  },
  'AWS::ApiGatewayV2::Api': {
    ref: ({ digits }) => digits.slice(0, 10),
    attributes: { ApiEndpoint: ({ apiBase }) => apiBase, ApiId: ({ digits }) => digits.slice(0, 10) },
  },
  'AWS::ApiGatewayV2::Integration': { ref: ({ digits }) => digits.slice(0, 7) },
  'AWS::ApiGatewayV2::Authorizer': { ref: ({ digits }) => digits.slice(0, 6) },
  'AWS::EC2::VPC': {
    ...numbered('vpc'),
    attributes: { VpcId: ({ digits }) => `vpc-${digits}`, CidrBlock: () => '10.0.0.0/16' },
  },
  'AWS::EC2::Subnet': numbered('subnet'),
  'AWS::EC2::SecurityGroup': {
    ref: ({ digits }) => `sg-${digits}`,
    attributes: { GroupId: ({ digits }) => `sg-${digits}`, VpcId: ({ digits }) => `vpc-${digits}` },
  },
  'AWS::CloudWatch::Alarm': arnOnly('cloudwatch', 'alarm:'),
}

/** What Ref and GetAtt give; undefined for what is not known here. */
export function physicalIds(place: Place) {
  const idOf = (logical: string, resource: TemplateResource, naming: Naming): Id => {
    const given = naming.named === undefined ? undefined : resource.Properties?.[naming.named]
    const digits = createHash('sha256').update(`${place.stackName} ${logical}`).digest('hex').slice(0, 12)
    const own = typeof given === 'string' ? given : `${place.stackName}-${logical}-${digits.toUpperCase()}`
    const arn = (owner: string, rest: string) => `arn:aws:${owner}:${place.region}:${place.account}:${rest}`
    return { ...place, name: own, digits, arn }
  }
  return {
    ref: (logical: string, resource: TemplateResource): string | undefined => {
      const naming = NAMING[resource.Type]
      return naming?.ref(idOf(logical, resource, naming))
    },
    attribute: (logical: string, attribute: string, resource: TemplateResource): string | undefined => {
      const naming = NAMING[resource.Type]
      const found = naming?.attributes?.[attribute]
      return naming === undefined ? undefined : found?.(idOf(logical, resource, naming))
    },
  }
}

function uuid({ digits }: Id): string {
  return `${digits.slice(0, 8)}-${digits.slice(8)}-4000-8000-${digits}`
}
