// The main way of a backup through every stage, with the VMs that an estate has.

import { describe, expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { backUpOne, expectRest } from './backups.ts'
import { newEngine } from './engine.ts'
import { addVm, newWorld } from './world.ts'

describe('a backup', () => {
  it('of a VM with two disks succeeds, and its points restore what their snapshots froze', async () => {
    const world = await newWorld()
    addVm(world, { diskBytes: [700 * KiB, 300 * KiB] })
    const engine = newEngine(world)
    for (let round = 0; round < 3; round++) {
      const job = await backUpOne(engine)
      expect(job.outcome).toMatchObject({ kind: 'success', code: 'ok' })
    }
    await expectRest(engine)
  })
})
