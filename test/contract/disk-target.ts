// What every DiskTarget keeps, whatever is behind it. Call it with a way to open a target and to look at what it left.

import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../lib/base/random.ts'
import type { DiskTarget } from '../../lib/ports/disk.ts'

export type DiskTargetCase = {
  readonly target: DiskTarget
  /** The finished disk, or null when nothing that looks finished is there. */
  readonly finished: () => Promise<Uint8Array | null>
}

const signal = new AbortController().signal

export function describeDiskTarget(name: string, open: (capacityBytes: number) => Promise<DiskTargetCase>): void {
  describe(`${name}, as a DiskTarget`, () => {
    it('keeps what was written in any order, and zeros elsewhere', async () => {
      const { target, finished } = await open(100_000)
      const expected = new Uint8Array(100_000)
      const random = seededRandom(3)
      await using held = target
      for (const [offsetBytes, lengthBytes] of [
        [99_990, 10],
        [0, 1],
        [40_000, 30_000],
        [5, 0],
      ] as const) {
        const bytes = random.bytes(lengthBytes)
        expected.set(bytes, offsetBytes)
        await held.write({ offsetBytes, bytes }, { signal })
      }
      await held.commit({ signal })
      expect(await finished()).toEqual(expected)
    })

    it('takes writes side by side', async () => {
      const { target, finished } = await open(64_000)
      const expected = seededRandom(4).bytes(64_000)
      await using held = target
      const parts = Array.from({ length: 64 }, (_, index) => index * 1000)
      await Promise.all(
        parts.map((offsetBytes) => {
          return held.write({ offsetBytes, bytes: expected.subarray(offsetBytes, offsetBytes + 1000) }, { signal })
        }),
      )
      await held.commit({ signal })
      expect(await finished()).toEqual(expected)
    })

    it('leaves nothing that looks finished when it is disposed without a commit', async () => {
      const { target, finished } = await open(1000)
      await target.write({ offsetBytes: 0, bytes: new Uint8Array([1]) }, { signal })
      await target[Symbol.asyncDispose]()
      await target[Symbol.asyncDispose]()
      expect(await finished()).toBeNull()
    })

    it('refuses a range outside the disk, and any write after the end, as broken code', async () => {
      const { target } = await open(1000)
      const bytes = new Uint8Array(4)
      for (const offsetBytes of [997, -1, 0.5]) {
        await expect(target.write({ offsetBytes, bytes }, { signal })).rejects.toThrow(/Assertion/)
      }
      await target.commit({ signal })
      await expect(target.write({ offsetBytes: 0, bytes }, { signal })).rejects.toThrow(/Assertion/)
      await expect(target.commit({ signal })).rejects.toThrow(/Assertion/)
      await target[Symbol.asyncDispose]()
    })

    it('does nothing once it is cancelled', async () => {
      const { target, finished } = await open(1000)
      await using held = target
      const stop = AbortSignal.abort(new Error('enough'))
      const write = held.write({ offsetBytes: 0, bytes: new Uint8Array(4) }, { signal: stop })
      await expect(write).rejects.toThrow('enough')
      await expect(held.commit({ signal: stop })).rejects.toThrow('enough')
      expect(await finished()).toBeNull()
    })
  })
}
