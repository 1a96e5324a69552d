// coldframe cost as people and programs run it.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { backUp, openHome, openSim } from '../flow/kit.ts'
import { coldframe } from './coldframe.ts'

describe('coldframe cost', () => {
  it('tells what was stored and what keeping it costs, by prices of one’s own, too', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    await backUp(home, ['app-01'])
    const place = { folder: home.folder, environment: home.environment }
    const people = await coldframe(['cost'], place)
    expect(people).toMatchObject({ exitCode: 0, stderr: '' })
    expect(people.stdout).toMatch(/^VM +JOBS .*\napp-01 +1 .*\ntotal +1 /)
    await writeFile(
      join(home.folder, 'prices.json'),
      '{"date": "2026-05-01", "region": "mine", "storeGibMonth": 23000}',
    )
    const own = await home.run<{ rows: readonly { name: string; storageUsdMonth: number }[] }>([
      'cost',
      '--by',
      'day',
      '--prices',
      'prices.json',
    ])
    const usual = await home.run<{ rows: readonly { storageUsdMonth: number }[] }>(['cost', '--by', 'day'])
    expect(own.exitCode).toBe(0)
    const ratio =
      (own.document?.data?.rows[0]?.storageUsdMonth ?? 0) / (usual.document?.data?.rows[0]?.storageUsdMonth ?? 1)
    expect(ratio).toBeCloseTo(1e6, 0)
    for (const wrong of [
      ['--by', 'moon'],
      ['--since', 'ever'],
      ['--prices', 'none.json'],
    ])
      expect((await home.run(['cost', ...wrong])).exitCode, wrong.join(' ')).toBe(2)
  })
})
