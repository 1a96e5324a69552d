import { describe, expect, it } from 'vitest'
import { passphraseWrapper } from '../../lib/adapters/local/passphrase.ts'
import { bytesEqual } from '../../lib/base/bytes.ts'
import { hasCode } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'

const cancel = { signal: new AbortController().signal }
const context = { repositoryId: '11'.repeat(16), kid: '22'.repeat(8) }
const cost = { memoryKiB: 64, passes: 1, lanes: 1 }
const wrapper = (passphrase: string, seed = 1) => passphraseWrapper({ passphrase, random: seededRandom(seed), cost })
const key = seededRandom(9).bytes(32)

describe('a passphrase', () => {
  it('opens what it wrapped, for the same repository and key only', async () => {
    const blob = await wrapper('correct horse').wrap(key, context, cancel)
    expect(bytesEqual((await wrapper('correct horse', 2).unwrap(blob, context, cancel)) ?? new Uint8Array(), key)).toBe(
      true,
    )
    expect(await wrapper('correct horse').unwrap(blob, { ...context, kid: '33'.repeat(8) }, cancel)).toBeNull()
    expect(
      await wrapper('correct horse').unwrap(blob, { ...context, repositoryId: '44'.repeat(16) }, cancel),
    ).toBeNull()
    expect(await wrapper('Correct horse').unwrap(blob, context, cancel)).toBeNull()
  })

  it('is the same however its accents are typed', async () => {
    const blob = await wrapper('k\u00e4lte').wrap(key, context, cancel)
    expect(await wrapper('ka\u0308lte').unwrap(blob, context, cancel)).not.toBeNull()
  })

  it('opens no blob that was changed anywhere, and costs no more memory than is sane', async () => {
    const blob = await wrapper('correct horse').wrap(key, context, cancel)
    for (let at = 0; at < blob.byteLength; at++) {
      const changed = Uint8Array.from(blob)
      changed[at] = (changed[at] ?? 0) ^ 1
      const opened = wrapper('correct horse').unwrap(changed, context, cancel)
      const outcome = await opened.catch((error: unknown) => (hasCode(error, 'repository-version') ? null : error))
      expect(outcome).toBeNull()
    }
    const greedy = Buffer.from(blob)
    greedy.writeUInt32LE(0xffff_ffff, 8)
    const opened = wrapper('correct horse').unwrap(greedy, context, cancel)
    await expect(opened).rejects.toSatisfy((error) => hasCode(error, 'repository-version'))
  })

  it('wraps at the default cost within a second or so', async () => {
    const strong = passphraseWrapper({ passphrase: 'correct horse', random: seededRandom(1) })
    const blob = await strong.wrap(key, context, cancel)
    expect(await strong.unwrap(blob, context, cancel)).not.toBeNull()
  })
})
