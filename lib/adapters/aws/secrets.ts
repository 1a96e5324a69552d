// Secrets of a stack: in AWS Secrets Manager, read each time they are asked for.

import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { BackupError, quote } from '../../base/errors.ts'
import type { Secrets } from '../../ports/secrets.ts'
import { type AwsPatience, type AwsPlace, callAws, clientSettings } from './call.ts'

/**
 * @param settings.prefix before every name: "coldframe/guest/" finds the secret "coldframe/guest/db" for "db"; '' takes whole names
 * and ARNs
 * @throws from read(): BackupError `secret-missing` (kind usage) when there is none; `secret-unusable` when it holds bytes, is empty or
 * about to be deleted; `aws-refused`, `aws-unreachable` (retry later), `aws-failed`: nobody knows whether there is one
 */
export function awsSecrets(settings: { readonly prefix: string }, patience: AwsPatience & AwsPlace): Secrets {
  const client = new SecretsManagerClient(clientSettings(patience))
  return {
    async read(name, cancel) {
      cancel.signal.throwIfAborted()
      const id = `${settings.prefix}${name}`
      if (!/^[A-Za-z0-9/_+=.@:-]{1,512}$/.test(id)) throw missing(name, `"${id}" cannot be the name of one`)
      const { SecretString, SecretBinary } = await callAws(
        {
          what: `read secret ${quote(id)}`,
          send: (options) => client.send(new GetSecretValueCommand({ SecretId: id }), options),
          translate: (code, error) => {
            if (code === 'ResourceNotFoundException') return missing(name, `Secrets Manager has no "${id}"`, error)
            return code === 'InvalidRequestException' ? unusable(name, 'it is marked for deletion', error) : null
          },
        },
        patience,
        cancel,
      )
      if (SecretBinary !== undefined) throw unusable(name, 'it holds bytes, not text')
      if (SecretString === undefined || SecretString === '') throw unusable(name, 'it is empty')
      return SecretString
    },
  }
}

function missing(name: string, why: string, cause?: unknown): BackupError {
  return new BackupError(`Cannot read secret "${name}": ${why}`, {
    code: 'secret-missing',
    kind: 'usage',
    hint: 'Create it in Secrets Manager under that name, or correct the name',
    facts: { name },
    ...(cause === undefined ? {} : { cause }),
  })
}

function unusable(name: string, why: string, cause?: unknown): BackupError {
  return new BackupError(`Cannot use secret "${name}": ${why}`, {
    code: 'secret-unusable',
    hint: 'Look at the secret in Secrets Manager',
    facts: { name },
    ...(cause === undefined ? {} : { cause }),
  })
}
