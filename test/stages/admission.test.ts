// Jobs that must share a host and a datastore: they wait, hold nothing while they wait, say for what, and all come through.

import { describe, expect, it } from 'vitest'
import { GiB, MiB } from '../../lib/base/bytes.ts'
import { defaultAdmissionLimits } from '../../lib/model/admission.ts'
import type { RunId } from '../../lib/model/ids.ts'
import type { Job } from '../../lib/model/job.ts'
import { backUpOne, expectRest, ourSnapshots, request } from './backups.ts'
import { type Engine, isOver, jobsOf, newEngine, turnFor, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld, policyWith } from './world.ts'

const HOUR_MS = 3_600_000

async function engineWith(admission: Partial<typeof defaultAdmissionLimits>, vms = 1): Promise<Engine> {
  const limits = { admission: { ...defaultAdmissionLimits, ...admission }, busyMs: 6 * HOUR_MS }
  const world = await newWorld({ limits })
  for (let number = 1; number <= vms; number++) addVm(world, { name: `db-${number}` })
  return { ...newEngine(world), deliveriesMax: 4 }
}

async function waitingJob(engine: Engine): Promise<Job> {
  const [job] = await engine.world.jobStore.recentJobs({ limit: 1 }, cancel)
  if (job === undefined) throw new Error('There is no job')
  return job
}

/** Until the run is over: how many VMs had a snapshot of ours at once, and what jobs said that they wait for. */
async function watchRun(engine: Engine, id: RunId) {
  const { world } = engine
  const said = new Set<string>()
  let most = 0
  await turnUntil(engine, async () => {
    most = Math.max(most, world.vcenter.vms.filter((vm) => ourSnapshots(vm).length > 0).length)
    for (const { waitsFor } of await jobsOf(world, id)) if (waitsFor !== null) said.add(waitsFor)
    return isOver(world, id)
  })
  return { most, said }
}

describe('admission', () => {
  it('never lets more than so many snapshots of ours be on a datastore, and every job comes through', async () => {
    const engine = await engineWith({ snapshotsPerDatastore: 2 }, 7)
    const { world } = engine
    const names = world.vcenter.vms.map(({ name }) => name)
    const id = await request(world, { vms: names })
    const { most, said } = await watchRun(engine, id)
    expect(most).toBe(2)
    const jobs = await jobsOf(world, id)
    expect(jobs.map(({ outcome }) => outcome?.kind)).toEqual(names.map(() => 'success'))
    const words = /^a snapshot on datastore "ds1": 2 of 2 are taken by job [0-9a-f]{8} and 1 more(, and job|$)/
    expect(
      [...said].some((each) => words.test(each)),
      [...said].join('\n'),
    ).toBe(true)
    await expectRest(engine)
  })

  it('takes as much of host and vCenter as the mover may use, and gives the mover no more', async () => {
    const engine = await engineWith({ moverBufferBytes: 4 * MiB })
    const job = await backUpOne(engine)
    expect(job.footing).toMatchObject({ host: { name: 'esx-1' }, datastores: [{ name: 'ds1' }] })
    expect(job.grant).toEqual({ connections: 1, bufferBytes: 2 * MiB })
    await expectRest(engine)
  })

  it('waits for space on the datastore, without places, and goes on when there is some', async () => {
    const engine = await engineWith({})
    const [vm] = engine.world.vcenter.vms
    if (vm === undefined) throw new Error('There is no VM')
    vm.datastore = { ...vm.datastore, freeBytes: 10 * GiB }
    const id = await request(engine.world)
    await turnFor(engine, HOUR_MS)
    const job = await waitingJob(engine)
    expect(job.waitsFor).toMatch(/^space on datastore "ds1": 10 GiB are free, .* are needed to begin$/)
    const movers = await engine.world.jobStore.resources.get('movers', cancel)
    expect(movers?.value.places).toEqual([])
    expect(engine.world.vcenter.calls).not.toContain('createSnapshot')
    vm.datastore = { ...vm.datastore, freeBytes: 1_000 * GiB }
    await turnUntil(engine, () => isOver(engine.world, id))
    expect((await jobsOf(engine.world, id))[0]?.outcome?.kind).toBe('success')
    await expectRest(engine)
  })

  it('waits while reads from the datastore take long, and never for one that tells nothing', async () => {
    const engine = await engineWith({})
    engine.world.vcenter.datastore.readMs = 45
    const id = await request(engine.world)
    await turnFor(engine, HOUR_MS)
    expect((await waitingJob(engine)).waitsFor).toBe(
      'datastore "ds1" to answer sooner: a read takes 45 ms, 20 ms is the limit',
    )
    engine.world.vcenter.datastore.readMs = null
    await turnUntil(engine, () => isOver(engine.world, id))
    expect((await jobsOf(engine.world, id))[0]?.outcome?.kind).toBe('success')
    expect(engine.world.log.lines.some(({ event }) => event === 'latency.unknown')).toBe(true)
  })

  it('fails a job that waited for hours, says for what, and leaves nothing behind', async () => {
    const engine = await engineWith({})
    engine.world.vcenter.datastore.maintenanceMode = 'inMaintenance'
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'waited-too-long' })
    expect(job.outcome?.message).toContain('datastore "ds1" to leave maintenance mode')
    expect(job.outcome?.hint).toContain('admission in coldframe.yaml')
    await expectRest(engine)
  })

  it('never lets two of one anti-affinity group have a snapshot at once', async () => {
    const engine = await engineWith({}, 4)
    const { world } = engine
    const names = world.vcenter.vms.map(({ name }) => name)
    const policy = policyWith({ antiAffinity: { policy: true, tagCategories: [] } })
    const id = await request(world, { vms: names, policy })
    const { most, said } = await watchRun(engine, id)
    expect(most).toBe(1)
    expect([...said].join('\n')).toContain('the turn of anti-affinity group "policy/default"')
    expect((await jobsOf(world, id)).map(({ outcome }) => outcome?.kind)).toEqual(names.map(() => 'success'))
    await expectRest(engine)
  })
})
