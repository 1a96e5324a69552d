// Transports over the files of an in-memory vCenter: they read by file name, so what they read may be garbage by now.

import { type MemoryVm, newDisk } from '../../lib/adapters/memory/machine.ts'
import type { MemoryVcenter } from '../../lib/adapters/memory/vsphere.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { TransportName } from '../../lib/model/policy.ts'
import type { DiskRequest, Transport } from '../../lib/ports/transport.ts'
import type { Around } from './chaos.ts'

/** 'datastore' reads only disks without deltas below them; every other name reads chains, too. */
export function fileTransport(
  name: TransportName,
  { vcenter }: { readonly vcenter: MemoryVcenter },
  around: Around,
): Transport {
  const bytesOf = ({ vm, disk }: DiskRequest): Uint8Array => {
    const bytes = vcenter.fileBytes(vm, disk.fileName)
    if (bytes !== null) return bytes
    throw new BackupError(`Cannot read "${disk.fileName}": there is no such file`, {
      code: 'disk-read-failed',
      retry: 'later',
    })
  }
  return {
    name,
    refusal: ({ disk }) => (name === 'datastore' && disk.parents.length > 0 ? 'the disk has deltas' : null),
    open: async (request) => {
      const capacityBytes = await around('transport.open', async () => bytesOf(request).byteLength)
      return {
        access: 'random',
        capacityBytes,
        readBytesMax: 256 * 1024,
        readsMax: 2,
        read: ({ offsetBytes, target }) =>
          around('transport.read', async () =>
            target.set(bytesOf(request).subarray(offsetBytes, offsetBytes + target.byteLength)),
          ),
        allocation: async (range) => [{ ...range, kind: 'data' }],
        [Symbol.asyncDispose]: async () => undefined,
      }
    },
  }
}

/** As VDDK's hotadd: an open disk is attached to the mover's VM, and stays there when the mover dies. */
export function hotaddTransport(
  world: { readonly vcenter: MemoryVcenter; readonly moverVm: string | null },
  around: Around,
): Transport {
  const inner = fileTransport('hotadd', world, around)
  return {
    ...inner,
    open: async (request, cancel) => {
      const source = await inner.open(request, cancel)
      const mover = world.vcenter.vms.find(({ moref }) => moref === world.moverVm)
      const attached = mover === undefined ? null : attach(mover, request.disk.fileName)
      return {
        ...source,
        [Symbol.asyncDispose]: async () => {
          const at = attached === null ? -1 : (mover?.disks.indexOf(attached) ?? -1)
          if (at >= 0) mover?.disks.splice(at, 1)
        },
      }
    },
  }
}

/** Attaches a file of another VM's disk, as VDDK does it. */
export function attach(vm: MemoryVm, file: string): MemoryVm['disks'][number] {
  const disk = newDisk({ vm: vm.name, key: 2100 + vm.disks.length, bytes: 4096 })
  disk.mode = 'independent_nonpersistent'
  disk.files = [file]
  vm.disks.push(disk)
  return disk
}
