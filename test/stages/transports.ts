// Transports over the files of an in-memory vCenter: they read by file name, so what they read may be garbage by now.

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
