// The mover meets every blow at every call, and a backup meets several blows at once.

import { expect, it } from 'vitest'
import { seededRandom, wholeNumber } from '../../lib/base/random.ts'
import { BLOWS, type Strike } from '../stages/chaos.ts'
import { callsOfBackup, survive, surviveEach } from './matrix.ts'

const LIMIT_MS = 300_000

it(
  'a mover that fails, stops or dies at any call is followed by another, or fails the job with a sentence',
  async () => {
    for (const blow of BLOWS) {
      for (const when of ['before', 'after'] as const) {
        const ends = await surviveEach('mover', { blow, when })
        if (blow === 'unreachable' || blow === 'stop' || blow === 'kill')
          expect(Object.keys(ends), blow).toEqual(['written'])
      }
    }
  },
  LIMIT_MS,
)

it(
  'three blows at random leave no point in doubt and nothing behind',
  async () => {
    const first = Number(process.env['COLDFRAME_SEED'] ?? Math.floor(Math.random() * 1e9))
    const calls = (await callsOfBackup('stages')).length
    for (let seed = first; seed < first + 60; seed++) {
      const random = seededRandom(seed)
      const strikes: readonly Strike[] = Array.from({ length: 3 }, () => ({
        call: wholeNumber(random, { low: 3, high: calls + 40 }),
        when: random.fraction() < 0.5 ? 'before' : 'after',
        blow: BLOWS[wholeNumber(random, { low: 0, high: BLOWS.length - 1 })] ?? 'kill',
      }))
      await survive('stages', strikes, { seed }).catch((error: unknown) => {
        throw new Error(`COLDFRAME_SEED=${seed}: ${JSON.stringify(strikes)}`, { cause: error })
      })
    }
  },
  LIMIT_MS,
)
