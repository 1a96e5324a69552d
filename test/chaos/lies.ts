// vCenter as the processes reach it: changed block tracking that lies, tasks that go on behind their callers' backs; and what
// must never be asked of it.

import { consolidateDisks, type MemoryVm } from '../../lib/adapters/memory/machine.ts'
import { faultError } from '../../lib/adapters/vsphere/faults.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { Cancel } from '../../lib/base/time-limit.ts'
import { type Extent, mergeExtents } from '../../lib/model/extent.ts'
import type { Moref } from '../../lib/model/ids.ts'
import type { SnapshotState, VmState } from '../../lib/model/vm.ts'
import type { ChangedAreas, Vsphere, VsphereSession } from '../../lib/ports/vsphere.ts'
import { cancel } from '../stages/world.ts'
import type { FaultKind } from './fault-kinds.ts'
import { groupFaults } from './group-turns.ts'
import { diceFor, isOurs, later, MINUTE_MS, type Play, SECOND_MS, strikes } from './play.ts'

const BLOCK_BYTES = 65_536

export function lyingVsphere(play: Play): Vsphere {
  const inner = play.world.vcenter.vsphere
  return { open: async (within) => lyingSession(play, await inner.open(within)) }
}

function lyingSession(play: Play, inner: VsphereSession): VsphereSession {
  let seen: VmState | null = null
  return {
    ...inner,
    readVm: async (moref, within) => {
      seen = await inner.readVm(moref, within)
      return seen
    },
    changedAreas: async (query, within) => areasToldOf(play, query, await inner.changedAreas(query, within)),
    readSnapshot: async (moref, within) => snapshotToldOf(play, await inner.readSnapshot(moref, within)),
    createSnapshot: async (request, within) => {
      const vm = vmAt(play, request.vm)
      if (vm !== null) refuseWhileBusy(vm, 'CreateSnapshot_Task')
      if (seen?.consolidationNeeded === true)
        play.violations.push(`Snapshot "${request.name}" was asked for while "${seen.name}" needed consolidation`)
      try {
        return await inner.createSnapshot(request, within)
      } finally {
        if (vm?.snapshots.some(({ name }) => name === request.name))
          play.crowded.push(...(await groupFaults(play, { vm, name: request.name })))
      }
    },
    removeSnapshot: (moref, within) => removeSnapshot(play, { inner, moref }, within),
    removeAllSnapshots: async (moref, within) => {
      const vm = vmAt(play, moref)
      const foreign = vm?.snapshots.find(({ name }) => !isOurs(name))
      if (foreign !== undefined)
        play.violations.push(
          `Snapshot "${foreign.name}" of another product on "${vm?.name}" was to be removed with all`,
        )
      await inner.removeAllSnapshots(moref, within)
    },
    consolidate: (moref, within) => consolidate(play, { inner, moref }, within),
    setChangeTracking: async (request, within) => {
      if (request.enabled && (seen?.snapshots.length ?? 0) > 0)
        play.violations.push(`Changed block tracking of "${seen?.name}" was turned on over a snapshot`)
      await inner.setChangeTracking(request, within)
    },
  }
}

function vmAt({ world }: Play, moref: Moref): MemoryVm | null {
  return world.vcenter.vms.find((vm) => vm.moref === moref) ?? null
}

const SLOW = 'Coldframe: '

/** vCenter runs one task of this kind on a VM at a time. */
function refuseWhileBusy(vm: MemoryVm, method: string): void {
  if (!vm.runningTasks.some((task) => typeof task === 'string' && task.startsWith(SLOW))) return
  const fault = { name: 'TaskInProgress', message: 'The operation is not allowed now', detail: null }
  throw faultError(fault, { what: `Cannot change "${vm.name}"`, method })
}

type OfSnapshot = { readonly inner: VsphereSession; readonly moref: Moref }

async function removeSnapshot(play: Play, { inner, moref }: OfSnapshot, within: Cancel): Promise<void> {
  const vm = play.world.vcenter.vms.find((one) => one.snapshots.some((each) => each.moref === moref)) ?? null
  const snapshot = vm?.snapshots.find((each) => each.moref === moref)
  if (snapshot !== undefined && !isOurs(snapshot.name))
    play.violations.push(`Snapshot "${snapshot.name}" of another product on "${vm?.name}" was to be removed`)
  if (vm === null) return await inner.removeSnapshot(moref, within)
  refuseWhileBusy(vm, 'RemoveSnapshot_Task')
  for (const kind of ['removal-slow', 'removal-times-out'] as const) {
    if (!strikes(play, kind)) continue
    const early = diceFor(play, kind).hits(0.5)
    if (early) {
      // The tree forgets it at once; its files are merged long after.
      vm.mishaps.removalsUnconsolidated++
      await inner.removeSnapshot(moref, within)
    }
    return await slowly(play, { vm, kind, name: 'RemoveSnapshot_Task' }, within, async () => {
      if (early) consolidateDisks(vm)
      else await inner.removeSnapshot(moref, cancel).catch(() => undefined)
    })
  }
  await inner.removeSnapshot(moref, within)
}

async function consolidate(play: Play, { inner, moref }: OfSnapshot, within: Cancel): Promise<void> {
  const vm = vmAt(play, moref)
  if (vm === null) return await inner.consolidate(moref, within)
  refuseWhileBusy(vm, 'ConsolidateVMDisks_Task')
  if (!strikes(play, 'consolidation-slow')) return await inner.consolidate(moref, within)
  await slowly(play, { vm, kind: 'consolidation-slow', name: 'ConsolidateVMDisks_Task' }, within, async () =>
    consolidateDisks(vm),
  )
}

type SlowTask = { readonly vm: MemoryVm; readonly kind: FaultKind; readonly name: string }

