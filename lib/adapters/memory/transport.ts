// A transport whose disks are byte arrays of this process; faults on request.

import { MiB } from '../../base/bytes.ts'
import { BackupError, quote } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Allocation, DiskSource } from '../../ports/disk.ts'
import type { DiskRequest, Transport } from '../../ports/transport.ts'

export type MemoryTransportOptions = {
  readonly name: Transport['name']
  /** The frozen bytes of the asked disk; null: there is no such disk. */
  readonly disk: (request: DiskRequest) => Uint8Array | null
  readonly refusal?: (request: DiskRequest) => string | null
  readonly readBytesMax?: number
  readonly readsMax?: number
  /** What the sources answer about allocation; default: one data run. */
  readonly allocation?: (
    bytes: Uint8Array,
    range: { readonly offsetBytes: number; readonly lengthBytes: number },
  ) => readonly Allocation[]
  /** Called before each read; what it throws is the read's failure. */
  readonly beforeRead?: (range: { readonly offsetBytes: number; readonly lengthBytes: number }) => void | Promise<void>
}

export function memoryTransport(options: MemoryTransportOptions): Transport {
  return {
    name: options.name,
    refusal: (request) => options.refusal?.(request) ?? null,
    open: async (request, { signal }) => {
      signal.throwIfAborted()
      const bytes = options.disk(request)
      if (bytes === null) {
        throw new BackupError(`Cannot open disk ${quote(request.disk.label)}: there is no such disk`, {
          code: 'transport-refused',
        })
      }
      return memoryDiskSource(bytes, options)
    },
  }
}

export function memoryDiskSource(
  bytes: Uint8Array,
  options: Omit<MemoryTransportOptions, 'name' | 'disk' | 'refusal'> = {},
): DiskSource {
  const { beforeRead, allocation } = options
  return {
    capacityBytes: bytes.byteLength,
    readBytesMax: options.readBytesMax ?? 2 * MiB,
    readsMax: options.readsMax ?? 4,
    read: async ({ offsetBytes, target }, { signal }: Cancel) => {
      signal.throwIfAborted()
      await beforeRead?.({ offsetBytes, lengthBytes: target.byteLength })
      signal.throwIfAborted()
      if (offsetBytes + target.byteLength > bytes.byteLength) {
        throw new BackupError(
          `Cannot read ${target.byteLength} bytes at ${offsetBytes}: the disk has ${bytes.byteLength}`,
          {
            code: 'disk-read-failed',
          },
        )
      }
      target.set(bytes.subarray(offsetBytes, offsetBytes + target.byteLength))
    },
    allocation: async (range, { signal }) => {
      signal.throwIfAborted()
      return allocation?.(bytes, range) ?? [{ ...range, kind: 'data' }]
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}
