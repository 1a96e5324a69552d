// What others do while backups run: to the VM, its disks and snapshots, to messages, to clocks.

import {
  dropSnapshot,
  type MemoryDisk,
  type MemorySnapshot,
  type MemoryVm,
  newDisk,
  relocate,
  revertTo,
  takeSnapshot,
} from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { type Moref, parseMoref } from '../../lib/model/ids.ts'
import { ourSnapshots } from '../stages/backups.ts'
import { writeSome } from '../stages/world.ts'
import type { Dice } from './dice.ts'
import type { FaultKind } from './fault-kinds.ts'
import { diceFor, later, MINUTE_MS, type Play, SECOND_MS, strikes } from './play.ts'

type Happening = (play: Play, vm: MemoryVm, dice: Dice) => void

const HAPPENINGS: Partial<Readonly<Record<FaultKind, Happening>>> = {
  'foreign-snapshot': (play, vm, dice) => {
    const moref = takeForeign(play, vm)
    if (dice.hits(0.6)) void later(play, dice.number(1, 600) * SECOND_MS, () => removeForeign(play, vm, moref))
  },
  'foreign-delete-all': (play, vm) => {
    for (const { moref } of [...vm.snapshots].toReversed()) {
      play.foreign.delete(moref)
      dropSnapshot(vm, moref)
    }
  },
  'foreign-revert': (_, vm, dice) => {
    if (vm.snapshots.length > 0) revertTo(vm, dice.pick(vm.snapshots).moref)
  },
  'foreign-task': (play, vm, dice) => {
    const name = `${dice.pick(['ReconfigVM_Task', 'RelocateVM_Task', 'CreateSnapshot_Task'])} ${dice.number(1, 1e9)}`
    vm.runningTasks = [...vm.runningTasks, name]
    void later(play, dice.number(5, 2_400) * SECOND_MS, () => {
      vm.runningTasks = vm.runningTasks.filter((other) => other !== name)
    })
  },
  relocated: (_, vm, dice) => relocate(vm, `ds${dice.number(1, 9)}`),
  'power-cycled': (play, vm, dice) => {
    vm.powerState = 'poweredOff'
    void later(play, dice.number(1, 900) * SECOND_MS, () => {
      vm.powerState = 'poweredOn'
    })
  },
  'power-lost': (_, vm, dice) => resetTracking(vm, dice),
  'cbt-reset': (_, vm, dice) => resetTracking(vm, dice),
  'host-disconnected': (play, vm, dice) => {
    vm.connectionState = 'disconnected'
    void later(play, dice.number(5, 1_200) * SECOND_MS, () => {
      vm.connectionState = 'connected'
    })
  },
  'disk-added': ({ world }, vm, dice) => {
    const key = Math.max(1_999, ...vm.disks.map((disk) => disk.key)) + 1
    vm.disks.push(newDisk({ vm: vm.name, key, bytes: dice.number(1, 6) * 64 * KiB }))
    writeSome(world, vm, key)
  },
  // vSphere refuses it while there are snapshots.
  'disk-grown': ({ world }, vm, dice) => {
    if (vm.snapshots.length > 0 || vm.disks.length === 0) return
    const disk = dice.pick(vm.disks)
    const grown = new Uint8Array(disk.bytes.byteLength + dice.number(1, 200) * 512)
    grown.set(disk.bytes)
    disk.bytes = grown
    writeSome(world, vm, disk.key)
  },
  'disk-removed': (_, vm, dice) => {
    if (vm.disks.length > 1) vm.disks.splice(dice.number(0, vm.disks.length - 1), 1)
  },
  'disk-replaced': ({ world }, vm, dice) => {
    const index = dice.number(0, vm.disks.length - 1)
    const before = vm.disks[index]
    if (before === undefined) return
    const number = dice.number(1, 1e9)
    const bytes = dice.number(1, 6) * 64 * KiB
    const fresh: MemoryDisk = { ...newDisk({ vm: vm.name, key: before.key, bytes }), uuid: `6000C29-${number}` }
    fresh.files = [`[ds1] ${vm.name}/${vm.name}-${number}.vmdk`]
    vm.disks[index] = fresh
    writeSome(world, vm, fresh.key)
  },
  'vm-deleted': (play, vm) => {
    const { vms } = play.world.vcenter
    if (vms.length < 2 || vm.runningTasks.length > 0) return
    for (const { moref } of vm.snapshots) play.foreign.delete(moref)
    vms.splice(vms.indexOf(vm), 1)
  },
  'vm-registered-anew': registerAnew,
  'tracking-turned-off': (_, vm, dice) => {
    resetTracking(vm, dice)
    vm.tracking = false
    vm.trackingReal = false
  },
  'quiesce-fails': (_, vm, dice) => {
    vm.mishaps.quiesceFails += dice.number(1, 4)
  },
  'quiesce-unmarked': (_, vm) => {
    vm.mishaps.quiesceUnmarked = !vm.mishaps.quiesceUnmarked
  },
  'removal-unconsolidated': (_, vm) => {
    vm.mishaps.removalsUnconsolidated++
  },
  'snapshot-slow': (_, vm, dice) => {
    vm.mishaps.snapshotTakesMs = dice.number(1, 1_200) * SECOND_MS
  },
  'clock-jumps-ahead': ({ jumpMs }, _, dice) =>
    jumpMs(dice.pick([dice.number(1, 10), dice.number(30, 200)]) * MINUTE_MS),
  'clock-jumps-back': ({ jumpMs }, _, dice) =>
    jumpMs(-dice.pick([dice.number(1, 10), dice.number(30, 60)]) * MINUTE_MS),
}

