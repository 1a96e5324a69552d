// Giving back by hand what jobs that are done left on a VM.

import { describe, expect, it } from 'vitest'
import type { VmSummary } from '../../lib/model/vm.ts'
import { releaseVm } from '../../lib/stages/release-vm.ts'
import { backUpOne, expectRest, request } from './backups.ts'
import type { Process } from './chaos.ts'
import { newEngine, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld, type World } from './world.ts'

const HOUR_MS = 3_600_000

async function release(world: World, dryRun = false) {
  const process: Process = { name: 'release', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const deps = world.depsOf(process)
  await using session = await deps.vsphere.open(cancel)
  const [vm] = await session.listVms(cancel)
  return releaseVm({ vm: vm as VmSummary, dryRun }, { deps, cancel })
}

describe('releaseVm()', () => {
  it('says that there is nothing where nothing is', async () => {
    const world = await newWorld()
    addVm(world)
    await backUpOne(newEngine(world))
    expect(await release(world)).toMatchObject({ finding: null, debts: [] })
  })

  it('removes the snapshot that a job had to leave, strikes out what it owed, and leaves the rest', async () => {
    const world = await newWorld({ limits: { releaseMs: 60_000 } })
    const vm = addVm(world)
    const engine = newEngine(world)
    vm.mishaps.removalTakesMs = 40 * HOUR_MS
    const job = await backUpOne(engine)
    vm.mishaps.removalTakesMs = 0
    vm.runningTasks = []
    expect(job.owes.map(({ kind }) => kind)).toEqual(['snapshot'])
    const seen = await release(world, true)
    expect(seen).toMatchObject({ finding: { outcome: 'not-tried' }, debts: [{ kept: 'only looked at' }] })
    expect(vm.snapshots).toHaveLength(1)

    expect(await release(world)).toMatchObject({
      finding: { outcome: 'mended' },
      debts: [{ debt: { kind: 'snapshot' }, kept: null }],
    })
    expect(vm.snapshots).toEqual([])
    expect((await world.jobStore.jobs.get(job.id, cancel))?.value.owes).toEqual([])
    expect(await release(world)).toMatchObject({ finding: null, debts: [] })
    await expectRest(engine)
  })

  it('keeps what cannot be removed now, with the reason', async () => {
    const world = await newWorld({ limits: { releaseMs: 60_000 } })
    const vm = addVm(world)
    vm.mishaps.removalTakesMs = 40 * HOUR_MS
    const job = await backUpOne(newEngine(world))
    const { finding, debts } = await release(world)
    expect(finding?.outcome).toBe('waits')
    expect(debts[0]?.kept).toContain('RemoveSnapshot_Task')
    expect((await world.jobStore.jobs.get(job.id, cancel))?.value.owes).toHaveLength(1)
  })

  it('refuses while a job is at work on the VM, and changes nothing', async () => {
    const world = await newWorld()
    const vm = addVm(world)
    const engine = newEngine(world)
    world.beforeMove = () => world.clock.sleep(600_000, cancel)
    await request(world)
    await turnUntil(engine, async () => world.moving > 0)
    await expect(release(world)).rejects.toMatchObject({ code: 'job-live', kind: 'refused' })
    expect(vm.snapshots).toHaveLength(1)
  })
})
