// The test servers themselves: what they let through must be what AWS would.

import { DecryptCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms'
import { describe, expect, it } from 'vitest'
import { TEST_CREDENTIALS } from '../../kit/aws/identity.ts'
import { openKms } from '../../kit/aws/kms.ts'
import type { ApiServer } from '../../kit/aws/server.ts'

const plain = new Uint8Array(32)

/** What the server answers to a request whose body was changed before it was signed. */
async function answerTo(server: ApiServer, change: (body: Record<string, unknown>) => void, keyId: string) {
  const client = new KMSClient({ ...server.client, maxAttempts: 1 })
  client.middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as { body: string | Uint8Array<ArrayBuffer> }
      const body = JSON.parse(await new Blob([request.body]).text())
      change(body)
      request.body = JSON.stringify(body)
      return next(args)
    },
    { step: 'build', priority: 'high' },
  )
  return client.send(new EncryptCommand({ KeyId: keyId, Plaintext: plain })).then(
    () => 'accepted',
    (error: Error) => `${error.name}: ${error.message}`,
  )
}

describe('AWS test server', () => {
  it('refuses members that the schema does not know, that are missing, and that have another type', async () => {
    await using kms = await openKms()
    const key = kms.createKey()
    const ask = (change: (body: Record<string, unknown>) => void) => answerTo(kms, change, key)

    expect(await ask(() => undefined)).toBe('accepted')
    expect(await ask((body) => (body['Plaintxt'] = 'AA=='))).toBe('SerializationException: Unknown member "Plaintxt"')
    expect(await ask((body) => delete body['Plaintext'])).toBe(
      'ValidationException: Missing required member "Plaintext"',
    )
    expect(await ask((body) => (body['KeyId'] = 7))).toMatch(/^SerializationException: "KeyId" must be a string/)
    expect(await ask((body) => (body['Plaintext'] = 'no base64'))).toMatch(/"Plaintext" must be base64/)
    expect(kms.calls).toHaveLength(1)
  })

  it('refuses what is not signed by its identity', async () => {
    await using kms = await openKms()
    const command = new DecryptCommand({ CiphertextBlob: plain })
    for (const wrong of [{ secretAccessKey: 'another' }, { accessKeyId: 'AKIDOTHER' }]) {
      const credentials = { ...TEST_CREDENTIALS, ...wrong }
      const client = new KMSClient({ ...kms.client, credentials, maxAttempts: 1 })
      await expect(client.send(command)).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } })
    }
    const elsewhere = new KMSClient({ ...kms.client, region: 'us-east-1', maxAttempts: 1 })
    await expect(elsewhere.send(command)).rejects.toThrow('region')
    expect(kms.calls).toEqual([])
  })
})
