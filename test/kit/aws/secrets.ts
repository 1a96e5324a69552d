// AWS Secrets Manager as far as it gives out values, for tests.

import { GetSecretValue$ } from '@aws-sdk/client-secrets-manager'
import { ApiError } from './api-error.ts'
import { arnOf } from './identity.ts'
import { type ApiServer, openApiServer } from './server.ts'

export type SecretsServer = ApiServer & {
  /** Sets, changes, marks for deletion or (null) takes away. @returns its ARN */
  put(name: string, value: { readonly text: string } | { readonly bytes: Uint8Array } | 'deleted' | null): string
}

type Stored = { readonly text: string } | { readonly bytes: Uint8Array } | 'deleted'

export async function openSecrets(): Promise<SecretsServer> {
  const values = new Map<string, Stored>()
  const arnOfSecret = (name: string) => arnOf('secretsmanager', `secret:${name}-AbCdEf`)
  const handle = ({ SecretId, VersionStage }: { readonly SecretId?: string; readonly VersionStage?: string }) => {
    const found = [...values].find(([name]) => SecretId === name || SecretId === arnOfSecret(name))
    if (found === undefined || (VersionStage ?? 'AWSCURRENT') !== 'AWSCURRENT') {
      throw new ApiError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.")
    }
    const [name, value] = found
    if (value === 'deleted') {
      const message = "You can't perform this operation on the secret because it was marked for deletion."
      throw new ApiError('InvalidRequestException', message)
    }
    const content = 'text' in value ? { SecretString: value.text } : { SecretBinary: value.bytes }
    const version = { VersionId: crypto.randomUUID(), VersionStages: ['AWSCURRENT'] }
    return { ARN: arnOfSecret(name), Name: name, CreatedDate: new Date(0), ...version, ...content }
  }
  const server = await openApiServer({
    name: 'secretsmanager',
    protocol: { kind: 'json', target: 'secretsmanager' },
    operations: { GetSecretValue: { schema: GetSecretValue$, handle } },
  })
  return {
    ...server,
    put(name, value) {
      if (value === null) values.delete(name)
      else values.set(name, value)
      return arnOfSecret(name)
    },
  }
}
