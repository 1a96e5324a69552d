// Values of properties that the resource specification has as any text, as their pages in the CloudFormation reference list them: of
// the types that this stack is made of.

const known: Readonly<Record<string, readonly string[]>> = {
  'AWS::DynamoDB::Table.BillingMode': ['PAY_PER_REQUEST', 'PROVISIONED'],
  'AWS::DynamoDB::Table.AttributeDefinition.AttributeType': ['S', 'N', 'B'],
  'AWS::DynamoDB::Table.KeySchema.KeyType': ['HASH', 'RANGE'],
  'AWS::DynamoDB::Table.Projection.ProjectionType': ['ALL', 'KEYS_ONLY', 'INCLUDE'],
  'AWS::EC2::VPCEndpoint.VpcEndpointType': [
    'Gateway',
    'GatewayLoadBalancer',
    'Interface',
    'Resource',
    'ServiceNetwork',
  ],
  'AWS::ECR::Repository.EncryptionConfiguration.EncryptionType': ['AES256', 'KMS', 'KMS_DSSE'],
  'AWS::ECR::Repository.ImageTagMutability': ['MUTABLE', 'IMMUTABLE'],
  'AWS::ECS::TaskDefinition.NetworkMode': ['awsvpc', 'bridge', 'host', 'none'],
  'AWS::ECS::TaskDefinition.RuntimePlatform.CpuArchitecture': ['X86_64', 'ARM64'],
  'AWS::ECS::TaskDefinition.RuntimePlatform.OperatingSystemFamily': ['LINUX'],
  'AWS::Lambda::EventSourceMapping.FunctionResponseTypes': ['ReportBatchItemFailures'],
  'AWS::Lambda::Function.Architectures': ['arm64', 'x86_64'],
  'AWS::Lambda::Function.Runtime': ['nodejs22.x', 'nodejs24.x'],
  'AWS::S3::Bucket.OwnershipControlsRule.ObjectOwnership': [
    'BucketOwnerEnforced',
    'BucketOwnerPreferred',
    'ObjectWriter',
  ],
  'AWS::S3::Bucket.ServerSideEncryptionByDefault.SSEAlgorithm': ['AES256', 'aws:kms', 'aws:kms:dsse'],
  'AWS::S3::Bucket.VersioningConfiguration.Status': ['Enabled', 'Suspended'],
  'AWS::S3::Bucket.Rule.Status': ['Enabled', 'Disabled'],
  'AWS::Scheduler::Schedule.State': ['ENABLED', 'DISABLED'],
  'AWS::Scheduler::Schedule.FlexibleTimeWindow.Mode': ['OFF', 'FLEXIBLE'],
  'AWS::ApiGatewayV2::Api.ProtocolType': ['HTTP', 'WEBSOCKET'],
  'AWS::ApiGatewayV2::Route.AuthorizationType': ['NONE', 'AWS_IAM', 'CUSTOM', 'JWT'],
  'AWS::ApiGatewayV2::Authorizer.AuthorizerType': ['JWT', 'REQUEST'],
  'AWS::ApiGatewayV2::Integration.IntegrationType': ['AWS_PROXY', 'HTTP_PROXY', 'AWS', 'HTTP', 'MOCK'],
  'AWS::ApiGatewayV2::Integration.PayloadFormatVersion': ['1.0', '2.0'],
  'AWS::CloudWatch::Alarm.ComparisonOperator': [
    'GreaterThanOrEqualToThreshold',
    'GreaterThanThreshold',
    'LessThanThreshold',
    'LessThanOrEqualToThreshold',
  ],
  'AWS::CloudWatch::Alarm.Statistic': ['Average', 'Maximum', 'Minimum', 'SampleCount', 'Sum'],
  'AWS::CloudWatch::Alarm.TreatMissingData': ['breaching', 'ignore', 'missing', 'notBreaching'],
}

/** @param owner a resource type, with the name of the definition inside it where the property is deeper @returns null: any value */
export function knownValues(owner: string, property: string): readonly string[] | null {
  const key = `${owner}.${property}`
  return Object.hasOwn(known, key) ? (known[key] ?? null) : null
}
