// The pull door: every change of an alarm that a rule knows becomes one alarm, whatever fails, and nothing is read for ever.

import { describe, expect, it } from 'vitest'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { memoryVcenter } from '../../lib/adapters/memory/vsphere.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { pullAlarms } from '../../lib/doors/pull.ts'
import type { AlarmRule } from '../../lib/model/policy.ts'
import type { Vsphere } from '../../lib/ports/vsphere.ts'
import { alarmPolicy, applyPolicy } from '../stages/alarms.ts'
import { cancel } from '../stages/world.ts'

const HOUR_MS = 3_600_000

function door(options: { readonly before?: (call: string) => void } = {}) {
  const clock = manualClock()
  const vcenter = memoryVcenter({ clock, ...options })
  const vm = vcenter.addVm({ name: 'db-1', diskBytes: [] })
  const queue = memoryQueue({ clock, receivesMax: 5 })
  const log = memoryLog()
  const deps = {
    ...{ clock, sender: queue, vsphere: vcenter.vsphere, log, metrics: memoryMetrics() },
    jobStore: memoryJobStore(),
  }
  const rules: readonly AlarmRule[] = [{ alarm: 'Ransom*', action: 'backup' }]
  return {
    ...{ clock, vcenter, vm, deps, log },
    withRules: () => applyPolicy({ jobStore: deps.jobStore }, alarmPolicy({ rules })),
    pull: () => pullAlarms(deps, cancel),
    names: async () => {
      const records = await deps.jobStore.recentAlarms({ limit: 50_000 }, cancel)
      return records.map(({ alarm }) => alarm.alarmName).toSorted()
    },
  }
}