/** The task goes on when whoever asked for it has left, or was told that the time was over. */
async function slowly(
  play: Play,
  { vm, kind, name }: SlowTask,
  { signal }: Cancel,
  act: () => Promise<void>,
): Promise<void> {
  const dice = diceFor(play, kind)
  const task = `${SLOW}${name} ${dice.number(1, 1e9)}`
  vm.runningTasks = [...vm.runningTasks, task]
  const takesMs = dice.pick([dice.number(10, 600) * SECOND_MS, dice.number(10, 240) * MINUTE_MS])
  const ended = later(play, takesMs, () => undefined)
    .then(act)
    .finally(() => {
      vm.runningTasks = vm.runningTasks.filter((other) => other !== task)
    })
  const patience = kind === 'removal-slow' ? 14 * MINUTE_MS : dice.number(5, 300) * SECOND_MS
  const timedOut = later(play, patience, () => {
    throw new BackupError(`Cannot wait for "${name}": it takes longer than ${patience} ms`, {
      code: 'vcenter-timeout',
      retry: 'later',
      hint: 'The task goes on',
    })
  })
  const gone = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  )
  timedOut.catch(() => undefined)
  gone.catch(() => undefined)
  await Promise.race([ended, timedOut, gone])
}

type Query = Parameters<VsphereSession['changedAreas']>[0]
type Answer = (
  play: Play,
  reply: ChangedAreas,
  frame: { readonly capacityBytes: number; readonly kind: FaultKind },
) => ChangedAreas

const ANSWERS: Partial<Readonly<Record<FaultKind, Answer>>> = {
  'cbt-refuses': (play, _, { kind }) => {
    const fault = diceFor(play, kind).pick(['FileFault', 'InvalidArgument', 'NotFound'])
    throw new BackupError(`Cannot list changes: vCenter answers ${fault}`, {
      code: 'cbt-unavailable',
      retry: 'as-full',
      hint: 'The disk is read whole',
    })
  },
  'cbt-over-reports': (play, reply, { capacityBytes, kind }) => {
    const dice = diceFor(play, kind)
    const end = Math.min(capacityBytes, reply.startOffset + reply.length)
    const more = Array.from({ length: dice.number(1, 4) }, (): Extent => {
      const offsetBytes = dice.number(reply.startOffset, end - 1)
      return { offsetBytes, lengthBytes: dice.number(1, end - offsetBytes) }
    })
    return { ...reply, areas: mergeExtents([...reply.areas, ...more]) }
  },
  'cbt-under-reports': (play, reply, { kind }) => {
    const left = diceFor(play, kind).pick([0, Math.floor(reply.areas.length / 2)])
    return { ...reply, areas: reply.areas.slice(0, left) }
  },
  'cbt-out-of-order': (_, reply) => ({ ...reply, areas: reply.areas.toReversed() }),
  'cbt-overlaps': (_, reply) => ({ ...reply, areas: [...reply.areas, ...reply.areas.slice(0, 1)] }),
  'cbt-beyond-end': (_, reply, { capacityBytes }) => ({
    ...reply,
    areas: [...reply.areas, { offsetBytes: capacityBytes - 512, lengthBytes: BLOCK_BYTES }],
  }),
  'cbt-gap': (_, reply) => ({ ...reply, startOffset: reply.startOffset + BLOCK_BYTES }),
  'cbt-zero-length': (_, reply) => ({ ...reply, length: 0, areas: [] }),
  // No lie: a reply may stop anywhere.
  'cbt-short-replies': (_, { startOffset, length, areas }) => {
    const end = Math.min(startOffset + length, startOffset + BLOCK_BYTES)
    const within = areas.filter(({ offsetBytes }) => offsetBytes < end)
    const cut = within.map(({ offsetBytes, lengthBytes }) => ({
      offsetBytes,
      lengthBytes: Math.min(lengthBytes, end - offsetBytes),
    }))
    return { startOffset, length: end - startOffset, areas: cut }
  },
}

function areasToldOf(play: Play, query: Query, truth: ChangedAreas): ChangedAreas {
  const vm = vmAt(play, query.vm)
  const frozen = vm?.snapshots.flatMap((snapshot) => snapshot.frozen).find((disk) => disk.key === query.deviceKey)
  const capacityBytes = frozen?.bytes.byteLength ?? truth.startOffset + truth.length
  let told = truth
  for (const { kind } of play.plan.faults) {
    const answer = ANSWERS[kind]
    if (answer !== undefined && strikes(play, kind)) told = answer(play, told, { capacityBytes, kind })
  }
  return told
}

function snapshotToldOf(play: Play, truth: SnapshotState): SnapshotState {
  let told = truth
  if (truth.disks.length > 0 && strikes(play, 'cbt-no-change-id')) {
    const silent = diceFor(play, 'cbt-no-change-id').pick(truth.disks)
    told = { ...told, disks: told.disks.map((disk) => (disk.key === silent.key ? { ...disk, changeId: null } : disk)) }
  }
  if (strikes(play, 'cbt-counter-back')) {
    const back = (changeId: string | null) => changeId?.replace(/\/[0-9]+$/, '/1') ?? null
    told = { ...told, disks: told.disks.map((disk) => ({ ...disk, changeId: back(disk.changeId) })) }
  }
  // Whoever asks from it on hears nothing of what was written before it.
  if (strikes(play, 'cbt-id-ahead')) {
    const ahead = (changeId: string | null) =>
      changeId?.replace(/[0-9]+$/, (count) => String(Number(count) + 1)) ?? null
    told = { ...told, disks: told.disks.map((disk) => ({ ...disk, changeId: ahead(disk.changeId) })) }
  }
  return told
}
