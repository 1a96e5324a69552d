// What every source of secrets keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import type { Secrets } from '../../lib/ports/secrets.ts'

const cancel = { signal: new AbortController().signal }

/** @param open a source that knows "known" as "the value" and nothing else */
export function secretsContract(
  name: string,
  open: () => Promise<{ readonly secrets: Secrets } & AsyncDisposable>,
): void {
  describe(`secrets: ${name}`, () => {
    it('give the value of a known name', async () => {
      await using opened = await open()

      expect(await opened.secrets.read('known', cancel)).toBe('the value')
    })

    it('name what is missing, as a fault of the configuration', async () => {
      await using opened = await open()

      for (const name of ['unknown', 'toString']) {
        const error: unknown = await opened.secrets.read(name, cancel).catch((caught: unknown) => caught)
        expect(error).toBeInstanceOf(BackupError)
        expect(error).toMatchObject({ code: 'secret-missing', kind: 'usage', facts: { name } })
        expect(JSON.stringify(error)).not.toContain('the value')
      }
    })

    it('do nothing for a caller that has been cancelled', async () => {
      await using opened = await open()

      await expect(opened.secrets.read('known', { signal: AbortSignal.abort(new Error('over')) })).rejects.toThrow(
        'over',
      )
    })
  })
}
