// The main way of a backup through every stage, with the VMs that an estate has.

import { describe, expect, it } from 'vitest'
import { type MemoryVm, takeSnapshot } from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import type { Policy } from '../../lib/model/policy.ts'
import { defaultPolicy } from '../../lib/model/policy.ts'
import { backUp, backUpOne, expectRest, pointOfJob } from './backups.ts'
import { newEngine } from './engine.ts'
import { addVm, newWorld, policyWith } from './world.ts'

type Case = {
  readonly what: string
  readonly change?: (vm: MemoryVm) => void
  readonly policy?: Partial<Policy>
  readonly tracking?: boolean
  readonly expected: { readonly kind: string; readonly code: string; readonly says?: RegExp }
  /** Said by the first backup alone. */
  readonly once?: true
  /** Keys of the disks that the point holds; null when there must be none. */
  readonly disks: readonly number[] | null
  /** Calls that must not be made. */
  readonly without?: readonly string[]
}

const is =
  (change: Partial<MemoryVm>) =>
  (vm: MemoryVm): void => {
    Object.assign(vm, change)
  }
const meets =
  (change: Partial<MemoryVm['mishaps']>) =>
  (vm: MemoryVm): void => {
    Object.assign(vm.mishaps, change)
  }
const foreign = (vm: MemoryVm): void => {
  takeSnapshot(vm, { name: 'before the update', description: '', quiesced: false, atMs: 0 })
}
const independent = (vm: MemoryVm): void => {
  for (const disk of vm.disks.slice(1)) disk.mode = 'independent_persistent'
}
const raw = (vm: MemoryVm): void => {
  for (const disk of vm.disks.slice(1)) disk.backing = 'rdm-physical'
}
const exclude = (...patterns: readonly string[]) => ({ disks: { exclude: patterns } })
const ok = { kind: 'success', code: 'ok' }

