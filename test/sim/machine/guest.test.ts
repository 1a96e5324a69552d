// Guests prove one cut: what a snapshot froze passes the check, what was read at two instants does not.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Machine } from '../../../sim/machine/machine.ts'
import { type CheckedDisk, checkOneCut, RECORD_BYTES, recordArea } from '../../../sim/machine/record.ts'
import type { Snapshot } from '../../../sim/machine/snapshot.ts'
import { SimFault } from '../../../sim/machine/types.ts'
import { tinyMachine } from './tiny-machine.ts'

const MiB = 1024 * 1024

describe('checkOneCut()', () => {
  it('passes what any snapshot froze, however much the guest writes around it', () =>
    fc.assert(
      fc.asyncProperty(fc.nat(700), fc.nat(700), fc.nat(300_000), async (before, after, bytes) => {
        const machine = running([MiB, MiB / 2])
        machine.guest.step(before)
        machine.guest.burst(bytes)
        const snapshot = freeze(machine)
        machine.guest.step(after)
        machine.guest.burst(bytes)
        const report = await checkOneCut(frozenDisks(snapshot))
        expect(report.problems).toEqual([])
        expect(report.oneCut).toBe(true)
        expect(report.lastSequence).toBeGreaterThan(before)
      }),
      { numRuns: 25 },
    ))

  it('fails when one disk is of an earlier instant than the other', async () => {
    const machine = running([MiB, MiB])
    machine.guest.step(10)
    const [early] = frozenDisks(freeze(machine))
    machine.guest.step(2)
    const [, late] = frozenDisks(freeze(machine))
    if (early === undefined || late === undefined) throw new Error('a disk is missing')
    const report = await checkOneCut([early, late])
    expect(report.oneCut).toBe(false)
    expect(report.problems).toEqual(['record 11 is missing while record 12 is present'])
  })

  it('fails when a record below the newest is torn', async () => {
    const machine = running([MiB, MiB])
    machine.guest.step(20)
    const [first, second] = frozenDisks(freeze(machine))
    if (first === undefined || second === undefined) throw new Error('a disk is missing')
    const torn: CheckedDisk = {
      ...first,
      read: async (range) => {
        const bytes = await first.read(range)
        bytes[RECORD_BYTES + 100] = (bytes[RECORD_BYTES + 100] ?? 0) ^ 1
        return bytes
      },
    }
    expect((await checkOneCut([torn, second])).problems).toEqual(['record 3 is missing while record 20 is present'])
  })

  it('passes a disk without records, and says that there is none', async () => {
    const machine = tinyMachine({ capacities: [MiB] })
    expect(await checkOneCut(frozenDisks(freeze(machine)))).toEqual({
      oneCut: true,
      lastSequence: 0,
      frozen: false,
      problems: [],
    })
  })

  it('passes after rings have gone round on disks of different size', async () => {
    const machine = running([MiB, MiB / 2])
    machine.guest.step(recordArea(MiB).slots * 5 + 3)
    expect((await checkOneCut(frozenDisks(freeze(machine)))).problems).toEqual([])
  })
})

describe('a guest', () => {
  it('goes on with its log after a power cycle and after going back to a snapshot', async () => {
    const machine = running([MiB, MiB])
    machine.guest.step(9)
    const snapshot = freeze(machine)
    machine.guest.step(50)
    machine.revertTo(snapshot)
    machine.powerOn()
    machine.guest.step(1)
    expect(await checkOneCut(frozenDisks(freeze(machine)))).toMatchObject({ oneCut: true, lastSequence: 10 })
  })

  it('begins a new log when a disk is added', async () => {
    const machine = running([MiB])
    machine.guest.step(9)
    machine.addDisk({ capacityBytes: MiB, thin: true, datastore: 'ds1' })
    machine.guest.step(4)
    expect(await checkOneCut(frozenDisks(freeze(machine)))).toMatchObject({ oneCut: true, lastSequence: 4 })
  })

  it('writes the same bytes for the same seed', () => {
    const digests = [1, 2].map(() => {
      const machine = running([MiB, MiB])
      machine.guest.burst(200_000)
      return [machine.digestNow(2000), machine.digestNow(2001)]
    })
    expect(digests[0]).toEqual(digests[1])
  })
})

describe('quiescing', () => {
  it('ends the log with a record of the freeze, and the snapshot says so', async () => {
    const machine = running([MiB, MiB])
    machine.guest.step(5)
    const snapshot = machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'tools' } })
    expect(snapshot.quiesced).toBe(true)
    machine.guest.step(5)
    expect(await checkOneCut(frozenDisks(snapshot))).toMatchObject({ oneCut: true, frozen: true, lastSequence: 6 })
  })

  it('fails as it was told to, once each, and then leaves no snapshot', () => {
    const machine = running([MiB])
    machine.quiescing.failNext(['ApplicationQuiesceFault', 'FilesystemQuiesceFault'])
    const quiesced = () => machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'tools' } })
    expect(faultOf(quiesced)).toBe('ApplicationQuiesceFault')
    expect(faultOf(quiesced)).toBe('FilesystemQuiesceFault')
    expect(machine.snapshots).toEqual([])
    expect(faultOf(quiesced)).toBe('none')
  })

  it('is ignored where Tools do not run', () => {
    const machine = running([MiB])
    machine.tools.state = 'notInstalled'
    const snapshot = machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'tools' } })
    expect(snapshot.quiesced).toBe(false)
  })
})

function running(capacities: readonly number[]): Machine {
  const machine = tinyMachine({ capacities })
  machine.powerOn()
  return machine
}

function freeze(machine: Machine): Snapshot {
  return machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'none' } })
}

function frozenDisks(snapshot: Snapshot): readonly CheckedDisk[] {
  return snapshot.kept.map(({ disk, layer }) => ({
    capacityBytes: disk.capacityBytes,
    read: ({ offsetBytes, lengthBytes }) => {
      const target = new Uint8Array(lengthBytes)
      disk.readAt(layer, { offsetBytes, target })
      return target
    },
  }))
}

function faultOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof SimFault) return error.fault
    throw error
  }
  return 'none'
}
