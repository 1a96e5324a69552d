// The CloudFormation resource specification, as AWS publishes it for its CDK (@aws-cdk/aws-service-spec).

import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec'
import type { PropertyType, ResourceProperties } from '@aws-cdk/service-spec-types'

const database = loadAwsServiceSpecSync()

export function isKnownType(type: string): boolean {
  return resourceOf(type) !== undefined
}

/** Names of attributes for Fn::GetAtt; empty for a type that is not known. */
export function attributesOf(type: string): ReadonlySet<string> {
  return new Set(Object.keys(resourceOf(type)?.attributes ?? {}))
}

export function propertiesOf(type: string): ResourceProperties | undefined {
  return resourceOf(type)?.properties
}

/** The properties of a type that a property refers to. */
export function definitionOf(type: Extract<PropertyType, { readonly type: 'ref' }>): {
  readonly name: string
  readonly properties: ResourceProperties
} {
  const { name, properties } = database.get('typeDefinition', type.reference.$ref)
  return { name, properties }
}

function resourceOf(type: string) {
  return database.lookup('resource', 'cloudFormationType', 'equals', type)[0]
}
