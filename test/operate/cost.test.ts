import { describe, expect, it } from 'vitest'
import { parseVmId } from '../../lib/model/ids.ts'
import { costOf, DEFAULT_PRICES } from '../../lib/model/prices.ts'
import { isOld, type PaidJob, reportCost } from '../../lib/operate/cost.ts'
import { parsePrices } from '../../lib/wire/prices.ts'
import { sampleJob, sampleJobId, sampleUsage } from '../kit/record-samples.ts'

function paid(number: number, change: Partial<PaidJob> & { readonly at: string }): PaidJob {
  const job = sampleJob({ id: sampleJobId(number) })
  const { at, ...rest } = change
  return {
    ...job,
    usage: { stages: sampleUsage(number), tasks: sampleUsage(10 * number) },
    counts: { readBytes: 100, newPlainBytes: 50, storedBytes: 2 ** 30 },
    ...rest,
    times: { ...job.times, createdAt: at, committedAt: number === 3 ? null : at },
  }
}

const other = { ...sampleJob().vm, vmId: parseVmId('502f1a2b-0000-4000-8000-00000000000f'), name: 'web-1' }
const jobs = [
  paid(1, { at: '2026-01-02T03:00:00.000Z' }),
  paid(2, { at: '2026-01-03T03:00:00.000Z', vm: { ...sampleJob().vm, name: 'db-1-renamed' } }),
  paid(3, { at: '2026-01-03T04:00:00.000Z', vm: other }),
]

describe('reportCost()', () => {
  it('sums what each VM used under its newest name, the dearest first, and the total is the sum of all', () => {
    const { rows, total } = reportCost(jobs, { by: 'vm', prices: DEFAULT_PRICES })
    expect(rows.map(({ name, jobs: count, points }) => `${name} ${count} ${points}`).toSorted()).toEqual([
      'db-1-renamed 2 2',
      'web-1 1 0',
    ])
    expect(rows[0]?.costUsd).toBeGreaterThanOrEqual(rows[1]?.costUsd ?? Number.POSITIVE_INFINITY)
    expect(total.usage).toEqual(sampleUsage(66))
    expect(total.costUsd).toBeCloseTo(costOf(sampleUsage(66), DEFAULT_PRICES).total, 12)
    expect(total.storageUsdMonth).toBeCloseTo(3 * DEFAULT_PRICES.storeGibMonth, 12)
    expect(rows.reduce((sum, { costUsd }) => sum + costUsd, 0)).toBeCloseTo(total.costUsd, 12)
  })

  it('gives days in their order', () => {
    const { rows } = reportCost(jobs, { by: 'day', prices: DEFAULT_PRICES })
    expect(rows.map(({ key, jobs: count }) => [key, count])).toEqual([
      ['2026-01-02', 1],
      ['2026-01-03', 2],
    ])
  })

  it('is empty, with a total of nothing, where there were no jobs', () => {
    const { rows, total } = reportCost([], { by: 'policy', prices: DEFAULT_PRICES })
    expect(rows).toEqual([])
    expect(total).toMatchObject({ jobs: 0, costUsd: 0, storageUsdMonth: 0 })
  })
})

describe('parsePrices()', () => {
  it('takes the prices that differ and keeps the others', () => {
    const text = '{"date": "2026-05-01", "region": "eu-central-1", "storeGibMonth": 0.0245}'
    expect(parsePrices(text, 'p.json')).toEqual({
      ...DEFAULT_PRICES,
      date: '2026-05-01',
      region: 'eu-central-1',
      storeGibMonth: 0.0245,
    })
  })

  it('refuses what is no price table, by name', () => {
    for (const text of [
      '',
      '[]',
      '{}',
      '{"date": "May", "region": "x"}',
      '{"date": "2026-05-01", "region": "x", "storeGib": 1}',
      '{"date": "2026-05-01", "region": "x", "storeGibMonth": -1}',
    ])
      expect(() => parsePrices(text, 'p.json'), text).toThrow(/"p\.json"/)
  })

  it('tables are old after a year', () => {
    expect(isOld(DEFAULT_PRICES, Date.parse('2027-11-26'))).toBe(false)
    expect(isOld(DEFAULT_PRICES, Date.parse('2027-11-28'))).toBe(true)
  })
})