describe('pullAlarms()', () => {
  it('asks vCenter nothing while no policy has a rule for alarms', async () => {
    const { vcenter, pull } = door()
    expect(await pull()).toBe(0)
    expect(vcenter.calls).toEqual([])
  })

  it('begins where the log ends, and from then on misses nothing and tells nothing twice', async () => {
    const { vcenter, vm, clock, withRules, pull, names } = door()
    await withRules()
    vcenter.raiseAlarm(vm, { name: 'Ransom before' })
    clock.advance(1)
    expect(await pull()).toBe(0)
    for (let minute = 0; minute < 5; minute++) {
      vcenter.raiseAlarm(vm, { name: `Ransom ${minute}a` })
      clock.advance(3_000)
      vcenter.raiseAlarm(vm, { name: `Ransom ${minute}b` })
      vcenter.raiseAlarm(vm, { name: `Ransom ${minute}c` })
      expect(await pull()).toBe(3)
      expect(await pull()).toBe(0)
      clock.advance(minute % 2 === 0 ? 60_000 : 2_000)
    }
    const all = [0, 1, 2, 3, 4].flatMap((minute) => ['a', 'b', 'c'].map((each) => `Ransom ${minute}${each}`))
    expect(await names()).toEqual(all)
  })

  it('keeps of an alarm what vCenter said, under an id that is the event’s', async () => {
    const { vcenter, vm, clock, withRules, pull, deps } = door()
    await withRules()
    await pull()
    clock.advance(5)
    vcenter.raiseAlarm(vm, { name: 'Ransom', from: 'gray', to: 'yellow' })
    await pull()
    const [record] = await deps.jobStore.recentAlarms({ limit: 9 }, cancel)
    expect(record?.alarm).toMatchObject({
      source: 'vcenter-events',
      vcenterId: '11111111-2222-3333-4444-555555555555',
      from: 'gray',
      to: 'yellow',
      target: { moref: vm.moref, name: 'db-1', kind: 'VirtualMachine' },
    })
  })

  it('passes over what is over and what no rule knows, and keeps what a rule would know but for storage', async () => {
    const { vcenter, vm, clock, deps, pull, names } = door()
    await applyPolicy({ jobStore: deps.jobStore }, alarmPolicy({ rules: [{ alarm: '*usage*', action: 'backup' }] }))
    await pull()
    clock.advance(5)
    vcenter.raiseAlarm(vm, { name: 'CPU usage', from: 'red', to: 'green' })
    vcenter.raiseAlarm(vm, { name: 'Another' })
    vcenter.raiseAlarm(vm, { name: 'CPU usage' })
    vcenter.raiseAlarm(vm, { name: 'Datastore usage on disk' })
    expect(await pull()).toBe(2)
    expect(await names()).toEqual(['CPU usage', 'Datastore usage on disk'])
  })

  it('reads a gap of many events in pages, also of one moment, and not more than a day of it', async () => {
    const { vcenter, vm, clock, withRules, pull, names, log } = door()
    await withRules()
    await pull()
    clock.advance(1_000)
    vcenter.raiseAlarm(vm, { name: 'Ransom of long ago' })
    clock.advance(30 * HOUR_MS)
    for (let event = 0; event < 7_000; event++) vcenter.raiseAlarm(vm, { name: `Ransom ${event}` })
    expect(await pull()).toBe(7_000)
    expect(await pull()).toBe(0)
    for (let event = 0; event < 7_000; event++) {
      if (event % 10 === 0) clock.advance(7)
      vcenter.raiseAlarm(vm, { name: `Ransom spread ${event}` })
    }
    for (let times = 0; times < 3; times++) await pull()
    expect(await names()).toHaveLength(14_000)
    expect(JSON.stringify(log.lines)).toContain('pull.gap')
  })

  it('that dies at any call, before or after it, loses no alarm and makes none twice', async () => {
    let calls = 0
    const count = door({ before: () => void calls++ })
    await count.withRules()
    await count.pull()
    for (let fail = 1; fail <= 60; fail++) {
      const { vcenter, vm, clock, withRules, pull, names, deps } = door()
      await withRules()
      await pull()
      clock.advance(5)
      for (const name of ['Ransom 1', 'Ransom 2', 'Ransom 3']) vcenter.raiseAlarm(vm, { name })
      let left = fail
      const struck = {
        ...deps,
        jobStore: dying(deps.jobStore, () => --left === 0),
        sender: dying(deps.sender, () => --left === 0),
      }
      await pullAlarms(struck, cancel).catch(() => undefined)
      await pull()
      expect(await names()).toEqual(['Ransom 1', 'Ransom 2', 'Ransom 3'])
      if (left > 0) return
    }
    throw new Error('a pull ends within 60 calls')
  })

  it('at once with another is one record an event', async () => {
    const { vcenter, vm, clock, withRules, pull, names } = door()
    await withRules()
    await pull()
    clock.advance(5)
    for (let event = 0; event < 50; event++) vcenter.raiseAlarm(vm, { name: `Ransom ${event}` })
    await Promise.all([pull(), pull(), pull()])
    expect(await names()).toHaveLength(50)
  })

  it('goes on from a clock of vCenter that was put back', async () => {
    const { vcenter, vm, clock, withRules, deps, names } = door()
    await withRules()
    const ahead = { ...deps, vsphere: withTime(vcenter.vsphere, () => clock.nowMs() + HOUR_MS) }
    await pullAlarms(ahead, cancel)
    await pullAlarms(deps, cancel)
    clock.advance(5)
    vcenter.raiseAlarm(vm, { name: 'Ransom' })
    await pullAlarms(deps, cancel)
    expect(await names()).toEqual(['Ransom'])
  })

  it('fails when vCenter cannot be reached, and reads on from where it was', async () => {
    let away = false
    const before = () => {
      if (away) throw new BackupError('away', { code: 'vcenter-unreachable', retry: 'later' })
    }
    const { vcenter, vm, clock, withRules, pull, names } = door({ before })
    await withRules()
    await pull()
    clock.advance(5)
    vcenter.raiseAlarm(vm, { name: 'Ransom' })
    away = true
    await expect(pull()).rejects.toThrow('away')
    away = false
    await pull()
    expect(await names()).toEqual(['Ransom'])
  })
})

/** Every method of the port, and of its parts, may throw after it took effect. */
function dying<Port extends object>(port: Port, isStruck: () => boolean): Port {
  return new Proxy(port, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (typeof value === 'object' && value !== null) return dying(value, isStruck)
      if (typeof value !== 'function') return value
      return async (...args: unknown[]) => {
        const result: unknown = await Reflect.apply(value, target, args)
        if (isStruck()) throw new BackupError('killed', { code: 'killed', retry: 'later' })
        return result
      }
    },
  })
}

function withTime(vsphere: Vsphere, nowMs: () => number): Vsphere {
  return {
    open: async (opening) => ({
      ...(await vsphere.open(opening)),
      currentTime: async () => new Date(nowMs()).toISOString(),
    }),
  }
}
