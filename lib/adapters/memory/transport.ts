// A transport whose disks are byte arrays of this process; faults on request.

import { MiB } from '../../base/bytes.ts'
import { assert, BackupError, quote } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Allocation, DiskAccess, DiskSource } from '../../ports/disk.ts'
import type { DiskRequest, Transport } from '../../ports/transport.ts'

export type MemoryTransportOptions = {
  readonly name: Transport['name']
  /** The frozen bytes of the asked disk; null: there is no such disk. */
  readonly disk: (request: DiskRequest) => Uint8Array | null
  readonly refusal?: (request: DiskRequest) => string | null
  /** Default: random. A sequential source takes a range that begins before the end of the last read as broken code. */
  readonly access?: DiskAccess
  /** Called when a sequential source comes to its end; what it throws is what the end looks like. */
  readonly atEnd?: () => void
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
  const { beforeRead, allocation, access = 'random' } = options
  const stream = access === 'random' ? null : streamOf(bytes.byteLength, options.atEnd)
  return {
    access,
    capacityBytes: bytes.byteLength,
    readBytesMax: options.readBytesMax ?? 2 * MiB,
    readsMax: options.readsMax ?? 4,
    read: async ({ offsetBytes, target }, { signal }: Cancel) => {
      stream?.check(offsetBytes, target.byteLength)
      stream?.end(signal)
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
      stream?.readTo(offsetBytes + target.byteLength)
    },
    allocation: async (range, { signal }) => {
      stream?.check(range.offsetBytes, range.lengthBytes)
      stream?.end(signal)
      signal.throwIfAborted()
      const runs: readonly Allocation[] = allocation?.(bytes, range) ?? [{ ...range, kind: 'data' }]
      const last = runs.at(-1)
      // Nobody reads what is known to be zero: an end of zeros is come to here.
      if (last?.kind === 'zero' && last.offsetBytes + last.lengthBytes === bytes.byteLength)
        stream?.readTo(bytes.byteLength)
      return runs
    },
    [Symbol.asyncDispose]: async () => stream?.close(),
  }
}

/** Takes what a stream cannot do as broken code. */
function streamOf(capacityBytes: number, atEnd: (() => void) | undefined) {
  let position = 0
  let open = true
  let ended: AbortSignal | null = null
  return {
    check: (offsetBytes: number, lengthBytes: number) => {
      assert(open, 'a disposed source is not read')
      assert(Number.isSafeInteger(offsetBytes) && offsetBytes >= position, 'a stream is read in ascending order')
      assert(offsetBytes + lengthBytes <= capacityBytes, 'a range lies inside the disk')
    },
    end: (signal: AbortSignal) => {
      if (signal.aborted) ended ??= signal
      ended?.throwIfAborted()
    },
    readTo: (endBytes: number) => {
      position = endBytes
      if (endBytes === capacityBytes) atEnd?.()
    },
    close: () => {
      open = false
    },
  }
}
