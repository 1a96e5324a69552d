// The estates that come with the simulator, estates from files, and machines that a restore creates.

import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../lib/base/clock.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { demoDescription, smallEstate } from '../../../sim/estate/demo.ts'
import { Estate } from '../../../sim/estate/estate.ts'
import { parseEstate } from '../../../sim/estate/parse.ts'
import { SimFault } from '../../../sim/machine/types.ts'
import { plainVss } from '../../../sim/machine/vss.ts'
import { tinyConfig } from '../machine/tiny-machine.ts'

const MiB = 1024 * 1024
const memory = { directory: null, clock: systemClock }

describe('the demo estate', () => {
  it('has what a demonstration needs', () => {
    const { machines, datacenters, datastores } = demoDescription(1)
    const disks = machines.flatMap((machine) => machine.disks)
    expect(machines.length).toBeGreaterThanOrEqual(3)
    expect(disks.reduce((sum, disk) => sum + disk.capacityBytes, 0)).toBeGreaterThanOrEqual(1024 * MiB)
    expect(machines.some((machine) => machine.disks.length === 2)).toBe(true)
    expect(machines.some((machine) => !machine.poweredOn)).toBe(true)
    const insides = machines.filter((machine) => machine.programs)
    expect(insides.map(({ name, accounts }) => [name, accounts.map((each) => each.name)])).toEqual([
      ['web-01', ['backup']],
      ['db-01', ['backup']],
      ['mail-01', ['backup']],
    ])
    expect(machines.find(({ name }) => name === 'mail-01')?.vss.writers).toContain('Microsoft Exchange Writer')
    expect(new Set(machines.map((machine) => machine.firmware))).toEqual(new Set(['bios', 'efi']))
    expect(machines.flatMap((machine) => machine.place.tags).length).toBeGreaterThan(0)
    expect(datacenters[0]?.clusters[0]?.hosts).toHaveLength(2)
    expect(datastores).toHaveLength(2)
  })
})

describe('the small estate', () => {
  it('holds empty, compressible and random regions, the same for the same seed', () => {
    const digests = [5, 5, 6].map((seed) =>
      smallEstate({ ...memory, seed })
        .named('cold-01')[0]
        ?.digestNow(2000),
    )
    expect(digests[0]).toBe(digests[1])
    expect(digests[0]).not.toBe(digests[2])
    const disk = smallEstate({ ...memory, seed: 5 }).named('app-01')[0]?.disks[0]
    if (disk === undefined) throw new Error('no disk')
    const grains = Array.from({ length: disk.active.store.grainCount }, (_, grain) => disk.active.store.has(grain))
    expect(new Set(grains).size).toBe(2)
  })

  it('adds the odd machines it is asked for', () => {
    const estate = smallEstate({
      ...memory,
      seed: 1,
      ...{ independentDisk: true, physicalRdm: true, foreignSnapshot: true, twoOfOneName: true, changeTracking: true },
    })
    expect(estate.named('app-01')).toHaveLength(2)
    expect(new Set(estate.named('app-01').map((one) => one.config.vmPathName)).size).toBe(2)
    expect(estate.named('scratch-01')[0]?.disks[1]?.covered).toBe(false)
    expect(estate.named('cluster-01')[0]?.disks[1]?.rdm).toBe('physicalMode')
    expect(estate.named('snap-01')[0]?.snapshots.map((one) => one.name)).toEqual(['before upgrade'])
    expect(estate.named('db-01')[0]?.disks[0]?.changeId).not.toBeNull()
  })
})

