// The servers behind a VDDK source: given up once, ended always, and counted.

import { describe, expect, it } from 'vitest'
import type { VddkServer } from '../../../lib/adapters/disk/vddk-server.ts'
import { openVddkSource } from '../../../lib/adapters/disk/vddk-source.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { seededRandom } from '../../../lib/base/random.ts'

const cancel = { signal: new AbortController().signal }
const SIZE = 4096

function lost(): BackupError {
  return new BackupError('Cannot read: the connection was lost', { code: 'disk-read-failed', retry: 'later' })
}

/** Servers in memory; `act` is each read of the server with this number, from 1. */
function farm(act: (server: number, read: number) => Promise<void>) {
  const seen = { opened: 0, ended: 0, runningMost: 0 }
  const open = async (): Promise<VddkServer> => {
    const number = ++seen.opened
    seen.runningMost = Math.max(seen.runningMost, seen.opened - seen.ended)
    let reads = 0
    let ended = false
    return {
      source: {
        access: 'random',
        capacityBytes: SIZE,
        readBytesMax: 1024,
        readsMax: 4,
        read: async ({ target }) => {
          if (ended) throw new Error('Assertion failed: an ended server is not read')
          await act(number, ++reads)
          target.fill(number)
        },
        allocation: async (range) => [{ ...range, kind: 'data' }],
        [Symbol.asyncDispose]: async () => undefined,
      },
      explain: (error) => new BackupError('explained', { code: 'disk-read-failed', retry: 'later', cause: error }),
      [Symbol.asyncDispose]: async () => {
        if (!ended) seen.ended++
        ended = true
      },
    }
  }
  const options = { name: 'disk', open, clock: systemClock, random: { ...seededRandom(1), fraction: () => 0 } }
  return { seen, options }
}

const readOf = (source: Awaited<ReturnType<typeof openVddkSource>>) => {
  const target = new Uint8Array(2048)
  return source.read({ offsetBytes: 0, target }, cancel).then(() => target)
}

describe('the servers of a VDDK source', () => {
  it('are replaced when one fails, and only then; reads that go on it come to their end', async () => {
    const slow = Promise.withResolvers<void>()
    const { seen, options } = farm(async (server, read) => {
      if (server === 1 && read === 1) await slow.promise
      if (server === 1 && read === 2) throw lost()
    })
    const source = await openVddkSource(options, cancel)
    const first = readOf(source)
    const second = await readOf(source)
    expect(new Set(second)).toEqual(new Set([2]))
    expect(seen).toMatchObject({ opened: 2, ended: 0 })
    slow.resolve()
    expect(new Set(await first)).toEqual(new Set([1]))
    await source[Symbol.asyncDispose]()
    expect(seen).toMatchObject({ opened: 2, ended: 2 })
  })

  it('are ended when the source is closed, also one that was given up while somebody still reads from it', async () => {
    const hanging = Promise.withResolvers<void>()
    const { seen, options } = farm(async (server, read) => {
      if (server === 1 && read === 1) await hanging.promise
      if (server === 1 && read === 2) throw lost()
    })
    const source = await openVddkSource(options, cancel)
    const settled = Promise.allSettled([readOf(source)])
    await readOf(source)
    await source[Symbol.asyncDispose]()
    expect(seen).toMatchObject({ opened: 2, ended: 2 })
    hanging.resolve()
    await settled
  })

  it('are tried three times for a read, one after the other, and the last one explains', async () => {
    const { seen, options } = farm(async () => {
      throw lost()
    })
    await using source = await openVddkSource(options, cancel)
    await expect(readOf(source)).rejects.toThrow('explained')
    expect(seen).toEqual({ opened: 3, ended: 3, runningMost: 1 })
  })

  it('are not tried again for what is broken, or refused for good', async () => {
    const { seen, options } = farm(async () => {
      throw new BackupError('it lies', { code: 'nbd-protocol' })
    })
    await using source = await openVddkSource(options, cancel)
    await expect(readOf(source)).rejects.toMatchObject({ code: 'nbd-protocol' })
    expect(seen.opened).toBe(1)
  })

  it('are opened again while that may pass, and not when it may not', async () => {
    for (const [retry, opened] of [
      ['later', 3],
      ['no', 2],
    ] as const) {
      const { seen, options } = farm(async (server) => {
        if (server === 1) throw lost()
      })
      const open = async (): Promise<VddkServer> => {
        if (seen.opened === 0) return options.open()
        seen.opened++
        throw new BackupError('Cannot open', { code: 'vddk-host-unreachable', retry })
      }
      await using source = await openVddkSource({ ...options, open }, cancel)
      await expect(readOf(source)).rejects.toMatchObject({ code: 'vddk-host-unreachable' })
      expect(seen.opened).toBe(opened)
    }
  })
})
