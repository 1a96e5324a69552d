// What follows when an audit catches changed block tracking: the run heals, a reset is due and done, earlier points are marked.

import { describe, expect, it } from 'vitest'
import { dropSnapshot, setTracking, takeSnapshot } from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { Job } from '../../lib/model/job.ts'
import { listAnnotations } from '../../lib/repository/annotations.ts'
import { allPoints, backUpOne, expectRest, pointOfJob } from './backups.ts'
import { chaos } from './chaos.ts'
import { newEngine } from './engine.ts'
import { addVm, cancel, newWorld, policyWith, type World } from './world.ts'

const audits = (auditPercent: number) => ({ policy: policyWith({ changeTracking: { auditPercent } }) })

/** One VM of two disks and some points, the first read whole, the rest by changed areas and not audited. */
async function worldWithPoints(points: number) {
  const world = await newWorld()
  world.guestsWrite = false
  const vm = addVm(world, { diskBytes: [512 * KiB, 128 * KiB] })
  const engine = newEngine(world)
  for (let point = 1; point <= points; point++) {
    world.vcenter.write(vm, { key: 2000, offsetBytes: 1_000 * point, bytes: world.random.bytes(10) })
    expect((await backUpOne(engine, audits(0))).outcome?.kind).toBe('success')
  }
  const writeUnseen = (key: number) => {
    vm.mishaps.trackingBlind = true
    world.vcenter.write(vm, { key, offsetBytes: 70_000, bytes: world.random.bytes(10) })
    vm.mishaps.trackingBlind = false
  }
  return { world, vm, engine, writeUnseen }
}

async function said(world: World) {
  const { annotations, unreadable } = await listAnnotations({ repository: world.repository }, cancel)
  expect(unreadable).toEqual([])
  return annotations.map(({ sequence, number, said: text }) => ({
    sequence,
    number,
    diskKeys: text?.kind === 'unproven' ? text.diskKeys : [],
  }))
}

async function resetOf(world: World, job: Job) {
  const found = await world.jobStore.vms.get(job.vm.vmId, cancel)
  return { due: found?.value.trackingReset ?? null, last: found?.value.lastReset ?? null }
}

const events = (world: World) => world.events.published.filter(({ type }) => type === 'coldframe.audit.mismatch')

/** The calls that change tracking, and the snapshots around them. */
const stuns = (world: World, from: number) =>
  world.vcenter.calls
    .slice(from)
    .filter((call) => ['setChangeTracking', 'createSnapshot', 'removeSnapshot'].includes(call))

