// Credentials for our own S3 client: found where AWS's tools find them, asked for again before they end.

import { BackupError, messageOf } from '../../base/errors.ts'
import type { S3Credentials } from './s3-signer.ts'

export interface S3CredentialSource {
  /**
   * @param how fresh: those that were given before are refused now
   * @throws BackupError `aws-credentials` (kind refused) when none are found
   */
  read(how: { readonly fresh: boolean }): Promise<S3Credentials>
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Keys in the environment, else the chain of AWS's tools: profile, SSO, web identity, container, instance. The chain reads the
 * process's own environment.
 */
export function s3Credentials(environment: Environment): S3CredentialSource {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_PROFILE: profile } = environment
  if (accessKeyId && secretAccessKey && !profile) {
    const sessionToken = environment['AWS_SESSION_TOKEN']
    const given = { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) }
    return { read: async () => given }
  }
  return chainCredentials()
}

function chainCredentials(): S3CredentialSource {
  type Chain = (options: { forceRefresh?: boolean }) => Promise<S3Credentials>
  let chain: Promise<Chain> | null = null
  return {
    read: async ({ fresh }) => {
      // Loaded when it is needed: a folder's repository and keys in the environment do without it.
      chain ??= import('@aws-sdk/credential-provider-node').then(({ defaultProvider }) => defaultProvider())
      try {
        const provide = await chain
        return await provide(fresh ? { forceRefresh: true } : {})
      } catch (cause) {
        throw new BackupError(`Cannot find AWS credentials: ${messageOf(cause)}`, {
          code: 'aws-credentials',
          kind: 'refused',
          hint: 'Give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), or run where a role is given',
          cause,
        })
      }
    },
  }
}
