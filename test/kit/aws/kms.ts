// AWS KMS as far as it wraps small things under symmetric keys, for tests: blobs are real (AES-256-GCM), bound to key and context.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { Decrypt$, Encrypt$ } from '@aws-sdk/client-kms'
import { ApiError } from './api-error.ts'
import { arnOf } from './identity.ts'
import { type ApiServer, openApiServer } from './server.ts'

export type KmsServer = ApiServer & {
  /** Makes a key. @returns its ARN */
  createKey(): string
  setState(keyArn: string, state: KeyState): void
}

export type KeyState = 'Enabled' | 'Disabled' | 'PendingDeletion' | 'Unavailable'

type Context = Readonly<Record<string, string>>
type Key = { readonly arn: string; readonly id: Buffer; readonly material: Buffer; state: KeyState }
type EncryptInput = { readonly KeyId: string; readonly Plaintext: Uint8Array; readonly EncryptionContext?: Context }
type DecryptInput = {
  readonly KeyId?: string
  readonly CiphertextBlob: Uint8Array
  readonly EncryptionContext?: Context
}

const ID_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16

export async function openKms(): Promise<KmsServer> {
  const keys = new Map<string, Key>()
  const server = await openApiServer({
    name: 'kms',
    protocol: { kind: 'json', target: 'TrentService' },
    operations: {
      Encrypt: { schema: Encrypt$, handle: (input) => encrypt(keys, input as EncryptInput) },
      Decrypt: { schema: Decrypt$, handle: (input) => decrypt(keys, input as DecryptInput) },
    },
  })
  return {
    ...server,
    createKey() {
      const id = randomBytes(ID_BYTES)
      const arn = arnOf('kms', `key/${id.toString('hex')}`)
      keys.set(arn, { arn, id, material: randomBytes(32), state: 'Enabled' })
      return arn
    },
    setState(arn, state) {
      usable(keys, arn, 'any').state = state
    },
  }
}

function encrypt(keys: ReadonlyMap<string, Key>, { KeyId, Plaintext, EncryptionContext = {} }: EncryptInput) {
  const key = usable(keys, KeyId)
  if (Plaintext.byteLength < 1 || Plaintext.byteLength > 4096) {
    throw new ApiError('ValidationException', 'plaintext must have length between 1 and 4096')
  }
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key.material, nonce).setAAD(boundTo(EncryptionContext))
  const sealed = [cipher.update(Plaintext), cipher.final(), cipher.getAuthTag()]
  return {
    CiphertextBlob: new Uint8Array(Buffer.concat([key.id, nonce, ...sealed])),
    KeyId: key.arn,
    EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
  }
}

function decrypt(keys: ReadonlyMap<string, Key>, { KeyId, CiphertextBlob, EncryptionContext = {} }: DecryptInput) {
  const blob = Buffer.from(CiphertextBlob)
  const asked = KeyId === undefined ? null : usable(keys, KeyId)
  const own = [...keys.values()].find(({ id }) => id.equals(blob.subarray(0, ID_BYTES)))
  if (own === undefined || blob.byteLength < ID_BYTES + NONCE_BYTES + TAG_BYTES) {
    throw new ApiError('InvalidCiphertextException', 'UnknownError')
  }
  if (asked !== null && asked !== own) {
    const message = 'The key ID in the request does not identify a CMK that can perform this operation.'
    throw new ApiError('IncorrectKeyException', message)
  }
  usable(keys, own.arn)
  const nonce = blob.subarray(ID_BYTES, ID_BYTES + NONCE_BYTES)
  const opener = createDecipheriv('aes-256-gcm', own.material, nonce).setAAD(boundTo(EncryptionContext))
  opener.setAuthTag(blob.subarray(-TAG_BYTES))
  try {
    const plain = [opener.update(blob.subarray(ID_BYTES + NONCE_BYTES, -TAG_BYTES)), opener.final()]
    return { Plaintext: new Uint8Array(Buffer.concat(plain)), KeyId: own.arn, EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }
  } catch {
    throw new ApiError('InvalidCiphertextException', 'UnknownError')
  }
}

function usable(keys: ReadonlyMap<string, Key>, id: string, state: 'any' | 'enabled' = 'enabled'): Key {
  const key = keys.get(id)
  if (key === undefined) throw new ApiError('NotFoundException', `Key '${id}' does not exist`)
  if (state === 'any' || key.state === 'Enabled') return key
  if (key.state === 'Disabled') throw new ApiError('DisabledException', `${id} is disabled.`)
  if (key.state === 'PendingDeletion') throw new ApiError('KMSInvalidStateException', `${id} is pending deletion.`)
  throw new ApiError('KeyUnavailableException', `${id} is unavailable.`, 500)
}

/** In one order, whatever the order of the request. */
function boundTo(context: Context): Buffer {
  return Buffer.from(JSON.stringify(Object.entries(context).toSorted(([left], [right]) => (left < right ? -1 : 1))))
}