describe('createMachine()', () => {
  it('makes a powered-off machine with blank disks that can be filled through its datastore', () => {
    const estate = smallEstate({ ...memory, seed: 1 })
    const place = estate.machines()[0]?.place
    if (place === undefined) throw new Error('no place')
    const disks = [{ capacityBytes: MiB, thin: true, controllerKey: 1000, unitNumber: 3 }]
    const made = estate.createMachine({ config: tinyConfig, place, disks, nvram: new Uint8Array([1]) })
    expect([made.powerState, made.disks[0]?.deviceKey, made.config.firmware]).toEqual(['poweredOff', 2003, 'efi'])
    const file = estate.datastores[0]?.file('tiny/tiny-flat.vmdk')
    file?.write({ offsetBytes: 0, bytes: new Uint8Array([1, 2, 3]) })
    const bytes = new Uint8Array(4)
    estate.datastores[0]?.file('tiny/tiny-flat.vmdk')?.read({ offsetBytes: 0, target: bytes })
    expect(bytes).toEqual(new Uint8Array([1, 2, 3, 0]))
    const again = estate.createMachine({ config: tinyConfig, place, disks, nvram: null })
    expect(again.config.vmPathName).toBe('[ds1] tiny_1/tiny.vmx')
    expect(again.config.instanceUuid).not.toBe(made.config.instanceUuid)
    estate.destroyMachine(made)
    expect(estate.datastores[0]?.file('tiny/tiny.vmx')).toBeNull()
    expect(estate.datastores[0]?.file('tiny_1/tiny.vmx')).not.toBeNull()
  })

  it('refuses to destroy a machine that runs', () => {
    const estate = smallEstate({ ...memory, seed: 1 })
    const [machine] = estate.named('app-01')
    if (machine === undefined) throw new Error('no machine')
    expect(() => estate.destroyMachine(machine)).toThrow(SimFault)
  })
})

describe('an estate file', () => {
  it('needs only names and disks', () => {
    const text = JSON.stringify({ machines: [{ name: 'a', disks: [{ capacityBytes: MiB, fill: 'random' }] }] })
    const estate = new Estate(parseEstate(text, { name: 'e.json', directory: '.' }), memory)
    expect(estate.named('a')[0]?.powerState).toBe('poweredOn')
    expect(estate.named('a')[0]?.digestNow(2000)).toMatch(/^[0-9a-f]{64}$/)
  })

  it('describes guests: Tools, addresses, accounts, Volume Shadow Copies', () => {
    const guest = {
      tools: 'old',
      ipAddresses: ['192.0.2.1'],
      furtherAddresses: [['192.0.2.2'], []],
      bridges: [{ macAddress: '02:42:00:00:00:02', addresses: ['172.17.0.1'] }],
      programs: true,
      accounts: [{ name: 'a', password: 'b', elevated: true }],
      vss: { health: 'no-app-quiesce' },
      quiesceMs: 5,
    }
    const machines = [{ name: 'a', disks: [], ...guest }]
    const { machines: read } = parseEstate(JSON.stringify({ machines }), { name: 'e.json', directory: '.' })
    expect(read[0]).toMatchObject({ ...guest, vss: { ...plainVss, health: 'no-app-quiesce' } })
    for (const [key, value] of [
      ['furtherAddresses', ['192.0.2.2']],
      ['accounts', [{ name: 'a' }]],
      ['vss', { health: 'fine' }],
    ] as const) {
      const text = JSON.stringify({ machines: [{ name: 'a', disks: [], [key]: value }] })
      expect(() => parseEstate(text, { name: 'e.json', directory: '.' })).toThrow(key)
    }
  })

  it('is refused with all its faults at once', () => {
    const machine = {
      name: 'a',
      folder: 'nowhere',
      firmware: 'uboot',
      tags: ['x'],
      disks: [{ capacityBytes: 300_001 }],
      colour: 1,
    }
    try {
      parseEstate(JSON.stringify({ machines: [machine, 7] }), { name: 'e.json', directory: '.' })
      expect.unreachable()
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      expect(error.kind).toBe('usage')
      for (const part of ['colour', 'folder "nowhere"', 'firmware', '512-byte', 'the tag "x"', 'machines[1]']) {
        expect(error.message).toContain(part)
      }
    }
  })
})
