// The files that a machine's datastores show: what they hold, which are locked, which can be written.

import { describe, expect, it } from 'vitest'
import { utf8Decode } from '../../../lib/base/bytes.ts'
import { Datastore } from '../../../sim/machine/datastore.ts'
import { GRAIN_BYTES } from '../../../sim/machine/grain-store.ts'
import type { Machine } from '../../../sim/machine/machine.ts'
import { SimFault, type SimFile } from '../../../sim/machine/types.ts'
import { tinyMachine } from './tiny-machine.ts'

const MiB = 1024 * 1024

describe('a datastore', () => {
  it('shows every file of its machines and nothing else', () => {
    const machine = tinyMachine({
      capacities: [MiB, MiB, MiB],
      disks: [{}, { datastore: 'ds2' }, { rdm: 'physicalMode' }],
    })
    snapshot(machine)
    expect(storeOf(machine).paths()).toEqual([
      'tiny/tiny-000001-delta.vmdk',
      'tiny/tiny-000001.vmdk',
      'tiny/tiny-flat.vmdk',
      'tiny/tiny.nvram',
      'tiny/tiny.vmdk',
      'tiny/tiny.vmsd',
      'tiny/tiny.vmx',
      'tiny/tiny_1.vmdk',
    ])
    expect(storeOf(machine).file('tiny/nothing')).toBeNull()
    expect(storeOf(machine, 'ds2').paths()).toEqual([
      'tiny/tiny-000001-delta.vmdk',
      'tiny/tiny-000001.vmdk',
      'tiny/tiny-flat.vmdk',
      'tiny/tiny.vmdk',
    ])
  })

  it('gives the flat extent frozen below a snapshot, and refuses the delta that a running machine writes', () => {
    const machine = tinyMachine({ capacities: [MiB] })
    machine.powerOn()
    write(machine, { at: 5, fill: 1 })
    expect(faultOf(() => read(fileOf(machine, 'tiny/tiny-flat.vmdk')))).toBe('FileLocked')
    snapshot(machine)
    write(machine, { at: 5, fill: 2 })
    const flat = read(fileOf(machine, 'tiny/tiny-flat.vmdk'))
    expect([flat.byteLength, flat[4], flat[5]]).toEqual([MiB, 0, 1])
    expect(faultOf(() => read(fileOf(machine, 'tiny/tiny-000001-delta.vmdk')))).toBe('FileLocked')
    machine.powerOff()
    expect(read(fileOf(machine, 'tiny/tiny-000001-delta.vmdk')).subarray(0, 4)).toEqual(Buffer.from('COWD'))
  })

  it('writes the flat extent of a machine that is off, until a snapshot rests on it', () => {
    const machine = tinyMachine({ capacities: [MiB] })
    const file = fileOf(machine, 'tiny/tiny-flat.vmdk')
    file.write({ offsetBytes: 100, bytes: new Uint8Array([9]) })
    expect(read(file)[100]).toBe(9)
    snapshot(machine)
    const frozen = fileOf(machine, 'tiny/tiny-flat.vmdk')
    expect(frozen.writable).toBe(false)
    expect(faultOf(() => frozen.write({ offsetBytes: 0, bytes: new Uint8Array(1) }))).toBe('FileLocked')
  })

  it('takes uploads, and an uploaded NVRAM becomes the machine’s', () => {
    const machine = tinyMachine({ capacities: [MiB] })
    const datastore = storeOf(machine)
    datastore.store('tiny/tiny.nvram', new Uint8Array([7, 8]))
    datastore.store('tiny/notes.txt', new Uint8Array([65]))
    expect(machine.nvram).toEqual(new Uint8Array([7, 8]))
    expect(datastore.file('tiny/notes.txt')?.sizeBytes).toBe(1)
    expect(datastore.paths()).toContain('tiny/notes.txt')
  })

  it('has less free space the more its disks hold', () => {
    const machine = tinyMachine({ capacities: [MiB] })
    const datastore = storeOf(machine)
    const before = datastore.freeBytes()
    write(machine, { at: 0, fill: 1 })
    expect(before - datastore.freeBytes()).toBe(GRAIN_BYTES)
  })
})

describe('descriptors and .vmx', () => {
  it('name the extent, the parent and the change tracking file', () => {
    const machine = tinyMachine({ capacities: [MiB] })
    machine.setChangeTracking(true)
    snapshot(machine)
    const [base, delta] = ['tiny/tiny.vmdk', 'tiny/tiny-000001.vmdk'].map((path) =>
      utf8Decode(read(fileOf(machine, path))),
    )
    expect(base).toContain('createType="vmfs"')
    expect(base).toContain('RW 2048 VMFS "tiny-flat.vmdk"')
    expect(base).toContain('changeTrackPath="tiny-ctk.vmdk"')
    expect(delta).toContain('RW 2048 VMFSSPARSE "tiny-000001-delta.vmdk"')
    expect(delta).toContain('parentFileNameHint="tiny.vmdk"')
    const cid = /^CID=(\w{8})$/m.exec(base ?? '')?.[1]
    expect(delta).toContain(`parentCID=${cid}`)
  })

  it('follow the config: names, disks, networks, firmware, and quotes escaped', () => {
    const machine = tinyMachine({ capacities: [MiB, MiB], disks: [{}, { mode: 'independent_persistent' }] })
    machine.reconfigure({ memoryMB: 4096, extraConfig: { 'answer.x': 'yes' } })
    const vmx = utf8Decode(read(fileOf(machine, 'tiny/tiny.vmx')))
    for (const line of [
      'config.version = "8"',
      'virtualHW.version = "19"',
      'displayName = "tiny"',
      'annotation = "says |22hi|22"',
      'guestOS = "ubuntu-64"',
      'memSize = "4096"',
      'firmware = "efi"',
      'scsi0.virtualDev = "pvscsi"',
      'scsi0:0.fileName = "tiny.vmdk"',
      'scsi0:1.mode = "independent-persistent"',
      'ethernet0.networkName = "VM Network"',
      'uuid.bios = "42 00 00 00 00 00 40 00-80 00 00 00 00 00 00 01"',
      'answer.x = "yes"',
    ]) {
      expect(vmx).toContain(`${line}\n`)
    }
  })
})

function storeOf(machine: Machine, name = 'ds1'): Datastore {
  return new Datastore({ name, type: 'VMFS', capacityBytes: 100 * MiB }, { machines: () => [machine] })
}

function fileOf(machine: Machine, path: string): SimFile {
  const file = storeOf(machine).file(path)
  if (file === null) throw new Error(`no file ${path}`)
  return file
}

function read(file: SimFile): Uint8Array {
  const target = Buffer.alloc(file.sizeBytes)
  file.read({ offsetBytes: 0, target })
  return target
}

function snapshot(machine: Machine): void {
  machine.createSnapshot({ name: 's', description: '', quiesce: { kind: 'none' } })
}

function write(machine: Machine, options: { readonly at: number; readonly fill: number }): void {
  machine.disks[0]?.write({ offsetBytes: options.at, bytes: new Uint8Array(10).fill(options.fill) })
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
