// hunt: what nobody is at work with is removed and mended; what is not provably ours, or a job's, is never touched.

import { describe, expect, it } from 'vitest'
import type { MemoryVm } from '../../lib/adapters/memory/machine.ts'
import { takeSnapshot } from '../../lib/adapters/memory/machine.ts'
import { huntSnapshotName } from '../../lib/model/hunt.ts'
import { parseJobId, snapshotNameOf } from '../../lib/model/ids.ts'
import type { Policy } from '../../lib/model/policy.ts'
import { newVmHistory } from '../../lib/model/vm-history.ts'
import { isWindowOpen } from '../../lib/model/window.ts'
import { type HuntFinding, type HuntOptions, hunt } from '../../lib/stages/hunt.ts'
import { backUpOne, request } from './backups.ts'
import type { Process } from './chaos.ts'
import { type Engine, newEngine, turnFor, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld, policyWith, type World, type WorldOptions } from './world.ts'

const HOUR_MS = 3_600_000
const whole: HuntOptions = { dryRun: false, vms: null, keepsWindows: true }

function huntIn(world: World, options: Partial<HuntOptions> = {}) {
  const process: Process = { name: 'hunt', stop: new AbortController(), dead: false, onDeath: () => undefined }
  return hunt({ ...whole, ...options }, world.depsOf(process), cancel)
}

async function onlyFinding(world: World, options: Partial<HuntOptions> = {}): Promise<HuntFinding> {
  const { findings, unread } = await huntIn(world, options)
  expect(unread).toEqual([])
  expect(findings).toHaveLength(1)
  const [finding] = findings
  if (finding === undefined) throw new Error('nothing found')
  return finding
}

async function engineWith(options: WorldOptions = {}): Promise<{ readonly engine: Engine; readonly vm: MemoryVm }> {
  const world = await newWorld({ ...options, limits: { releaseMs: 60_000, ...options.limits } })
  const vm = addVm(world)
  world.guestsWrite = false
  return { engine: newEngine(world), vm }
}

/** A backup whose snapshot cannot be removed in its time. */
async function leaveSnapshot(engine: Engine, vm: MemoryVm, policy?: Policy): Promise<void> {
  vm.mishaps.removalTakesMs = 40 * HOUR_MS
  const job = await backUpOne(engine, policy === undefined ? {} : { policy })
  expect(job.notices.map(({ code }) => code)).toContain('left-behind')
  vm.mishaps.removalTakesMs = 0
  vm.runningTasks = []
}

const foreign = (vm: MemoryVm, name: string) =>
  takeSnapshot(vm, { name, description: '', quiesced: false, atMs: 1_760_000_000_000 })

