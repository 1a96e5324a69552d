// vCenter away for a while or for too long, and jobs that want the same VM.

import { describe, expect, it } from 'vitest'
import { dropSnapshot, takeSnapshot } from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { backUpOne, expectRest, ourSnapshots, pointOfJob, request } from './backups.ts'
import { chaos } from './chaos.ts'
import { isOver, jobsOf, newEngine, turnFor, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld, policyWith, type World, type WorldOptions } from './world.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

async function worldWithVm(options: WorldOptions = {}) {
  const world = await newWorld(options)
  const vm = addVm(world, { diskBytes: [192 * KiB] })
  return { world, vm, engine: newEngine(world) }
}

/** From the stage's first call on, vCenter is away for this long. */
function awayFrom(world: World, stage: string, forMs: number): void {
  let backMs: number | null = null
  world.chaos = chaos(({ process, name }) => {
    if (backMs === null && process === stage && name === 'vsphere.open') backMs = world.clock.nowMs() + forMs
    const away = backMs !== null && world.clock.nowMs() < backMs
    return away && name.startsWith('vsphere') ? { when: 'before', blow: 'unreachable' } : null
  })
}

describe('vCenter', () => {
  it.each(['prepare', 'capture', 'commit', 'release'])('may be away for 40 minutes during %s', async (stage) => {
    const { world, engine } = await worldWithVm()
    awayFrom(world, stage, 40 * MINUTE_MS)
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'success' })
    expect(job.attempt).toBe(1)
    await expectRest(engine)
    expect(world.sent.length).toBeLessThan(60)
  })

  it.each(['prepare', 'capture', 'commit'])(
    'away for hours during %s fails the job, and release waits for it',
    async (stage) => {
      const { world, vm, engine } = await worldWithVm()
      awayFrom(world, stage, 5 * HOUR_MS)
      const started = world.clock.nowMs()
      const id = await request(world)
      await turnFor(engine, 3 * HOUR_MS)
      const [failing] = await jobsOf(world, id)
      expect(failing?.outcome).toMatchObject({
        kind: 'failed',
        code: 'struck-unreachable',
        message: 'Cannot reach "vsphere.open"',
      })
      await turnUntil(engine, () => isOver(world, id))
      const [job] = await jobsOf(world, id)
      expect(job === undefined ? undefined : await pointOfJob(world, job)).toBeNull()
      expect(world.clock.nowMs() - started).toBeLessThan(6 * HOUR_MS)
      expect(ourSnapshots(vm)).toEqual([])
      await expectRest(engine)
      world.chaos = chaos(() => null)
      expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    },
  )
})

