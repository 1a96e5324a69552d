// Quiescing through VMware Tools: what Volume Shadow Copies prove, how long the guest's writes are held, and by whom.

import { describe, expect, it } from 'vitest'
import { manualClock } from '../../../lib/base/clock.ts'
import { filesOf } from '../../../sim/machine/files.ts'
import type { Machine } from '../../../sim/machine/machine.ts'
import { type CheckedDisk, checkOneCut } from '../../../sim/machine/record.ts'
import type { Snapshot } from '../../../sim/machine/snapshot.ts'
import { type QuiesceWish, SimFault } from '../../../sim/machine/types.ts'
import { plainVss, type Vss } from '../../../sim/machine/vss.ts'
import { tinyMachine } from './tiny-machine.ts'

const MiB = 1024 * 1024
const windows = (context: 'ctx_auto' | 'ctx_backup' | 'ctx_file_share_backup'): QuiesceWish => ({
  kind: 'windows',
  timeoutMinutes: 5,
  context,
  backupType: 5,
})

describe('a quiesced snapshot of a Windows guest', () => {
  const tools: QuiesceWish = { kind: 'tools' }
  const [auto, backup, share] = [windows('ctx_auto'), windows('ctx_backup'), windows('ctx_file_share_backup')]
  const failing = { health: 'failing-writer', failingWriter: 'SqlServerWriter' } as const
  const cases: readonly (readonly [Partial<Vss>, QuiesceWish, 'writers' | 'no writers' | 'no manifest' | 'fault'])[] = [
    [{ health: 'healthy' }, tools, 'writers'],
    [{ health: 'healthy' }, auto, 'writers'],
    [{ health: 'healthy' }, backup, 'writers'],
    [{ health: 'healthy' }, share, 'no writers'],
    [{ health: 'no-app-quiesce' }, tools, 'no manifest'],
    [{ health: 'no-app-quiesce' }, auto, 'no manifest'],
    [{ health: 'no-app-quiesce' }, backup, 'fault'],
    [{ health: 'components-only' }, auto, 'no writers'],
    [{ health: 'components-only' }, backup, 'fault'],
    [failing, tools, 'fault'],
    [failing, auto, 'fault'],
    [failing, backup, 'fault'],
  ]
  it.each(cases)('%o asked for %o gives: %s', (vss, wish, outcome) => {
    const machine = windowsMachine(vss)
    if (outcome === 'fault') {
      expect(() => take(machine, wish)).toThrow(SimFault)
      expect(machine.snapshots).toEqual([])
      expect(machine.guest.held).toBe(false)
      return
    }
    const snapshot = take(machine, wish)
    expect(snapshot.quiesced).toBe(true)
    const names = memberNames(snapshot.manifestFile?.bytes ?? new Uint8Array())
    const all = ['backup.xml', 'writer0.xml', 'writer1.xml', 'writer2.xml']
    expect(names).toEqual(outcome === 'writers' ? all : outcome === 'no writers' ? ['backup.xml'] : [])
    expect(snapshot.backupManifest).toBe(outcome === 'no manifest' ? null : 'tiny-vss_manifests1.zip')
  })

  it('names a failing writer in its fault', () => {
    const machine = windowsMachine(failing)
    expect(() => take(machine, auto)).toThrow(/"SqlServerWriter" failed/)
  })

  it('has its manifest beside the machine’s files, until it is removed', () => {
    const machine = windowsMachine({})
    const snapshot = take(machine, auto)
    const paths = () => filesOf(machine).map(({ path }) => path)
    expect(paths()).toContain('[ds1] tiny/tiny-vss_manifests1.zip')
    machine.removeSnapshot(snapshot, { removeChildren: false, consolidate: true })
    expect(paths().filter((path) => path.includes('vss'))).toEqual([])
  })

  it('names the whole datastore path where it is told to, as some servers do', () => {
    const machine = windowsMachine({ manifestPath: 'datastore' })
    expect(take(machine, auto).backupManifest).toBe('[ds1] tiny/tiny-vss_manifests1.zip')
  })
})

