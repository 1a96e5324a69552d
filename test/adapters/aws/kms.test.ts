import { describe, expect, it } from 'vitest'
import { kmsWrapper } from '../../../lib/adapters/aws/kms.ts'
import { keyWrapperContract } from '../../contract/key-wrapper.ts'
import { type KmsServer, openKms } from '../../kit/aws/kms.ts'
import { impatience } from '../../kit/aws/patience.ts'

const cancel = { signal: new AbortController().signal }
const key = Uint8Array.from({ length: 32 }, (_, index) => 255 - index)
const context = { repositoryId: '00112233445566778899aabbccddeeff', kid: '0011223344556677' }

const wrapperOf = (kms: KmsServer, keyArn: string) => kmsWrapper({ keyArn }, impatience(kms).settings)

keyWrapperContract('KMS', async () => {
  const kms = await openKms()
  const [own, other] = [kms.createKey(), kms.createKey()]
  return {
    wrapper: wrapperOf(kms, own),
    again: wrapperOf(kms, own),
    other: wrapperOf(kms, other),
    [Symbol.asyncDispose]: () => kms[Symbol.asyncDispose](),
  }
})

describe('KMS wrapper', () => {
  it('tells the repository and the key id to KMS, which shows them with each use', async () => {
    await using kms = await openKms()
    const keyArn = kms.createKey()
    await wrapperOf(kms, keyArn).wrap(key, context, cancel)

    expect(kms.calls).toMatchObject([{ operation: 'Encrypt', input: { KeyId: keyArn, EncryptionContext: context } }])
  })

  it.each([
    ['Disabled', 'kms-key-unusable', 'it is disabled'],
    ['PendingDeletion', 'kms-key-unusable', 'about to be deleted'],
    ['Unavailable', 'aws-unreachable', 'KeyUnavailableException'],
  ] as const)(
    'says of a key that is %s that it cannot be used, not that the blob is of another key',
    async (...row) => {
      const [state, code, words] = row
      await using kms = await openKms()
      const keyArn = kms.createKey()
      const wrapper = wrapperOf(kms, keyArn)
      const blob = await wrapper.wrap(key, context, cancel)
      kms.setState(keyArn, state)

      for (const use of [wrapper.unwrap(blob, context, cancel), wrapper.wrap(key, context, cancel)]) {
        const error: Error = await use.then(
          () => new Error('no error'),
          (caught: Error) => caught,
        )
        expect(error).toMatchObject({ code })
        expect(error.message).toContain(words)
      }
    },
  )

  it('does not take a refusal for a blob of another key', async () => {
    await using kms = await openKms()
    const wrapper = wrapperOf(kms, kms.createKey())
    const blob = await wrapper.wrap(key, context, cancel)
    kms.strike(() => ({ kind: 'error', code: 'AccessDeniedException' }))

    await expect(wrapper.unwrap(blob, context, cancel)).rejects.toMatchObject({ code: 'aws-refused', kind: 'refused' })
  })

  it('asks again what was throttled or lost, and gives up after a bounded number of tries', async () => {
    await using kms = await openKms()
    const { settings, waitedMs } = impatience(kms)
    const wrapper = kmsWrapper({ keyArn: kms.createKey() }, settings)
    const faults = [
      { kind: 'error', code: 'ThrottlingException' },
      { kind: 'lost', when: 'after' },
      { kind: 'error', code: 'KMSInternalException', status: 500 },
      { kind: 'lost', when: 'before' },
    ] as const
    kms.strike(({ number }) => faults[number - 1] ?? null)
    const blob = await wrapper.wrap(key, context, cancel)
    expect(kms.calls).toHaveLength(5)
    // Full jitter: below a bound that doubles.
    expect(waitedMs).toHaveLength(4)
    for (const [index, ms] of waitedMs.entries()) expect(ms).toBeLessThan(100 * 2 ** index)

    kms.strike(() => ({ kind: 'error', code: 'ThrottlingException' }))
    await expect(wrapper.unwrap(blob, context, cancel)).rejects.toMatchObject({
      code: 'aws-unreachable',
      retry: 'later',
      facts: { awsCode: 'ThrottlingException' },
    })
    expect(kms.calls).toHaveLength(10)
  })
})
