// failedResult(): of several failures the one that allows the least decides.

import { expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import { failedResult } from '../../lib/mover/attempt-result.ts'

const later = new BackupError('The store is away', { code: 'store-failed', retry: 'later' })
const damaged = new BackupError('A page is damaged', { code: 'integrity', kind: 'integrity' })
const never = new BackupError('No transport', { code: 'no-transport' })

it('one failed disk that needs everything anew outweighs those that may pass', () => {
  for (const errors of [
    [later, damaged],
    [damaged, later],
  ]) {
    expect(failedResult(new AggregateError(errors))).toMatchObject({ code: 'integrity', retry: 'as-full' })
  }
})

it('one failed disk that cannot be helped outweighs all', () => {
  expect(failedResult(new AggregateError([later, damaged, never]))).toMatchObject({ code: 'no-transport', retry: 'no' })
})
