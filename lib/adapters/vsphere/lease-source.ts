// A disk that comes as a VMDK stream, as a sequential DiskSource: grains are decoded as they are asked for, gaps are zeros,
// and the call that reaches the end settles only when the stream was seen to be whole.

import { MiB } from '../../base/bytes.ts'
import { assert, BackupError, messageOf, quote } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { VmDisk } from '../../model/vm.ts'
import type { Allocation, DiskSource } from '../../ports/disk.ts'
import { decodeVmdkStream, type Grain } from '../../wire/vmdk/vmdk-stream.ts'

const READ_BYTES_MAX = 4 * MiB
const READS_MAX = 4

export type StreamedSource = {
  readonly disk: VmDisk
  /** Begins the stream, at the first read; `signal` ends it. */
  readonly begin: (cancel: Cancel) => AsyncIterator<Uint8Array>
  /** The disk was handed on up to here. */
  readonly onPosition: (bytes: number) => void
  /** Once; `whole`: it was read to its checked end. */
  readonly close: (whole: boolean) => Promise<void>
}

type Range = { readonly offsetBytes: number; readonly lengthBytes: number }

export function leaseSource(streamed: StreamedSource): DiskSource {
  const { capacityBytes } = streamed.disk
  const grains = grainQueue(streamed)
  let closing: Promise<void> | null = null
  let promisedBytes = 0
  let last: Promise<unknown> = Promise.resolve()
  const check = ({ offsetBytes, lengthBytes }: Range) => {
    assert(closing === null, 'a disposed source is not read')
    assert(Number.isSafeInteger(offsetBytes) && offsetBytes >= promisedBytes, 'a stream is read in ascending order')
    assert(offsetBytes + lengthBytes <= capacityBytes, 'a range lies inside the disk')
  }
  /** One after the other, in the order of the calls. */
  const inTurn = <Result>(work: () => Promise<Result>, { signal }: Cancel): Promise<Result> => {
    const stop = () => grains.stop(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    const turn = last.then(work).finally(() => signal.removeEventListener('abort', stop))
    last = turn.catch(() => undefined)
    return turn
  }
  return {
    access: 'sequential',
    capacityBytes,
    readBytesMax: READ_BYTES_MAX,
    readsMax: READS_MAX,
    read: async ({ offsetBytes, target }, cancel) => {
      check({ offsetBytes, lengthBytes: target.byteLength })
      assert(target.byteLength <= READ_BYTES_MAX, 'a read is no longer than readBytesMax')
      promisedBytes = offsetBytes + target.byteLength
      await inTurn(() => grains.fill(offsetBytes, target), cancel)
    },
    allocation: async (range, cancel) => {
      check(range)
      return await inTurn(() => grains.allocation(range), cancel)
    },
    [Symbol.asyncDispose]: () => {
      closing ??= (async () => {
        const whole = grains.isWhole()
        grains.stop(new DOMException('The disk was closed', 'AbortError'))
        await last
        await streamed.close(whole)
      })()
      return closing
    },
  }
}

/** The grains that come, one of them looked at ahead. The first failure, or stop(), is the last word. */
function grainQueue({ disk, begin, onPosition }: StreamedSource) {
  const { capacityBytes, label } = disk
  const stopped = new AbortController()
  let failure: { readonly reason: unknown } | null = null
  let stream: Promise<AsyncGenerator<Grain, void>> | null = null
  let ahead: Grain | null = null
  let whole = false
  /** The grain that comes next; null at the stream's end. */
  const next = async (): Promise<Grain | null> => {
    if (failure !== null) throw failure.reason
    if (ahead !== null || whole) return ahead
    try {
      stream ??= openGrains({ begin, capacityBytes }, { signal: stopped.signal })
      const { value, done } = await (await stream).next()
      if (done === true) whole = true
      else ahead = value
    } catch (error) {
      failure ??= { reason: readFailed(label, error) }
      stopped.abort(failure.reason)
    }
    // Not what was caught: a stop that came meanwhile says why.
    if (failure !== null) throw failure.reason
    return ahead
  }
  const nextFrom = async (offsetBytes: number): Promise<Grain | null> => {
    let grain = await next()
    while (grain !== null && grain.offsetBytes + grain.bytes.byteLength <= offsetBytes) {
      ahead = null
      grain = await next()
    }
    return grain
  }
  const reached = async (endBytes: number): Promise<void> => {
    onPosition(endBytes)
    if (endBytes === capacityBytes) await nextFrom(capacityBytes)
  }
  return {
    isWhole: () => whole,
    stop: (reason: unknown) => {
      failure ??= { reason }
      stopped.abort(reason)
    },
    fill: async (offsetBytes: number, target: Uint8Array): Promise<void> => {
      const endBytes = offsetBytes + target.byteLength
      let filledTo = offsetBytes
      for (;;) {
        const grain = await nextFrom(filledTo)
        if (grain === null || grain.offsetBytes >= endBytes || filledTo >= endBytes) break
        const from = Math.max(filledTo, grain.offsetBytes)
        const to = Math.min(endBytes, grain.offsetBytes + grain.bytes.byteLength)
        target.fill(0, filledTo - offsetBytes, from - offsetBytes)
        target.set(grain.bytes.subarray(from - grain.offsetBytes, to - grain.offsetBytes), from - offsetBytes)
        filledTo = to
      }
      target.fill(0, filledTo - offsetBytes)
      await reached(endBytes)
    },
    /** What comes next is known, and no more: zeros up to the next grain, then perhaps data. */
    allocation: async ({ offsetBytes, lengthBytes }: Range): Promise<readonly Allocation[]> => {
      const endBytes = offsetBytes + lengthBytes
      const grain = await nextFrom(offsetBytes)
      const dataBytes = Math.min(endBytes, Math.max(offsetBytes, grain?.offsetBytes ?? endBytes))
      if (endBytes <= dataBytes) await reached(endBytes)
      return [
        { offsetBytes, lengthBytes: dataBytes - offsetBytes, kind: 'zero' as const },
        { offsetBytes: dataBytes, lengthBytes: endBytes - dataBytes, kind: 'data' as const },
      ].filter((run) => run.lengthBytes > 0)
    },
  }
}

async function openGrains(
  { begin, capacityBytes }: Pick<StreamedSource, 'begin'> & { readonly capacityBytes: number },
  cancel: Cancel,
): Promise<AsyncGenerator<Grain, void>> {
  const { grains, capacityBytes: actual } = await decodeVmdkStream(begin(cancel))
  if (actual === capacityBytes) return grains
  throw new BackupError(`the export has ${actual} bytes, the disk has ${capacityBytes}`, {
    code: 'disk-read-failed',
    facts: { actual, capacityBytes },
  })
}

function readFailed(label: string, cause: unknown): BackupError {
  const known = cause instanceof BackupError ? cause : null
  return new BackupError(`Cannot read disk ${quote(label)} from its export: ${messageOf(cause)}`, {
    code: 'disk-read-failed',
    retry: known?.retry === 'no' ? 'no' : 'later',
    ...(known?.hint === undefined ? {} : { hint: known.hint }),
    facts: { disk: label },
    cause,
  })
}