describe('a backup whose audit finds changes that tracking left out', () => {
  it('ends as a warning with a right point; the points since the last whole one are marked, and it is told', async () => {
    const { world, engine, writeUnseen } = await worldWithPoints(3)
    writeUnseen(2000)
    const job = await backUpOne(engine, audits(100))
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'cbt-mismatch' })
    expect(job.notices.map(({ code }) => code)).toEqual(['cbt-mismatch', 'points-unproven'])
    expect(job.notices[1]?.message).toContain('Restore points 2 to 3 of VM "db-1" are marked')
    const disks = (await pointOfJob(world, job))?.body.disks.map(({ readMode, readModeCode }) => [
      readMode,
      readModeCode,
    ])
    expect(disks).toEqual([
      ['differential', 'audit-mismatch'],
      ['incremental', null],
    ])
    expect(await said(world)).toEqual([
      { sequence: 2, number: 1, diskKeys: [2000] },
      { sequence: 3, number: 1, diskKeys: [2000] },
    ])
    expect(await resetOf(world, job)).toMatchObject({ due: { reason: expect.stringContaining('"Hard disk 1"') } })
    expect(events(world)).toMatchObject([{ subject: job.id, data: { sequence: 4, unproven: ['2', '3'] } }])
    await expectRest(engine, { restores: false })
  })

  it('marks nothing when the point before was read whole: the changes were left out after it', async () => {
    const { world, engine, writeUnseen } = await worldWithPoints(1)
    writeUnseen(2000)
    const job = await backUpOne(engine, audits(100))
    expect(job.notices.map(({ code }) => code)).toEqual(['cbt-mismatch'])
    expect(await said(world)).toEqual([])
    expect(events(world)).toHaveLength(1)
    await expectRest(engine)
  })

  it('marks a point up to one that was audited whole, each disk by itself', async () => {
    const { world, engine, writeUnseen } = await worldWithPoints(2)
    await backUpOne(engine, audits(100))
    await backUpOne(engine, audits(0))
    writeUnseen(2000)
    writeUnseen(2001)
    await backUpOne(engine, audits(100))
    expect(await said(world)).toEqual([{ sequence: 4, number: 1, diskKeys: [2000, 2001] }])
  })

  it('has tracking reset by the next prepare: off, stun, on, stun, once', async () => {
    const { world, engine, writeUnseen } = await worldWithPoints(2)
    writeUnseen(2001)
    const caught = await backUpOne(engine, audits(100))
    const calls = world.vcenter.calls.length
    const next = await backUpOne(engine, audits(100))
    const cycle = ['setChangeTracking', 'createSnapshot', 'removeSnapshot']
    expect(stuns(world, calls)).toEqual([...cycle, ...cycle, 'createSnapshot', 'removeSnapshot'])
    expect(next.outcome).toMatchObject({ kind: 'warning', code: 'cbt-reset' })
    expect(await resetOf(world, caught)).toMatchObject({ due: null, last: { reason: expect.any(String) } })
    const later = await backUpOne(engine, audits(100))
    expect(later.outcome?.kind).toBe('success')
    expect((await pointOfJob(world, later))?.body.disks.map(({ readMode }) => readMode)).toEqual([
      'incremental',
      'incremental',
    ])
    await expectRest(engine, { restores: false })
  })

  it('keeps the reset due while snapshots of others exist, and does not use tracking meanwhile', async () => {
    const { world, vm, engine, writeUnseen } = await worldWithPoints(2)
    writeUnseen(2000)
    const caught = await backUpOne(engine, audits(100))
    const foreign = takeSnapshot(vm, { name: 'theirs', description: '', quiesced: false, atMs: world.clock.nowMs() })
    const nbd = { policy: policyWith({ transport: ['nbd'] }) }
    const calls = world.vcenter.calls.length
    const meanwhile = await backUpOne(engine, nbd)
    expect(world.vcenter.calls.slice(calls)).not.toContain('setChangeTracking')
    expect((await pointOfJob(world, meanwhile))?.body.disks[0]).toMatchObject({
      readMode: 'differential',
      readModeCode: 'tracking-off',
      readModeReason: expect.stringContaining('is to be reset'),
    })
    expect((await resetOf(world, caught)).due).not.toBeNull()
    dropSnapshot(vm, foreign)
    await backUpOne(engine, nbd)
    expect((await resetOf(world, caught)).due).toBeNull()
    await expectRest(engine, { restores: false })
  })

  it('does not turn tracking on again over a snapshot that somebody makes during the reset', async () => {
    const { world, vm, engine, writeUnseen } = await worldWithPoints(2)
    writeUnseen(2000)
    await backUpOne(engine, audits(100))
    const from = world.vcenter.calls.length
    let made = false
    world.chaos = chaos(({ name }) => {
      if (!made && name === 'vsphere.removeSnapshot')
        takeSnapshot(vm, { name: 'before the update', description: '', quiesced: false, atMs: 0 })
      made ||= name === 'vsphere.removeSnapshot'
      return null
    })
    const job = await backUpOne(engine, { policy: { ...audits(100).policy, transport: ['nbd'] } })
    expect(job.tracking).toMatchObject({ active: false, reason: expect.stringContaining('while snapshots exist') })
    expect(stuns(world, from).filter((call) => call === 'setChangeTracking')).toHaveLength(1)
    expect((await resetOf(world, job)).due).not.toBeNull()
    await expectRest(engine)
  })

  it('says nothing of tracking when the VM was changed while it was read', async () => {
    const { world, vm, engine, writeUnseen } = await worldWithPoints(2)
    writeUnseen(2000)
    world.beforeMove = async () => {
      for (const disk of vm.disks) disk.uuid = `${disk.uuid}-moved`
      for (const { frozen } of vm.snapshots) for (const one of frozen) Object.assign(one.disk, { capacityBytes: 1 })
    }
    const job = await backUpOne(engine, audits(100))
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'snapshot-changed' })
    expect(await said(world)).toEqual([])
    expect((await resetOf(world, job)).due).toBeNull()
  })

  it('marks earlier points also when its own point cannot be published', async () => {
    const { world, engine, writeUnseen } = await worldWithPoints(2)
    writeUnseen(2000)
    world.onSend = (message) => {
      if (message.kind === 'commit')
        for (const key of world.store.objects.keys()) if (/^s\/.*\/start$/.test(key)) world.store.objects.delete(key)
      return 'keep'
    }
    const job = await backUpOne(engine, {
      policy: policyWith({ changeTracking: { auditPercent: 100 }, attemptsMax: 1 }),
    })
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'session-expired' })
    expect(await said(world)).toEqual([{ sequence: 2, number: 1, diskKeys: [2000] }])
    expect(job.notices.map(({ code }) => code)).toContain('points-unproven')
    expect((await resetOf(world, job)).due).not.toBeNull()
    expect(await allPoints(world)).toHaveLength(2)
  })
})

