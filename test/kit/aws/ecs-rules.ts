// What ECS refuses of a RunTask that its schema lets through.

import { ApiError } from './api-error.ts'
import { arnOf } from './identity.ts'

export type RunTaskInput = {
  readonly cluster?: string
  readonly taskDefinition: string
  readonly clientToken?: string
  readonly startedBy?: string
  readonly count?: number
  readonly launchType?: string
  readonly capacityProviderStrategy?: readonly { readonly capacityProvider: string }[]
  readonly networkConfiguration?: {
    readonly awsvpcConfiguration?: {
      readonly subnets: readonly string[]
      readonly securityGroups?: readonly string[]
      readonly assignPublicIp?: string
    }
  }
  readonly overrides?: {
    readonly containerOverrides?: readonly {
      readonly name?: string
      readonly command?: readonly string[]
      readonly environment?: readonly { readonly name?: string; readonly value?: string }[]
    }[]
  }
}

type Known = {
  /** "family:revision" each. */
  readonly taskDefinitions: readonly string[]
  readonly container: string
  readonly subnets: readonly string[]
  readonly securityGroups: readonly string[]
}

/** @returns the task definition that is meant, as "family:revision" @throws ApiError */
export function checkRunTask(input: RunTaskInput, known: Known): string {
  const meant = known.taskDefinitions.find((definition) =>
    [definition, definition.split(':')[0], arnOf('ecs', `task-definition/${definition}`)].includes(
      input.taskDefinition,
    ),
  )
  if (meant === undefined) throw new ApiError('ClientException', 'Unable to describe task definition.')
  if (!/^[\x21-\x7e]{1,64}$/.test(input.clientToken ?? 'x')) throw invalid('Invalid client token.')
  if (!/^[A-Za-z0-9_/-]{1,128}$/.test(input.startedBy ?? 'x')) throw invalid('startedBy is invalid.')
  if ((input.count ?? 1) < 1 || (input.count ?? 1) > 10) throw invalid('Count must be in range [1, 10].')
  for (const { name = '' } of input.overrides?.containerOverrides ?? []) {
    if (name !== known.container) {
      throw invalid(`Override for container named ${name} is not a container in the TaskDefinition.`)
    }
  }
  if (JSON.stringify(input.overrides ?? {}).length > 8192)
    throw invalid('Container Overrides length must be at most 8192')
  checkPlace(input, known)
  return meant
}

function checkPlace({ launchType, capacityProviderStrategy, networkConfiguration }: RunTaskInput, known: Known): void {
  if (launchType !== undefined && capacityProviderStrategy !== undefined) {
    throw invalid('The request parameters launchType and capacityProviderStrategy are mutually exclusive.')
  }
  if (launchType !== undefined && !['EC2', 'FARGATE', 'EXTERNAL'].includes(launchType)) {
    throw invalid(`Launch type ${launchType} is unknown.`)
  }
  for (const { capacityProvider } of capacityProviderStrategy ?? []) {
    if (!['FARGATE', 'FARGATE_SPOT'].includes(capacityProvider)) {
      throw invalid(`The specified capacity provider ${capacityProvider} was not found.`)
    }
  }
  const network = networkConfiguration?.awsvpcConfiguration
  if (launchType === 'EXTERNAL') {
    if (network !== undefined) throw invalid('Network Configuration is not valid for launch type EXTERNAL.')
    return
  }
  if (network === undefined)
    throw invalid('Network Configuration must be provided when networkMode awsvpc is specified.')
  for (const subnet of network.subnets) {
    if (!known.subnets.includes(subnet)) throw invalid(`Error retrieving subnet information for [${subnet}]`)
  }
  for (const group of network.securityGroups ?? []) {
    if (!known.securityGroups.includes(group))
      throw invalid(`Error retrieving security group information for [${group}]`)
  }
  if (!['ENABLED', 'DISABLED'].includes(network.assignPublicIp ?? 'DISABLED'))
    throw invalid('assignPublicIp is invalid.')
}

function invalid(message: string): ApiError {
  return new ApiError('InvalidParameterException', message)
}