describe('a snapshot', () => {
  it('that takes its time holds the writes before and after the cut, and ends with the marker', async () => {
    const clock = manualClock(1_000_000)
    const machine = tinyMachine({ capacities: [MiB, MiB], clock })
    machine.powerOn()
    machine.guest.step(5)
    machine.quiescing.quiesceMs = 200
    const signal = new AbortController().signal
    const taken = machine.takeSnapshot({ name: 's', description: '', quiesce: { kind: 'tools' } }, { signal })
    for (const part of ['before', 'after']) {
      expect([part, machine.guest.held, machine.snapshots.length]).toEqual([part, true, part === 'before' ? 0 : 1])
      machine.guest.step(9)
      clock.advance(200)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const snapshot = await taken
    expect(machine.guest.holds).toEqual([{ by: 'tools', atMs: 1_000_000, untilMs: 1_000_400 }])
    machine.guest.step(1)
    expect(await cutOf(snapshot)).toMatchObject({ oneCut: true, frozen: true, lastSequence: 6 })
    expect(await cutOf(take(machine, { kind: 'none' }))).toMatchObject({ frozen: false, lastSequence: 7 })
  })

  it('taken while a script holds the writes shows the marker and nothing later', async () => {
    const machine = tinyMachine({ capacities: [MiB, MiB] })
    machine.powerOn()
    machine.guest.step(5)
    machine.guest.hold('script')
    machine.guest.step(4)
    machine.guest.burst(MiB / 4)
    const plain = take(machine, { kind: 'none' })
    const quiesced = take(machine, { kind: 'tools' })
    for (const one of [plain, quiesced]) {
      expect(await cutOf(one)).toMatchObject({ oneCut: true, frozen: true, lastSequence: 6 })
    }
    expect(machine.guest.held).toBe(true)
    machine.guest.resume('script')
    expect(machine.guest.held).toBe(false)
    expect(machine.guest.holds.map(({ by, untilMs }) => [by, untilMs !== null])).toEqual([
      ['script', true],
      ['tools', true],
    ])
  })

  it('of a Linux guest that a script has frozen fails where the guest is told to refuse a second freeze', () => {
    const machine = tinyMachine({ capacities: [MiB] })
    machine.powerOn()
    machine.quiescing.whenHeld = 'fault'
    machine.guest.hold('script')
    expect(() => take(machine, { kind: 'tools' })).toThrow(/frozen already/)
    machine.guest.resume('script')
    expect(take(machine, { kind: 'tools' }).quiesced).toBe(true)
  })

  it('whose quiescing is cut short lets the writes go on', async () => {
    const machine = tinyMachine({ capacities: [MiB], clock: manualClock() })
    machine.powerOn()
    machine.quiescing.quiesceMs = 1000
    const stop = new AbortController()
    const taken = machine.takeSnapshot({ name: 's', description: '', quiesce: { kind: 'tools' } }, stop)
    expect(machine.guest.held).toBe(true)
    stop.abort()
    await expect(taken).rejects.toThrow()
    expect(machine.guest.held).toBe(false)
    expect(machine.snapshots).toEqual([])
  })
})

function windowsMachine(vss: Partial<Vss>): Machine {
  const machine = tinyMachine({ capacities: [MiB], config: { guestId: 'windows2019srv_64Guest' } })
  machine.quiescing.vss = { ...plainVss, ...vss }
  machine.powerOn()
  return machine
}

function take(machine: Machine, quiesce: QuiesceWish): Snapshot {
  return machine.createSnapshot({ name: 's', description: '', quiesce })
}

function cutOf(snapshot: Snapshot) {
  const disks: readonly CheckedDisk[] = snapshot.kept.map(({ disk, layer }) => ({
    capacityBytes: disk.capacityBytes,
    read: ({ offsetBytes, lengthBytes }) => {
      const target = new Uint8Array(lengthBytes)
      disk.readAt(layer, { offsetBytes, target })
      return target
    },
  }))
  return checkOneCut(disks)
}

/** From the local headers of a ZIP archive; python's zipfile reads the whole of one in test/real/sim_guests.py. */
function memberNames(archive: Uint8Array): readonly string[] {
  const view = Buffer.from(archive)
  const names: string[] = []
  for (let at = 0; at + 30 < view.byteLength && view.readUInt32LE(at) === 0x04034b50; ) {
    const nameBytes = view.readUInt16LE(at + 26)
    names.push(view.toString('utf8', at + 30, at + 30 + nameBytes))
    at += 30 + nameBytes + view.readUInt32LE(at + 18)
  }
  return names
}
