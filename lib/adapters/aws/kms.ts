// Wraps the master key under a key of AWS KMS, which never leaves KMS. The wrap is bound to the repository by its encryption context.

import { DecryptCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms'
import { assert, BackupError } from '../../base/errors.ts'
import type { KeyWrapper, WrapContext } from '../../ports/keys.ts'
import { type AwsPatience, type AwsPlace, callAws, clientSettings } from './call.ts'

const KEY_BYTES = 32

/**
 * The blob is KMS's own. Encryption context: {repositoryId, kid}, as CloudTrail shows it with every use.
 * @param settings.keyArn the key; an alias would hide that it was changed
 * @throws from wrap and unwrap: BackupError `kms-key-unusable` (disabled, about to be deleted or not there), `aws-refused`,
 * `aws-unreachable` (retry later), `aws-failed`
 */
export function kmsWrapper(settings: { readonly keyArn: string }, patience: AwsPatience & AwsPlace): KeyWrapper {
  const { keyArn } = settings
  const client = new KMSClient(clientSettings(patience))
  const unusable = (code: string, error: unknown) => unusableKey(keyArn, code, error)
  return {
    kind: 'kms',
    async wrap(key, context, cancel) {
      assert(key.byteLength === KEY_BYTES, 'a master key has 32 bytes')
      const { CiphertextBlob } = await callAws(
        {
          what: `wrap the key of repository "${context.repositoryId}" with "${keyArn}"`,
          send: (options) =>
            client.send(
              new EncryptCommand({ KeyId: keyArn, Plaintext: key, EncryptionContext: boundTo(context) }),
              options,
            ),
          translate: unusable,
        },
        patience,
        cancel,
      )
      assert(CiphertextBlob !== undefined, 'KMS answers with a blob')
      return CiphertextBlob
    },
    async unwrap(blob, context, cancel) {
      const send = async (options: { readonly abortSignal: AbortSignal }) => {
        try {
          const command = { KeyId: keyArn, CiphertextBlob: blob, EncryptionContext: boundTo(context) }
          return (await client.send(new DecryptCommand(command), options)).Plaintext
        } catch (error) {
          if (isOfAnother(error)) return null
          throw error
        }
      }
      const what = `unwrap the key of repository "${context.repositoryId}" with "${keyArn}"`
      const key = await callAws({ what, send, translate: unusable }, patience, cancel)
      if (key === null) return null
      assert(key !== undefined && key.byteLength === KEY_BYTES, 'what KMS unwraps is the key that was wrapped')
      return key
    },
  }
}

/**
 * Only these two say of the blob itself that it is another's: of another key, or not authentic under this one and this context. A
 * refusal says nothing of the blob.
 */
function isOfAnother(error: unknown): boolean {
  return error instanceof Error && ['InvalidCiphertextException', 'IncorrectKeyException'].includes(error.name)
}

function unusableKey(keyArn: string, code: string, cause: unknown): BackupError | null {
  const words: Readonly<Record<string, string>> = {
    DisabledException: 'is disabled',
    KMSInvalidStateException: 'is not in a state to be used, for example about to be deleted',
    NotFoundException: 'is not there',
  }
  const why = words[code]
  if (why === undefined) return null
  return new BackupError(`Cannot use KMS key "${keyArn}": it ${why}`, {
    code: 'kms-key-unusable',
    hint: 'Enable the key, or cancel its deletion; the passphrase opens the repository without it',
    facts: { key: keyArn, awsCode: code },
    cause,
  })
}

function boundTo({ repositoryId, kid }: WrapContext): Record<string, string> {
  return { repositoryId, kid }
}