const CASES: readonly Case[] = [
  { what: 'with two disks', expected: ok, disks: [2000, 2001] },
  {
    what: 'that is powered off',
    change: is({ powerState: 'poweredOff' }),
    expected: ok,
    disks: [2000, 2001],
  },
  { what: 'that is suspended', change: is({ powerState: 'suspended' }), expected: ok, disks: [2000, 2001] },
  { what: 'without Tools', change: is({ toolsRunning: false }), expected: ok, disks: [2000, 2001] },
  {
    what: 'whose quiescing fails twice',
    change: meets({ quiesceFails: 2 }),
    expected: ok,
    disks: [2000, 2001],
  },
  {
    what: 'whose quiescing fails always',
    change: meets({ quiesceFails: 9 }),
    expected: ok,
    disks: [2000, 2001],
  },
  { what: 'without tracking so far', tracking: false, expected: ok, disks: [2000, 2001] },
  {
    what: 'whose hardware cannot track changes',
    tracking: false,
    change: is({ trackingSupported: false }),
    expected: { kind: 'warning', code: 'cbt-unavailable' },
    once: true,
    disks: [2000, 2001],
    without: ['setChangeTracking'],
  },
  {
    what: 'with an independent disk',
    change: independent,
    expected: { kind: 'failed', code: 'disk-unsupported', says: /"Hard disk 2".*independent/ },
    disks: null,
    without: ['createSnapshot', 'setChangeTracking'],
  },
  {
    what: 'with an independent disk that the policy excludes',
    change: independent,
    policy: exclude('Hard disk 2'),
    expected: { kind: 'warning', code: 'disk-excluded', says: /"Hard disk 2".*independent/ },
    disks: [2000],
  },
  {
    what: 'with a raw device mapping',
    change: raw,
    expected: { kind: 'failed', code: 'disk-unsupported', says: /physical/ },
    disks: null,
    without: ['createSnapshot'],
  },
  {
    what: 'with a raw device mapping that the policy excludes by file name',
    change: raw,
    policy: exclude('db-1_1.vmdk'),
    expected: { kind: 'warning', code: 'disk-excluded' },
    disks: [2000],
  },
  { what: 'one of whose disks the policy excludes', policy: exclude('db-1_*'), expected: ok, disks: [2000] },
  {
    what: 'all of whose disks the policy excludes',
    policy: exclude('*'),
    expected: { kind: 'failed', code: 'no-disks' },
    disks: null,
    without: ['createSnapshot'],
  },
  {
    what: 'with a snapshot of somebody, by datastore alone',
    change: foreign,
    policy: { transport: ['datastore'] },
    expected: { kind: 'failed', code: 'foreign-snapshot', says: /"before the update"/ },
    disks: null,
    without: ['createSnapshot', 'removeSnapshot'],
  },
  {
    what: 'with a snapshot of somebody, by a transport that reads chains',
    change: foreign,
    policy: { transport: ['nbd'] },
    expected: ok,
    disks: [2000, 2001],
  },
  {
    what: 'with a snapshot of somebody, one of whose disks is excluded by its own file name',
    change: foreign,
    policy: { transport: ['nbd'], ...exclude('[ds1] db-1/db-1_1.vmdk') },
    expected: ok,
    disks: [2000],
  },
  {
    what: 'with a snapshot of a Coldframe that nobody here knows',
    change: (vm) => {
      const name = `coldframe-${'0123456789abcdef'.repeat(2)}-backup-1`
      takeSnapshot(vm, { name, description: '', quiesced: false, atMs: 0 })
    },
    policy: { transport: ['datastore'] },
    expected: { kind: 'failed', code: 'foreign-snapshot', says: /"coldframe-0123/ },
    disks: null,
    without: ['createSnapshot', 'removeSnapshot'],
  },
  {
    what: 'that is protected by Fault Tolerance',
    change: is({ faultTolerant: true }),
    expected: { kind: 'failed', code: 'vm-fault-tolerant' },
    disks: null,
    without: ['createSnapshot'],
  },
  {
    what: 'whose host is away',
    change: is({ connectionState: 'disconnected' }),
    expected: { kind: 'failed', code: 'vm-not-connected', says: /"disconnected"/ },
    disks: null,
    without: ['createSnapshot'],
  },
  {
    what: 'whose policy requires a grade that nothing gives',
    policy: { consistency: { ...defaultPolicy().consistency, want: 'application', require: 'application' } },
    expected: { kind: 'failed', code: 'grade-not-reached', says: /guest processing off/ },
    disks: null,
    without: ['createSnapshot'],
  },
  {
    what: 'whose disks need consolidation',
    change: is({ consolidationNeeded: true }),
    expected: ok,
    disks: [2000, 2001],
  },
  { what: 'without disks', change: (vm) => void vm.disks.splice(0), expected: ok, disks: [] },
]

describe('a backup of a VM', () => {
  it.each(CASES)('$what ends as $expected.kind ($expected.code)', async (one) => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [256 * KiB, 100 * KiB], tracking: one.tracking !== false })
    one.change?.(vm)
    const theirs = vm.snapshots.map(({ name }) => name)
    const engine = newEngine(world)
    for (const round of [1, 2]) {
      const job = await backUpOne(engine, { policy: policyWith(one.policy) })
      const expected = round === 2 && one.once === true ? ok : one.expected
      expect(job.outcome, JSON.stringify(job.outcome)).toMatchObject({ kind: expected.kind, code: expected.code })
      if (one.expected.says !== undefined) expect(job.outcome?.message).toMatch(one.expected.says)
      const point = await pointOfJob(world, job)
      expect(point?.envelope.disks.map(({ key }) => key) ?? null).toEqual(one.disks)
      if (point !== null) expect(point.envelope.sequence).toBe(round)
      await expectRest(engine)
    }
    expect(vm.snapshots.map(({ name }) => name)).toEqual(theirs)
    for (const call of one.without ?? []) expect(world.vcenter.calls).not.toContain(call)
  })

  it('reads only what changed since the last point', async () => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [2048 * KiB] })
    world.guestsWrite = false
    const engine = newEngine(world)
    expect((await backUpOne(engine)).counts.readBytes).toBe(2048 * KiB)
    world.vcenter.write(vm, { key: 2000, offsetBytes: 700_000, bytes: world.random.bytes(10) })
    const second = await backUpOne(engine, { policy: policyWith({ changeTracking: { auditPercent: 0 } }) })
    expect(second.counts.readBytes).toBe(64 * KiB)
    expect((await pointOfJob(world, second))?.body.disks[0]).toMatchObject({
      readMode: 'incremental',
      readModeReason: null,
    })
    await expectRest(engine)
  })

  it('reads a disk whole when its change ids no longer count, and the chain goes on', async () => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [256 * KiB] })
    const engine = newEngine(world)
    await backUpOne(engine)
    vm.chain = 'begun anew'
    const job = await backUpOne(engine)
    const point = await pointOfJob(world, job)
    expect(point?.body.disks[0]).toMatchObject({ readMode: 'differential' })
    expect(point?.envelope.parentSequence).toBe(1)
    await expectRest(engine)
  })

  it('beside others of the same policy gives each its point, with guests that write all the time', async () => {
    const seed = Number(process.env['COLDFRAME_SEED'] ?? Math.floor(Math.random() * 1e9))
    const world = await newWorld({ seed })
    for (let i = 1; i <= 6; i++) addVm(world, { name: `db-${i}`, diskBytes: [128 * KiB, i * 40 * KiB] })
    const engine = newEngine(world)
    const policy = policyWith({ select: { any: [{ name: 'db-*' }], all: [], none: [] } })
    for (let round = 0; round < 3; round++) {
      const jobs = await backUp(engine, { vms: null, policy })
      expect(
        jobs.map((job) => job.outcome?.kind),
        `seed ${seed}`,
      ).toEqual(Array(6).fill('success'))
    }
    await expectRest(engine)
  })
})
