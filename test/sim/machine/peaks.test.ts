// What the simulator counts of vSphere's limits.

import { expect, it } from 'vitest'
import { MiB } from '../../../lib/base/bytes.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { diskOf, machineOf, plainEstate } from '../../../sim/estate/description.ts'
import { Estate } from '../../../sim/estate/estate.ts'
import { Peaks } from '../../../sim/machine/peaks.ts'

it('keeps the most reads and bytes at once, of all and of each host', () => {
  const peaks = new Peaks()
  const first = peaks.read({ host: 'a', lengthBytes: 100 })
  const second = peaks.read({ host: 'a', lengthBytes: 50 })
  first[Symbol.dispose]()
  const third = peaks.read({ host: 'b', lengthBytes: 70 })
  second[Symbol.dispose]()
  third[Symbol.dispose]()
  expect(peaks.report()).toMatchObject({
    readsAtOnce: 2,
    readsAtOnceOfHost: { a: 2, b: 1 },
    readBytesAtOnceOfHost: { a: 150, b: 70 },
  })
})

it('refuses a read that others leave no room for, and counts nothing of what others use', () => {
  const peaks = new Peaks()
  peaks.othersUse('a', { connections: 0, bufferBytes: 48 * MiB })
  expect(() => peaks.read({ host: 'a', lengthBytes: 1 })).toThrow(/NFC error 5/)
  using _elsewhere = peaks.read({ host: 'b', lengthBytes: 1 })
  peaks.othersUse('a', { connections: 51, bufferBytes: 0 })
  expect(() => peaks.read({ host: 'a', lengthBytes: 1 })).toThrow(/52 connections/)
  peaks.othersUse('a', { connections: 0, bufferBytes: 0 })
  using _here = peaks.read({ host: 'a', lengthBytes: 1 })
  expect(peaks.report()).toMatchObject({ readsAtOnce: 2, readBytesAtOnceOfHost: { a: 1, b: 1 } })
})

it('counts a snapshot on every datastore of its disks, and remembers the most', () => {
  const disk = (datastore: string) => diskOf({ capacityBytes: 256 * 1024, datastore })
  const machines = [
    machineOf({ name: 'a', disks: [disk('ds1'), disk('ds2')] }),
    machineOf({ name: 'b', disks: [disk('ds1')] }),
  ]
  using estate = new Estate({ ...plainEstate, seed: 1, machines }, { directory: null, clock: systemClock })
  for (const { machine } of estate.machines())
    machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'none' } })
  estate.peaks.countSnapshots(estate.machines())
  for (const { machine } of estate.machines()) machine.removeAllSnapshots()
  estate.peaks.countSnapshots(estate.machines())
  expect(estate.peaks.report().snapshotsOfDatastore).toEqual({ ds1: 2, ds2: 1 })
})
