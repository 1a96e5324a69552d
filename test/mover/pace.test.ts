// A mover whose datastore is slow: it asks by itself, slows down in all its workers, and comes back.

import { describe, expect, it } from 'vitest'
import { memoryDiskSource } from '../../lib/adapters/memory/transport.ts'
import { memoryVcenter } from '../../lib/adapters/memory/vsphere.ts'
import { MiB } from '../../lib/base/bytes.ts'
import { manualClock, systemClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { pacedSource, paceMemory, setPace } from '../../lib/mover/pace.ts'
import { watchLatency } from '../../lib/mover/watch-latency.ts'
import { backup, cancel, depsOf, differingDisks, moverWorld, prepare } from './world.ts'

it('a paced source rests for its share after each read, and can be stopped while it rests', async () => {
  const clock = manualClock()
  const memory = paceMemory()
  const source = memoryDiskSource(new Uint8Array(100), { beforeRead: async () => clock.advance(10) })
  const paced = pacedSource(source, memory, clock)
  const read = (call = cancel) => paced.read({ offsetBytes: 0, target: new Uint8Array(10) }, call)
  await read()
  expect(clock.sleepers()).toBe(0)
  setPace(memory, 250)
  const resting = read()
  await new Promise(setImmediate)
  expect(clock.sleepers()).toBe(1)
  clock.advance(29)
  expect(clock.sleepers()).toBe(1)
  clock.advance(1)
  await resting
  const stop = new AbortController()
  const stopped = read({ signal: stop.signal })
  await new Promise(setImmediate)
  stop.abort(new Error('stopped'))
  await expect(stopped).rejects.toThrow('stopped')
})

describe('a mover that watches latency', () => {
  async function watching() {
    const clock = manualClock()
    let isAway = false
    const before = (call: string) => {
      if (isAway && call !== 'open') throw new BackupError('gone', { code: 'vcenter-unreachable' })
    }
    const vcenter = memoryVcenter({ clock, before })
    const vm = vcenter.addVm({ name: 'db-1', diskBytes: [MiB] })
    const world = await moverWorld()
    world.vm.addDisk(2000, MiB)
    const { job } = await prepare(world)
    if (job.capture === null) throw new Error('captured')
    const disks = job.capture.disks.map((disk) => ({ ...disk, fileName: '[ds1] db-1/db-1.vmdk' }))
    const pace = paceMemory()
    const watched = {
      job: { ...job, vm: { ...job.vm, moref: vm.moref } },
      capture: { ...job.capture, disks },
      watch: { everyMs: 20_000, latencyStartMs: 20, latencyStopMs: 30 },
      pace,
    }
    const watcher = watchLatency(watched, depsOf(world, { vsphere: vcenter.vsphere, clock }), cancel)
    /** The pace after a look at such a latency; 'away': vCenter fails. */
    const after20s = async (readMs: number | null | 'away') => {
      isAway = readMs === 'away'
      vcenter.datastore.readMs = readMs === 'away' ? null : readMs
      clock.advance(20_000)
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
      return new Int32Array(pace)[0]
    }
    const logins = () => vcenter.calls.filter((call) => call === 'open').length
    return { after20s, watcher, world, logins }
  }

  it('sets the pace of all workers by what the host says, with one session', async () => {
    const { after20s, watcher, logins } = await watching()
    expect(await after20s(40)).toBe(500)
    expect(await after20s(40)).toBe(250)
    expect(await after20s(25)).toBe(250)
    expect(await after20s(10)).toBe(375)
    await watcher[Symbol.asyncDispose]()
    expect(logins()).toBe(1)
  })

  it('reads at full speed where nobody tells, and says so once', async () => {
    const { after20s, watcher, world } = await watching()
    for (let look = 0; look < 3; look++) expect(await after20s(null)).toBe(1_000)
    await watcher[Symbol.asyncDispose]()
    expect(world.log.lines.filter(({ event }) => event === 'latency.unknown')).toHaveLength(1)
  })

  it('logs in anew after an error, and ends nothing for one', async () => {
    const { after20s, watcher, logins } = await watching()
    expect(await after20s(40)).toBe(500)
    expect(await after20s('away')).toBe(500)
    expect(await after20s(40)).toBe(250)
    await watcher[Symbol.asyncDispose]()
    expect(logins()).toBe(2)
  })
})

it('a backup with a watch stores the same bytes, and ends with its watch', async () => {
  const world = await moverWorld()
  world.vm.addDisk(2000, 4 * MiB)
  world.vm.write(2000, MiB, new Uint8Array(MiB).fill(7))
  const latency = { everyMs: 1, latencyStartMs: 20, latencyStopMs: 30 }
  const settings = { ...world.settings, latency }
  // This vCenter has no counters: every look fails, and none of it matters.
  const moved = await backup({ ...world, settings }, { clock: systemClock })
  expect(await differingDisks(world, moved)).toEqual([])
})