describe('two jobs of one VM', () => {
  it('work one after the other', async () => {
    const { world, vm, engine } = await worldWithVm()
    let snapshots = 0
    world.chaos = chaos(() => {
      snapshots = Math.max(snapshots, vm.snapshots.length)
      return null
    })
    const ids = [await request(world), await request(world), await request(world)]
    for (const id of ids) await turnUntil(engine, () => isOver(world, id))
    for (const id of ids) expect((await jobsOf(world, id))[0]?.outcome?.kind).toBe('success')
    expect(snapshots).toBe(1)
    await expectRest(engine)
  })

  it('do not wait for each other without end: the second is skipped and says why', async () => {
    const { world, engine } = await worldWithVm({ limits: { busyMs: 20 * MINUTE_MS, moverStartMs: HOUR_MS } })
    world.beforeMove = () => world.clock.sleep(30 * MINUTE_MS, { signal: new AbortController().signal })
    const [first, second] = [await request(world), await request(world)]
    await turnUntil(engine, () => isOver(world, second))
    const [skipped] = await jobsOf(world, second)
    expect(skipped?.outcome).toMatchObject({ kind: 'skipped', code: 'vm-busy' })
    expect(skipped?.outcome?.message).toContain('it was busy for too long with job ')
    await turnUntil(engine, () => isOver(world, first))
    expect((await jobsOf(world, first))[0]?.outcome?.kind).toBe('success')
    await expectRest(engine)
  })

  it('at once, because one was away for longer than its lease, never end with a point of mixed bytes', async () => {
    const { world, engine } = await worldWithVm()
    const asleep = Promise.withResolvers<void>()
    world.beforeMove = ({ attempt }) => (world.moving === 1 && attempt === 1 ? asleep.promise : Promise.resolve())
    const first = await request(world)
    await turnUntil(engine, async () => (await jobsOf(world, first))[0]?.state === 'transferring')
    // Nobody renews the lease of the first: the program was off.
    world.clock.advance(3 * HOUR_MS)
    const second = await request(world)
    let woke = false
    world.onSend = (message) => {
      if (message.kind === 'transfer' && !woke) {
        woke = true
        asleep.resolve()
      }
      return 'keep'
    }
    await turnUntil(engine, async () => (await isOver(world, first)) && (await isOver(world, second)))
    const outcomes = [...(await jobsOf(world, first)), ...(await jobsOf(world, second))].map((job) => job.outcome)
    expect(outcomes.some((outcome) => outcome?.kind === 'success')).toBe(true)
    for (const outcome of outcomes) if (outcome?.kind === 'failed') expect(outcome.message).toContain('snapshot')
    await expectRest(engine)
  })

  it("wait for another product's temporary snapshot and name it; one that was left behind is not waited for", async () => {
    const { vm, world, engine } = await worldWithVm({ limits: { busyMs: 30 * MINUTE_MS } })
    const policy = policyWith({ transport: ['nbd'] })
    const atMs = world.clock.nowMs()
    const texts = { name: 'VEEAM BACKUP TEMPORARY SNAPSHOT', description: '', quiesced: false, atMs }
    const theirs = takeSnapshot(vm, texts)
    const id = await request(world, { policy })
    await turnFor(engine, 20 * MINUTE_MS)
    const since = `snapshot "VEEAM BACKUP TEMPORARY SNAPSHOT" of Veeam Backup & Replication since ${new Date(atMs).toISOString()}`
    expect((await jobsOf(world, id))[0]).toMatchObject({ state: 'preparing', waitsFor: since })
    dropSnapshot(vm, theirs)
    await turnUntil(engine, () => isOver(world, id))
    expect((await jobsOf(world, id))[0]?.outcome?.kind).toBe('success')

    takeSnapshot(vm, { ...texts, atMs: world.clock.nowMs() })
    const skipped = await backUpOne(engine, { policy })
    expect(skipped.outcome).toMatchObject({ kind: 'skipped', code: 'vm-busy' })
    expect(skipped.outcome?.message).toContain('Veeam Backup & Replication since')
    await turnFor(engine, 25 * HOUR_MS)
    const read = await backUpOne(engine, { policy })
    expect(read.outcome).toMatchObject({ kind: 'warning', code: 'product-snapshot' })
    expect(vm.snapshots.map(({ name }) => name)).toEqual([texts.name])
    await expectRest(engine)
  })

  it("leave the snapshot of a job that is still under way alone, whoever holds the VM's place", async () => {
    const { vm, world, engine } = await worldWithVm()
    world.beforeMove = () => world.clock.sleep(10 * MINUTE_MS, cancel)
    const first = await request(world)
    await turnUntil(engine, async () => (await jobsOf(world, first))[0]?.state === 'transferring')
    const place = await world.jobStore.resources.get(`vm/${vm.vmId}`, cancel)
    if (place === null) throw new Error('the VM has a place')
    await world.jobStore.resources.replace(
      place.value.name,
      { ...place, value: { ...place.value, places: [] } },
      cancel,
    )
    const second = await request(world)
    await turnFor(engine, 5 * MINUTE_MS)
    const [job] = await jobsOf(world, first)
    expect((await jobsOf(world, second))[0]?.waitsFor).toContain(`job ${job?.id}`)
    expect(vm.snapshots).toHaveLength(1)
    await turnUntil(engine, async () => (await isOver(world, first)) && (await isOver(world, second)))
    for (const id of [first, second]) expect((await jobsOf(world, id))[0]?.outcome?.kind).toBe('success')
    await expectRest(engine)
  })

  it("wait for somebody else's task on the VM, in bounds", async () => {
    const { vm, world, engine } = await worldWithVm({ limits: { busyMs: 30 * MINUTE_MS } })
    vm.runningTasks.push({ name: 'CloneVM_Task', startedAt: '2026-01-02T03:04:05.000Z', by: 'LAB\\alice' })
    const id = await request(world)
    await turnFor(engine, 20 * MINUTE_MS)
    expect((await jobsOf(world, id))[0]).toMatchObject({
      state: 'preparing',
      waitsFor: 'a running task on the VM: "CloneVM_Task" by "LAB\\alice" since 2026-01-02T03:04:05.000Z',
    })
    vm.runningTasks.pop()
    await turnUntil(engine, () => isOver(world, id))
    expect((await jobsOf(world, id))[0]?.outcome?.kind).toBe('success')
    vm.runningTasks.push('CloneVM_Task')
    const skipped = await backUpOne(engine)
    expect(skipped.outcome).toMatchObject({ kind: 'skipped', code: 'vm-busy' })
    await expectRest(engine)
  })
})

describe('movers', () => {
  it('that are all taken are waited for before the snapshot, not with it', async () => {
    const world = await newWorld({ limits: { moversMax: 2 } })
    const engine = newEngine(world)
    for (let i = 1; i <= 6; i++) addVm(world, { name: `db-${i}`, diskBytes: [64 * KiB] })
    let snapshots = 0
    world.chaos = chaos(() => {
      snapshots = Math.max(snapshots, world.vcenter.vms.filter((vm) => vm.snapshots.length > 0).length)
      return null
    })
    const ids = await Promise.all(world.vcenter.vms.map((vm) => request(world, { vms: [vm.name] })))
    for (const id of ids) await turnUntil(engine, () => isOver(world, id))
    for (const id of ids) expect((await jobsOf(world, id))[0]?.outcome?.kind).toBe('success')
    expect(snapshots).toBe(2)
    await expectRest(engine)
  })
})
