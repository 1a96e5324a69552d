// The process of a stage is told to stop, or dies without a word, at every call of a backup.

import { expect, it } from 'vitest'
import { surviveEach } from './matrix.ts'

const LIMIT_MS = 300_000

it(
  'a stage that is stopped at any call is gone on with, and the backup succeeds',
  async () => {
    for (const when of ['before', 'after'] as const) {
      const ends = await surviveEach('stages', { blow: 'stop', when, step: 2 })
      expect(Object.keys(ends)).toEqual(['written'])
    }
  },
  LIMIT_MS,
)

it(
  'a stage that dies at any call is taken over, and the backup succeeds',
  async () => {
    for (const when of ['before', 'after'] as const) {
      const ends = await surviveEach('stages', { blow: 'kill', when })
      expect(Object.keys(ends)).toEqual(['written'])
    }
  },
  LIMIT_MS,
)
