// The record of a capture holds what can be read back from a restore point for ever.

import { expect, it } from 'vitest'
import { takenAtOf } from '../../lib/stages/capture-record.ts'

it('a snapshot’s time is kept in UTC, and one that is no time is refused', () => {
  expect(takenAtOf({ name: 'coldframe-1', createdAt: '2030-01-01T02:00:00+02:00' })).toBe('2030-01-01T00:00:00.000Z')
  for (const createdAt of ['', 'soon']) {
    expect(() => takenAtOf({ name: 'coldframe-1', createdAt })).toThrow(
      expect.objectContaining({ code: 'snapshot-time' }),
    )
  }
})
