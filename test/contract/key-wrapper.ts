// What every wrapper of keys keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import type { KeyWrapper } from '../../lib/ports/keys.ts'

const cancel = { signal: new AbortController().signal }
const key = Uint8Array.from({ length: 32 }, (_, index) => index * 7)
const context = { repositoryId: '00112233445566778899aabbccddeeff', kid: '0011223344556677' }

export type OpenedWrappers = AsyncDisposable & {
  readonly wrapper: KeyWrapper
  /** Opens what the first wrapped. */
  readonly again: KeyWrapper
  /** Must not. */
  readonly other: KeyWrapper
}

export function keyWrapperContract(name: string, open: () => Promise<OpenedWrappers>): void {
  describe(`key wrapper: ${name}`, () => {
    it('opens what it wrapped, also in another life, and never wraps twice alike', async () => {
      await using opened = await open()
      const { wrapper, again } = opened
      const [first, second] = [await wrapper.wrap(key, context, cancel), await wrapper.wrap(key, context, cancel)]
      expect(first).not.toEqual(second)
      for (const blob of [first, second]) expect(await again.unwrap(blob, context, cancel)).toEqual(key)
    })

    it('does not show the key in the blob', async () => {
      await using opened = await open()
      const blob = Buffer.from(await opened.wrapper.wrap(key, context, cancel))
      expect(blob.includes(Buffer.from(key.subarray(0, 8)))).toBe(false)
    })

    it('answers null for a blob of another key, repository or key id, and for a flipped bit', async () => {
      await using opened = await open()
      const { wrapper, other } = opened
      const blob = await wrapper.wrap(key, context, cancel)
      expect(await other.unwrap(blob, context, cancel)).toBeNull()
      expect(await wrapper.unwrap(blob, { ...context, repositoryId: 'f'.repeat(32) }, cancel)).toBeNull()
      expect(await wrapper.unwrap(blob, { ...context, kid: 'f'.repeat(16) }, cancel)).toBeNull()
      const flipped = blob.slice()
      flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1
      expect(await wrapper.unwrap(flipped, context, cancel)).toBeNull()
    })

    it('does nothing for a caller that has been cancelled', async () => {
      const gone = { signal: AbortSignal.abort(new Error('over')) }
      await using opened = await open()
      await expect(opened.wrapper.wrap(key, context, gone)).rejects.toThrow('over')
    })
  })
}