/** Those that wait for the call which they change; the others may come at any call. */
const AT: Partial<Readonly<Record<FaultKind, RegExp>>> = {
  'quiesce-fails': /^vsphere\.createSnapshot$/,
  'quiesce-unmarked': /^vsphere\.createSnapshot$/,
  'snapshot-slow': /^vsphere\.createSnapshot$/,
  'removal-unconsolidated': /^vsphere\.removeSnapshot$/,
  'disk-grown': /^(vsphere|jobs|queue)\./,
}

/** Called at each call of a process, right before it. */
export function letHappen(play: Play, { name }: { readonly name: string }): void {
  for (const { kind } of play.plan.faults) {
    const happening = HAPPENINGS[kind]
    if (happening === undefined || AT[kind]?.test(name) === false) continue
    const vm = vmOfMoment(play, kind)
    if (vm !== null && strikes(play, kind)) happening(play, vm, diceFor(play, kind))
  }
}

/** Rather one that is being backed up: there is more to break. */
function vmOfMoment(play: Play, kind: FaultKind): MemoryVm | null {
  const { vms } = play.world.vcenter
  if (vms.length === 0) return null
  const busy = vms.filter((vm) => ourSnapshots(vm).length > 0)
  const dice = diceFor(play, kind)
  return dice.pick(busy.length > 0 && dice.hits(0.8) ? busy : vms)
}

export function takeForeign(play: Play, vm: MemoryVm): Moref {
  const atMs = play.world.clock.nowMs()
  const moref = takeSnapshot(vm, { name: 'before the update', description: '', quiesced: false, atMs })
  play.foreign.add(moref)
  return moref
}

function removeForeign(play: Play, vm: MemoryVm, moref: Moref): void {
  play.foreign.delete(moref)
  if (vm.snapshots.some((snapshot) => snapshot.moref === moref)) dropSnapshot(vm, moref)
}

function resetTracking(vm: MemoryVm, dice: Dice): void {
  vm.chain = `52 ${dice.number(1, 1e9)}`
}

/** Another reference for the VM and its snapshots, as after "remove from inventory" and "register". */
function registerAnew(play: Play, vm: MemoryVm, dice: Dice): void {
  if (vm.runningTasks.length > 0) return
  vm.moref = parseMoref(`vm-${dice.number(1_000, 1e9)}`)
  const renamed = new Map<Moref, Moref>()
  for (const { moref } of vm.snapshots) renamed.set(moref, parseMoref(`snapshot-${vm.moref}-${dice.number(1, 1e9)}`))
  const now = (moref: Moref | null): Moref | null => (moref === null ? null : (renamed.get(moref) ?? moref))
  vm.snapshots = vm.snapshots.map(
    (snapshot): MemorySnapshot => ({
      ...snapshot,
      moref: renamed.get(snapshot.moref) ?? snapshot.moref,
      parent: now(snapshot.parent),
    }),
  )
  vm.current = now(vm.current)
  for (const [before, after] of renamed) if (play.foreign.delete(before)) play.foreign.add(after)
}
