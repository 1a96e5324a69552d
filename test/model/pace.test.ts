import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FULL_PACE, fullPace, LEAST_PACE, nextPace, type Pace, restMs } from '../../lib/model/pace.ts'

const limits = { latencyStartMs: 20, latencyStopMs: 30 }
const paceAfter = (...samples: readonly (number | null)[]): Pace =>
  samples.reduce((pace: Pace, readMs) => nextPace(pace, readMs, limits), fullPace)

describe('the pace of a read', () => {
  it('halves from the stop threshold on, holds down to the start threshold, and comes back below it', () => {
    expect(paceAfter(19, 25, 29).permille).toBe(FULL_PACE)
    expect(paceAfter(30).permille).toBe(500)
    expect(paceAfter(30, 45).permille).toBe(250)
    expect(paceAfter(30, 45, 29, 20).permille).toBe(250)
    expect(paceAfter(30, 45, 19).permille).toBe(375)
    expect(paceAfter(30, 0, 0, 0, 0).permille).toBe(FULL_PACE)
  })

  it('takes what nobody tells for neither fast nor slow, and does not stay slow for it', () => {
    expect(paceAfter(null, null, null, null)).toMatchObject({ permille: FULL_PACE })
    expect(paceAfter(40, null, null, null).permille).toBe(500)
    expect(paceAfter(40, null, null, null, null).permille).toBe(625)
    expect(paceAfter(40, null, null, null, 40).permille).toBe(250)
  })

  it('is never 0, never more than full, and regained within 8 good samples, whatever came before', () =>
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 10_000 }))), (samples) => {
        const pace = paceAfter(...samples)
        expect(pace.permille).toBeGreaterThanOrEqual(LEAST_PACE)
        expect(pace.permille).toBeLessThanOrEqual(FULL_PACE)
        const regained = Array.from({ length: 8 }).reduce((last: Pace) => nextPace(last, 5, limits), pace)
        expect(regained.permille).toBe(FULL_PACE)
      }),
    ))

  it('is a share of the time: a slot works for its share and rests for the remainder', () => {
    expect(restMs(10, FULL_PACE)).toBe(0)
    expect(restMs(10, 500)).toBe(10)
    expect(restMs(10, 250)).toBe(30)
    expect(restMs(3_600_000, LEAST_PACE)).toBe(30_000)
  })
})