describe('marking points', () => {
  it('is tried again while the store refuses, and then said to be left undone', async () => {
    const { world, engine, writeUnseen } = await worldWithPoints(2)
    writeUnseen(2000)
    let refused = 0
    const { putIfAbsent } = world.store
    world.store.putIfAbsent = async (object, inner) => {
      if (!object.key.startsWith('a/')) return putIfAbsent(object, inner)
      refused++
      throw new BackupError('Cannot write', { code: 'store-refused', retry: 'no' })
    }
    const job = await backUpOne(engine, audits(100))
    expect(refused).toBeGreaterThan(3)
    expect(job).toMatchObject({ state: 'done', outcome: { kind: 'warning', code: 'cbt-mismatch' } })
    expect(job.notices.at(-1)).toMatchObject({
      code: 'left-behind',
      message: expect.stringContaining('mark as unproven'),
    })
    expect(await said(world)).toEqual([])
    expect((await resetOf(world, job)).due).not.toBeNull()
  })

  it('stops at a point that cannot be read, marks those after it and says so', async () => {
    const { world, engine, writeUnseen } = await worldWithPoints(4)
    writeUnseen(2000)
    const [, second] = [...world.store.objects.keys()].filter((key) => key.startsWith('r/')).toSorted()
    const bytes = (await world.store.get(second ?? '', cancel)) ?? new Uint8Array()
    const damaged = bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte))
    const { get } = world.store
    world.store.get = async (key, inner) => (key === second ? damaged : get(key, inner))
    const job = await backUpOne(engine, audits(100))
    expect(job.notices.map(({ code }) => code)).toEqual(['cbt-mismatch', 'points-unproven', 'points-unmarked'])
    expect((await said(world)).map(({ sequence }) => sequence)).toEqual([3, 4])
  })
})

describe('tracking that does not work', () => {
  it('is reset once, and not again within a week when that did not help', async () => {
    const { world, vm, engine } = await worldWithPoints(1)
    vm.mishaps.queryFails = true
    const first = await backUpOne(engine)
    expect(first.outcome).toMatchObject({ kind: 'warning', code: 'cbt-unavailable' })
    expect((await resetOf(world, first)).due).not.toBeNull()
    const resets = async () => {
      const calls = world.vcenter.calls.length
      await backUpOne(engine)
      return stuns(world, calls).filter((call) => call === 'setChangeTracking').length
    }
    // The reset; a point by whole reads, whose ids count again; from there on the query fails as before.
    expect([await resets(), await resets(), await resets()]).toEqual([2, 0, 0])
    world.clock.advance(8 * 24 * 3_600_000)
    expect([await resets(), await resets()]).toEqual([0, 2])
    await expectRest(engine, { restores: false })
  })

  it('is not believed when it was turned on above a snapshot, and is reset when that is gone', async () => {
    const world = await newWorld()
    world.guestsWrite = false
    const vm = addVm(world, { diskBytes: [256 * KiB], tracking: false })
    const engine = newEngine(world)
    const foreign = takeSnapshot(vm, { name: 'theirs', description: '', quiesced: false, atMs: world.clock.nowMs() })
    setTracking(vm, true)
    const nbd = { policy: policyWith({ transport: ['nbd'] }) }
    const job = await backUpOne(engine, nbd)
    const point = await pointOfJob(world, job)
    expect(point?.body.disks[0]).toMatchObject({
      readModeCode: 'tracking-off',
      readModeReason: expect.stringContaining('turned on after snapshot "theirs"'),
    })
    dropSnapshot(vm, foreign)
    const calls = world.vcenter.calls.length
    await backUpOne(engine, nbd)
    expect(stuns(world, calls).filter((call) => call === 'setChangeTracking')).toHaveLength(2)
    expect((await resetOf(world, job)).due).toBeNull()
    await expectRest(engine, { restores: false })
  })

  it('is reset when turning it on did not give each disk a change id', async () => {
    const world = await newWorld()
    world.guestsWrite = false
    const vm = addVm(world, { diskBytes: [128 * KiB], tracking: false })
    vm.mishaps.trackingUnreal = true
    const engine = newEngine(world)
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'cbt-unavailable' })
    expect((await pointOfJob(world, job))?.body.disks[0]).toMatchObject({
      readMode: 'full',
      readModeCode: 'no-change-id',
    })
    expect((await resetOf(world, job)).due).not.toBeNull()
    vm.mishaps.trackingUnreal = false
    await backUpOne(engine)
    const third = await backUpOne(engine)
    expect((await pointOfJob(world, third))?.body.disks[0]).toMatchObject({ readMode: 'incremental' })
    expect(third.outcome?.kind).toBe('success')
  })
})
