// A snapshot that weighs too much ends the read, not the VM: it is removed and the job says why.

import { describe, expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { defaultAdmissionLimits } from '../../lib/model/admission.ts'
import type { Policy } from '../../lib/model/policy.ts'
import { backUpOne, expectRest, ourSnapshots } from './backups.ts'
import { chaos } from './chaos.ts'
import { newEngine } from './engine.ts'
import { addVm, cancel, newWorld, policyWith, type WorldOptions } from './world.ts'

const MINUTE_MS = 60_000

/** A world whose movers take ten minutes before they read. */
async function slowWorld(options: WorldOptions = {}) {
  const world = await newWorld(options)
  const vm = addVm(world, { diskBytes: [512 * KiB] })
  world.beforeMove = () => world.clock.sleep(10 * MINUTE_MS, cancel)
  return { world, vm, engine: newEngine(world) }
}

function capped(snapshot: Partial<Policy['snapshot']>): Policy {
  return policyWith({ snapshot: { ageMsMax: 86_400_000, growthBytesMax: null, ...snapshot } })
}

describe('the guard of a snapshot', () => {
  it('ends the read of one that is older than the policy allows', async () => {
    const { world, vm, engine } = await slowWorld()
    const startedMs = world.clock.nowMs()
    const job = await backUpOne(engine, { policy: capped({ ageMsMax: 5 * MINUTE_MS }) })
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'snapshot-too-old' })
    expect(job.attempt).toBe(1)
    expect(ourSnapshots(vm)).toEqual([])
    expect(world.clock.nowMs() - startedMs).toBeLessThan(15 * MINUTE_MS)
    await expectRest(engine)
  })

  it('ends the read of one that grows beyond what the policy allows, and remembers by how much', async () => {
    const { world, vm, engine } = await slowWorld()
    world.guestsWrite = false
    world.chaos = chaos(({ process, name }) => {
      if (process !== 'transfer' || name !== 'vsphere.readSnapshotGrowth') return null
      world.vcenter.write(vm, { key: 2000, offsetBytes: 0, bytes: new Uint8Array(200 * KiB) })
      return null
    })
    const job = await backUpOne(engine, { policy: capped({ growthBytesMax: 128 * KiB }) })
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'snapshot-too-large' })
    expect(job.outcome?.message).toContain('grew to 256 KiB, and the policy allows 128 KiB')
    const history = await world.jobStore.vms.get(vm.vmId, cancel)
    expect(history?.value.snapshots).toMatchObject([{ jobId: job.id, growthBytes: 256 * KiB }])
    await expectRest(engine)
  })

  it('ends the read when the datastore is about to fill, and reads nothing when it is so from the start', async () => {
    // As if it had filled after the job was admitted.
    const admission = { ...defaultAdmissionLimits, freeSpaceBytes: 0, freeSpacePercent: 0 }
    const { world, vm, engine } = await slowWorld({ limits: { admission } })
    const roomy = vm.datastore
    world.beforeMove = async () => {
      vm.datastore = { ...roomy, freeBytes: 2 ** 30 }
      await world.clock.sleep(10 * MINUTE_MS, cancel)
    }
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'datastore-filling' })
    expect(job.outcome?.message).toContain('datastore "ds1" has 1 GiB of 2 TiB left')
    const again = await backUpOne(engine)
    expect(again.outcome).toMatchObject({ code: 'datastore-filling' })
    expect(again.counts.readBytes).toBe(0)
    vm.datastore = roomy
    world.beforeMove = async () => undefined
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    await expectRest(engine)
  })

  it('ends nothing when vCenter does not tell, and asks it no more often than it may', async () => {
    let looks = 0
    const { world, engine } = await slowWorld({ limits: { pollMs: 1_000 } })
    world.chaos = chaos(({ process, name }) => {
      if (process !== 'transfer' || !name.startsWith('vsphere.')) return null
      if (name === 'vsphere.open') looks++
      return { when: 'before', blow: 'refused' }
    })
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect(looks).toBeGreaterThan(5)
    expect(looks).toBeLessThan(13)
    await expectRest(engine)
  })

  it('counts what is sealed, however old its snapshot is by then', async () => {
    // The mover is done after a minute, and the look that finds its result comes after the cap.
    const { engine, world } = await slowWorld({ limits: { pollMs: 10 * MINUTE_MS } })
    world.beforeMove = () => world.clock.sleep(MINUTE_MS, cancel)
    const job = await backUpOne(engine, { policy: capped({ ageMsMax: 5 * MINUTE_MS }) })
    expect(job.outcome?.kind).toBe('success')
    await expectRest(engine)
  })
})
