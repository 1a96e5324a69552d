// A slow datastore from outside: a backup does not begin on it, says for what it waits, and goes on when reads are fast again.

import { expect, it } from 'vitest'
import { until } from '../kit/programs.ts'
import { dataOf, differencesOf, openHome, openSim, pointsOf, snapshotsIn } from './kit.ts'

const LIMIT_MS = 90_000

it(
  'a job waits for a slow datastore without a snapshot, says so, and goes on when reads are fast again',
  async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    await sim.act('app-01', 'read-latency', { datastore: 'ds1', readMs: 45 })
    const backup = home.start(['backup', '--vm', 'app-01'])
    const waiting = async () => {
      const { jobs } = dataOf(
        await home.run<{ readonly jobs: readonly { readonly waitsFor: string | null }[] }>(['jobs']),
      )
      return jobs[0]?.waitsFor ?? null
    }
    let said: string | null = null
    await until(async () => {
      said = await waiting()
      return said !== null
    })
    expect(said).toBe('datastore "ds1" to answer sooner: a read takes 45 ms, 20 ms is the limit')
    expect(await snapshotsIn(sim)).toEqual([])
    await sim.act('app-01', 'read-latency', { datastore: 'ds1', readMs: 3 })

    expect((await backup.ended).exitCode).toBe(0)
    const [point] = await pointsOf(home)
    if (point === undefined) throw new Error('There is no point')
    expect(await differencesOf(home, point, sim)).toEqual([])
  },
  LIMIT_MS,
)
