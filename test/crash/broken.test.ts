// Broken code at every call of a backup's stages, once: the message comes again.

import { expect, it } from 'vitest'
import { surviveEach } from './matrix.ts'

it('a plain error at any call leaves a backup that succeeds when its message comes again', async () => {
  for (const when of ['before', 'after'] as const) {
    const ends = await surviveEach('stages', { blow: 'broken', when, step: 3 })
    expect(Object.keys(ends)).toEqual(['written'])
  }
}, 300_000)
