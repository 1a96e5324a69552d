// The main way from outside: full backup, guests write, incremental backup, restore of every disk, verify.

import { open } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { type CheckedDisk, checkOneCut } from '../../sim/machine/record.ts'
import {
  backUp,
  damagedPoints,
  differencesIn,
  jobsOf,
  openHome,
  openSim,
  pointsOf,
  restorePoint,
  snapshotsIn,
} from './kit.ts'

describe('backup and restore as commands', () => {
  it('bring back every disk of a full and an incremental point, byte for byte', async () => {
    await using sim = await openSim('--estate', 'small', '--guest-write-every-ms', '20')
    await using home = await openHome(sim)

    const first = await backUp(home, ['app-01', 'db-01', 'cold-01'])
    expect(first.jobs.map((job) => [job.vm.name, job.outcome?.kind]).sort()).toEqual([
      ['app-01', 'success'],
      ['cold-01', 'success'],
      ['db-01', 'success'],
    ])
    await sim.write(300_000)
    await backUp(home, ['app-01', 'db-01', 'cold-01'])
    expect(await snapshotsIn(sim)).toEqual([])
    for (const machine of await sim.machines()) {
      expect(machine.consolidationNeeded).toBe(false)
      expect(machine.disks.map((disk) => disk.chain.length)).toEqual(machine.disks.map(() => 1))
    }

    const points = await pointsOf(home)
    expect(points.length).toBe(6)
    const records: number[] = []
    for (const point of points) {
      const modes = [...new Set(point.disks.map((disk) => disk.readMode))]
      expect({ point: `${point.vm}@${point.sequence}`, modes }).toEqual({
        point: `${point.vm}@${point.sequence}`,
        modes: [point.sequence === 1 ? 'full' : 'incremental'],
      })
      const restored = await restorePoint(home, point)
      expect(await differencesIn(restored, { point, sim })).toEqual([])
      if (point.vm !== 'app-01') continue
      // The guest writes record n+1 only when n is on disk: a pair of disks of different moments has a gap.
      const cut = await checkOneCut(
        await Promise.all(point.disks.map(({ key }) => checkedDisk(restored.get(key) ?? ''))),
      )
      expect(cut.problems).toEqual([])
      records[point.sequence] = cut.lastSequence
    }
    expect(records[2]).toBeGreaterThan(records[1] ?? 0)
    expect(await damagedPoints(home)).toEqual([])
    const app = points.filter((point) => point.vm === 'app-01').toSorted((a, b) => a.sequence - b.sequence)
    const reads = app.map((point) => point.disks.reduce((sum, disk) => sum + disk.readBytes, 0))
    expect(reads[1]).toBeLessThan(reads[0] ?? 0)
    expect((await jobsOf(home)).length).toBe(6)
  }, 90_000)
})

async function checkedDisk(path: string): Promise<CheckedDisk> {
  await using file = await open(path)
  const { size: capacityBytes } = await file.stat()
  const bytes = await file.readFile()
  return {
    capacityBytes,
    read: ({ offsetBytes, lengthBytes }) => bytes.subarray(offsetBytes, offsetBytes + lengthBytes),
  }
}
