// The one disk that a region worker has open: each open disk is a connection to a host, and those are counted.

import { systemClock } from '../base/clock.ts'
import { assert } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { DiskSource } from '../ports/disk.ts'
import type { DiskRequest, Transport } from '../ports/transport.ts'
import { pacedSource } from './pace.ts'

export interface OneDisk extends AsyncDisposable {
  /** The disk that was asked for last stays open; another one is closed before this one opens. Not for calls side by side. */
  take(
    disk: { readonly request: DiskRequest; readonly transport: Transport['name'] },
    cancel: Cancel,
  ): Promise<DiskSource>
}

/** @param pace see pacedSource() */
export function oneDisk(transports: readonly Transport[], pace: SharedArrayBuffer): OneDisk {
  let open: { readonly key: number; readonly source: DiskSource } | null = null
  const close = async () => {
    const last = open
    open = null
    await last?.source[Symbol.asyncDispose]()
  }
  return {
    take: async ({ request, transport: name }, cancel) => {
      const { key } = request.disk
      if (open?.key === key) return open.source
      await close()
      const transport = transports.find((candidate) => candidate.name === name)
      assert(transport !== undefined, `the worker has transport "${name}"`)
      // Reads take real time, whatever clock a test gives the rest.
      const source = pacedSource(await transport.open(request, cancel), pace, systemClock)
      open = { key, source }
      return source
    },
    [Symbol.asyncDispose]: close,
  }
}