describe('hunt', () => {
  it('finds nothing where nothing is, and keeps no place', async () => {
    const { engine } = await engineWith()
    await backUpOne(engine)
    expect(await huntIn(engine.world)).toEqual({ looked: 1, findings: [], unread: [] })
  })

  it('removes a snapshot of ours that its job had to leave behind, and no other', async () => {
    const { engine, vm } = await engineWith()
    await leaveSnapshot(engine, vm)
    const [left] = vm.snapshots
    const users = [foreign(vm, 'before the update'), foreign(vm, snapshotNameOf(anotherOwner))]
    const seen = await onlyFinding(engine.world, { dryRun: true })
    expect(seen).toMatchObject({
      outcome: 'not-tried',
      snapshots: [left?.name],
      unknown: [snapshotNameOf(anotherOwner)],
    })
    expect(vm.snapshots).toHaveLength(3)

    expect(await onlyFinding(engine.world)).toMatchObject({ outcome: 'mended', snapshots: [left?.name] })
    expect(vm.snapshots.map(({ moref }) => moref)).toEqual(users)
    expect((await engine.world.jobStore.resources.get(`vm/${vm.vmId}`, cancel))?.value.places ?? []).toEqual([])
    // What another installation may have made is told, and stays.
    expect(await onlyFinding(engine.world)).toMatchObject({ outcome: 'left', snapshots: [], disks: null })
    expect(vm.snapshots.map(({ moref }) => moref)).toEqual(users)
  })

  it('leaves the snapshot of a job at work alone', async () => {
    const { engine, vm } = await engineWith()
    const { world } = engine
    world.beforeMove = () => world.clock.sleep(10 * 60_000, cancel)
    await request(world)
    await turnUntil(engine, async () => world.moving > 0)
    expect(vm.snapshots).toHaveLength(1)
    expect((await huntIn(world)).findings).toEqual([])
    expect(vm.snapshots).toHaveLength(1)
  })

  it('waits for a job that holds the VM, and for tasks of others', async () => {
    const { engine, vm } = await engineWith()
    const { world } = engine
    vm.consolidationNeeded = true
    vm.runningTasks = ['RelocateVM_Task']
    const busy = await onlyFinding(world)
    expect(busy).toMatchObject({ outcome: 'waits', disks: 'its disks need consolidation' })
    expect(busy.reason).toContain('RelocateVM_Task')
    await request(world)
    await turnFor(engine, 60_000)
    expect((await onlyFinding(world)).reason).toMatch(/^VM "db-1": 1 of 1 are taken by job [0-9a-f]{8}$/)
  })

  it('does not work on a VM together with another hunt, nor gives back what that one holds', async () => {
    const { engine, vm } = await engineWith()
    const { world } = engine
    vm.consolidationNeeded = true
    vm.mishaps.consolidationTakesMs = 30_000
    const first = huntIn(world)
    await expect.poll(() => vm.runningTasks).toEqual(['ConsolidateVMDisks_Task'])
    expect((await onlyFinding(world)).reason).toMatch(/^VM "db-1": 1 of 1 are taken/)
    const places = async () => (await world.jobStore.resources.get(`vm/${vm.vmId}`, cancel))?.value.places ?? []
    expect(await places()).toHaveLength(1)
    world.clock.advance(31_000)
    expect((await first).findings).toMatchObject([{ outcome: 'mended' }])
    expect(await places()).toEqual([])
  })

  it('removes its own snapshot alone when somebody else is at work on the VM', async () => {
    const { engine, vm } = await engineWith()
    const { world } = engine
    loseDelta(vm)
    vm.mishaps.consolidationsFail = 1
    await onlyFinding(world)
    world.clock.advance(4 * HOUR_MS)
    vm.mishaps.consolidationsDeaf = 1
    vm.mishaps.snapshotTakesMs = 1_000
    const second = huntIn(world)
    await expect.poll(() => vm.runningTasks).toEqual(['CreateSnapshot_Task'])
    // What it makes shows in the tree when it has ended.
    vm.runningTasks.push('CreateSnapshot_Task of others')
    world.clock.advance(1_001)
    expect((await second).findings).toHaveLength(1)
    expect(world.vcenter.calls).toContain('removeSnapshot')
    expect(world.vcenter.calls).not.toContain('removeAllSnapshots')
    expect(vm.snapshots).toEqual([])
  })

  it('has disks consolidated, also below snapshots of others', async () => {
    const { engine, vm } = await engineWith()
    foreign(vm, 'mine')
    vm.consolidationNeeded = true
    expect(await onlyFinding(engine.world)).toMatchObject({ outcome: 'mended' })
    expect(vm).toMatchObject({ consolidationNeeded: false, snapshots: [{ name: 'mine' }] })
  })

  it('climbs its ladder, a try every four hours: consolidate, then a snapshot and remove all', async () => {
    const { engine, vm } = await engineWith()
    const { world } = engine
    const lost = loseDelta(vm)
    vm.mishaps.consolidationsFail = 2
    const first = await onlyFinding(world)
    expect(first).toMatchObject({ outcome: 'waits', snapshots: [] })
    expect(first.disks).toContain(`no snapshot accounts for the delta of "Hard disk 1" ("${lost}")`)
    expect(world.vcenter.calls).not.toContain('createSnapshot')
    expect((await onlyFinding(world)).reason).toMatch(/^try 2 of 4 is due at /)
    world.clock.advance(4 * HOUR_MS)
    vm.mishaps.consolidationsFail = 0
    vm.mishaps.consolidationsDeaf = 1
    expect(await onlyFinding(world)).toMatchObject({ outcome: 'mended' })
    expect(world.vcenter.calls.filter((call) => call === 'createSnapshot')).toHaveLength(1)
    expect(world.vcenter.calls.filter((call) => call === 'removeAllSnapshots')).toHaveLength(1)
    expect(vm.disks[0]?.files).toHaveLength(1)
    expect(vm.snapshots).toEqual([])
    expect((await world.jobStore.vms.get(vm.vmId, cancel))?.value.hunt).toBeNull()
  })

  it('makes no snapshot where others have one, and says after four tries that somebody must look', async () => {
    const { engine, vm } = await engineWith()
    const { world } = engine
    foreign(vm, 'mine')
    vm.consolidationNeeded = true
    vm.mishaps.consolidationsFail = 9
    for (let tries = 1; tries <= 4; tries++) {
      expect((await onlyFinding(world)).outcome).toBe('waits')
      world.clock.advance(4 * HOUR_MS)
    }
    expect(world.notifier.sent).toEqual([])
    const last = await onlyFinding(world)
    expect(last).toMatchObject({ outcome: 'left', reason: '4 tries did not mend it' })
    expect(world.notifier.sent).toMatchObject([{ severity: 'warning', message: expect.stringContaining('4 tries') }])
    expect(last.hint).toContain('consolidate it by hand')
    expect(world.vcenter.calls).not.toContain('createSnapshot')
    expect(vm.snapshots.map(({ name }) => name)).toEqual(['mine'])
    vm.consolidationNeeded = false
    expect((await huntIn(world, { dryRun: true })).findings).toEqual([])
    expect((await world.jobStore.vms.get(vm.vmId, cancel))?.value.hunt).toMatchObject({ tries: 4 })
    expect((await huntIn(world)).findings).toEqual([])
    expect((await world.jobStore.vms.get(vm.vmId, cancel))?.value.hunt).toBeNull()
  })

  it('removes the snapshot that an earlier hunt made and did not live to remove; so does a backup', async () => {
    for (const by of ['hunt', 'backup']) {
      const { engine, vm } = await engineWith()
      const { world } = engine
      const snapshot = huntSnapshotName({ vmId: vm.vmId, tries: 1, mark: '0a1b2c3d' })
      const history = newVmHistory(vm)
      const died = { tries: 2, triedAt: '2025-10-09T08:00:00.000Z', reason: 'x', snapshot }
      await world.jobStore.vms.create(vm.vmId, { ...history, hunt: died }, cancel)
      foreign(vm, snapshot)
      if (by === 'hunt') expect(await onlyFinding(world)).toMatchObject({ outcome: 'mended', snapshots: [snapshot] })
      else expect((await backUpOne(engine)).outcome?.kind).toBe('success')
      expect(vm.snapshots).toEqual([])
    }
  })

  it('tells of a snapshot that is named as its own and that no history knows, and leaves it', async () => {
    const { engine, vm } = await engineWith()
    const name = huntSnapshotName({ vmId: vm.vmId, tries: 1, mark: '0a1b2c3d' })
    foreign(vm, name)
    expect(await onlyFinding(engine.world)).toMatchObject({ outcome: 'left', snapshots: [], unknown: [name] })
    expect(vm.snapshots).toHaveLength(1)
  })

  it('keeps to the window of the policy whose backup left it', async () => {
    const { engine, vm } = await engineWith()
    const schedule = {
      cron: '0 22 * * *',
      rpoMs: null,
      timeZone: 'UTC',
      rateMs: null,
      windowOpen: null,
      jitterMs: 0,
      windowClose: '06:00',
    }
    const policy = policyWith({ schedule })
    await leaveSnapshot(engine, vm, policy)
    const { clock } = engine.world
    while (isWindowOpen(policy, clock.nowMs())) clock.advance(HOUR_MS)
    expect(await onlyFinding(engine.world)).toMatchObject({ outcome: 'waits' })
    expect(vm.snapshots).toHaveLength(1)
    while (!isWindowOpen(policy, clock.nowMs())) clock.advance(HOUR_MS)
    expect(await onlyFinding(engine.world)).toMatchObject({ outcome: 'mended' })
    expect(vm.snapshots).toEqual([])
  })

  it('looks at the others when one VM cannot be read', async () => {
    const { engine, vm } = await engineWith()
    const { world } = engine
    addVm(world, { name: 'db-2' }).consolidationNeeded = true
    vm.consolidationNeeded = true
    vm.mishaps.consolidationsFail = 1
    const { findings } = await huntIn(world)
    expect(new Map(findings.map((each) => [each.vm.name, each.outcome]))).toEqual(
      new Map([
        ['db-1', 'waits'],
        ['db-2', 'mended'],
      ]),
    )
  })
})

const anotherOwner = { job: parseJobId('a'.repeat(32)), purpose: 'backup', attempt: 1 } as const

/** @returns the file that the disk runs on, with nothing in the tree */
function loseDelta(vm: MemoryVm): string {
  const [disk] = vm.disks
  if (disk === undefined) throw new Error('no disk')
  const file = (disk.files[0] ?? '').replace('.vmdk', '-000001.vmdk')
  disk.files = [file, ...disk.files]
  return file
}
