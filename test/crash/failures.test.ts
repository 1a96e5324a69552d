// Every call of a backup's stages fails once: before it took effect, or after it did without an answer.

import { expect, it } from 'vitest'
import { surviveEach } from './matrix.ts'

const LIMIT_MS = 300_000

it(
  'what may pass by itself is tried again, and the backup succeeds',
  async () => {
    for (const when of ['before', 'after'] as const) {
      const ends = await surviveEach('stages', { blow: 'unreachable', when })
      expect(Object.keys(ends).toSorted()).toEqual(['written'])
    }
  },
  LIMIT_MS,
)

it(
  'what fails for good fails the job with a sentence, or does not matter any more',
  async () => {
    for (const when of ['before', 'after'] as const) {
      const ends = await surviveEach('stages', { blow: 'refused', when, step: 2 })
      expect(Object.keys(ends).toSorted()).toEqual(['failed', 'written'])
    }
  },
  LIMIT_MS,
)
