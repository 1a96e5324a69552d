// A snapshot that the tree shows late: waited for by capture and release, for as long as listMs, and never an orphan.

import { describe, expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { backUpOne, expectRest, ourSnapshots, request } from './backups.ts'
import { chaos } from './chaos.ts'
import { isOver, jobsOf, newEngine, turnFor, turnUntil } from './engine.ts'
import { addVm, newWorld, policyWith } from './world.ts'

async function worldWithVm(listedAfterMs: number) {
  const world = await newWorld()
  const vm = addVm(world, { diskBytes: [192 * KiB] })
  const engine = newEngine(world)
  expect((await backUpOne(engine)).outcome?.kind).toBe('success')
  vm.mishaps.listedAfterMs = listedAfterMs
  return { world, vm, engine }
}

const datastoreOnly = policyWith({ transport: ['datastore'] })

describe('a snapshot that the tree shows late', () => {
  it('is waited for, removed and made anew', async () => {
    const { world, vm, engine } = await worldWithVm(20_000)
    const id = await request(world, { policy: datastoreOnly })
    await turnUntil(engine, async () => (await jobsOf(world, id))[0]?.waitsFor?.includes("VM's tree") === true)
    expect(vm.snapshots).toHaveLength(1)
    vm.mishaps.listedAfterMs = 0
    await turnUntil(engine, () => isOver(world, id))
    expect((await jobsOf(world, id))[0]).toMatchObject({ outcome: { kind: 'success' }, unlistedSinceMs: null })
    await expectRest(engine)
  })

  it('is no orphan of a job that fails meanwhile: release waits for it', async () => {
    const { world, engine, vm } = await worldWithVm(20_000)
    world.chaos = chaos(({ name, process }) =>
      process === 'capture' && name === 'vsphere.readSnapshot' ? { when: 'before', blow: 'refused' } : null,
    )
    const job = await backUpOne(engine, { policy: datastoreOnly })
    expect(job.outcome?.kind).toBe('failed')
    expect(job.owes).toEqual([])
    expect(ourSnapshots(vm)).toEqual([])
    await expectRest(engine)
  })

  it('is waited for no longer than listMs; the next backup removes what shows up then', async () => {
    const { world, engine, vm } = await worldWithVm(3_600_000)
    const before = world.clock.nowMs()
    const job = await backUpOne(engine, { policy: datastoreOnly })
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'lost-deltas' })
    expect(world.clock.nowMs() - before).toBeGreaterThanOrEqual(60_000)
    expect(vm.snapshots).toHaveLength(1)
    vm.mishaps.listedAfterMs = 0
    await turnFor(engine, 3_600_000)
    expect((await backUpOne(engine, { policy: datastoreOnly })).outcome?.kind).toMatch(/success|warning/)
    await expectRest(engine)
  })
})
