// Takes exact pieces from a stream of bytes of any cut. Holds what was asked for and one piece of the source.

import { concatBytes } from '../../base/bytes.ts'
import { truncated } from './faults.ts'

export interface ByteStream {
  /** Bytes taken so far. */
  positionBytes(): number
  /** The next bytes, which stay to be taken. A view: nobody may write into it. */
  peek(lengthBytes: number): Promise<Uint8Array>
  /** As peek(), and goes past them. */
  take(lengthBytes: number): Promise<Uint8Array>
  /** Whether nothing is left. */
  ended(): Promise<boolean>
}

/** @throws by each call what the source throws, or `vmdk-stream-malformed` when it ends early */
export function byteStream(source: AsyncIterator<Uint8Array>): ByteStream {
  let held: Uint8Array = new Uint8Array(0)
  let positionBytes = 0
  /** Makes `held` begin with `lengthBytes` bytes; false when the source ends before. */
  const hold = async (lengthBytes: number): Promise<boolean> => {
    if (held.byteLength >= lengthBytes) return true
    const parts = [held]
    let bytes = held.byteLength
    while (bytes < lengthBytes) {
      const next = await source.next()
      if (next.done === true) break
      parts.push(next.value)
      bytes += next.value.byteLength
    }
    held = concatBytes(parts)
    return bytes >= lengthBytes
  }
  const peek = async (lengthBytes: number): Promise<Uint8Array> => {
    if (!(await hold(lengthBytes))) throw truncated(positionBytes + held.byteLength)
    return held.subarray(0, lengthBytes)
  }
  return {
    positionBytes: () => positionBytes,
    peek,
    take: async (lengthBytes) => {
      const taken = await peek(lengthBytes)
      held = held.subarray(lengthBytes)
      positionBytes += lengthBytes
      return taken
    },
    ended: async () => !(await hold(1)),
  }
}
