// Transport `lease` from outside: a VM with two disks and a snapshot of somebody else is backed up without naming a transport, as
// streams that the server makes of its chains, and restored byte for byte.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { backUp, damagedPoints, differencesIn, openHome, openSim, pointsOf, restorePoint, snapshotsIn } from './kit.ts'

const LIMIT_MS = 90_000

describe('a VM below whose snapshot one of somebody else stands', () => {
  it(
    'is backed up by exports, costs nothing where it did not change, and keeps its snapshot',
    async () => {
      await using sim = await openSim('--estate', 'small')
      await using home = await openHome(sim)
      await sim.write(200_000)
      await sim.act('app-01', 'snapshot', { name: 'before upgrade' })
      await sim.write(150_000)

      // Quiescing makes a guest write.
      const policy = join(home.folder, 'crash.yaml')
      await writeFile(policy, 'name: crash\nselect: {any: [{name: "*"}]}\nconsistency: {want: crash, require: crash}\n')
      const first = await backUp(home, ['app-01'], '--policy', policy)
      expect(first.jobs.map((job) => job.outcome?.kind)).toEqual(['success'])
      await backUp(home, ['app-01'], '--policy', policy)
      await sim.write(70_000)
      await backUp(home, ['app-01'], '--policy', policy)

      const points = (await pointsOf(home)).toSorted((left, right) => left.sequence - right.sequence)
      expect(points.map(({ disks }) => disks.map(({ readMode }) => readMode))).toEqual([
        ['full', 'full'],
        ['differential', 'differential'],
        ['differential', 'differential'],
      ])
      expect(points[1]?.disks.map(({ newStoredBytes }) => newStoredBytes)).toEqual([0, 0])
      expect(points.flatMap(({ notices }) => notices)).toEqual([])
      for (const point of points) {
        expect(await differencesIn(await restorePoint(home, point), { point, sim })).toEqual([])
      }
      expect(await damagedPoints(home)).toEqual([])
      expect(await snapshotsIn(sim)).toEqual(['app-01: before upgrade'])
      const { ExportSnapshot = 0, HttpNfcLeaseComplete = 0 } = await sim.calls()
      // For each disk once to choose the transport, and once to read it.
      expect([ExportSnapshot, HttpNfcLeaseComplete]).toEqual([12, 6])
    },
    LIMIT_MS,
  )

  it(
    'is backed up at the second try when a stream is cut, and never from half of it',
    async () => {
      await using sim = await openSim('--estate', 'small')
      await using home = await openHome(sim)
      await sim.write(200_000)
      await sim.act('app-01', 'snapshot', { name: 'before upgrade' })
      await sim.write(150_000)
      await sim.arm({ call: '/nfc', nth: 1, mishap: { kind: 'short-body' } })
      const { jobs } = await backUp(home, ['app-01'])
      expect(jobs).toMatchObject([{ attempt: 2, outcome: { kind: 'success' } }])
      const [point, ...others] = await pointsOf(home)
      if (point === undefined) throw new Error('no point')
      expect(others).toEqual([])
      expect(await differencesIn(await restorePoint(home, point), { point, sim })).toEqual([])
      expect(await snapshotsIn(sim)).toEqual(['app-01: before upgrade'])
    },
    LIMIT_MS,
  )
})
