// Disks that VDDK attaches to the mover's VM: by one reader, and only where the job says who detaches them.

import { describe, expect, it } from 'vitest'
import { memoryTransport } from '../../lib/adapters/memory/transport.ts'
import { MiB } from '../../lib/base/bytes.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { parseMoref } from '../../lib/model/ids.ts'
import { moveJob } from '../../lib/mover/move.ts'
import type { Transport } from '../../lib/ports/transport.ts'
import { cancel, commit, depsOf, differingDisks, moverWorld, prepare } from './world.ts'

const owes = [{ kind: 'hot-disk', moverVm: parseMoref('vm-9') }] as const

/** Counts how many disks are attached at once. */
async function hotaddWorld() {
  const seen = { attached: 0, attachedMost: 0, workers: 0 }
  const world = await moverWorld({
    transports: (vm) => {
      const inner = memoryTransport({ name: 'hotadd', disk: vm.frozenBytes })
      const counted: Transport = {
        ...inner,
        open: async (request, within) => {
          const source = await inner.open(request, within)
          seen.attachedMost = Math.max(seen.attachedMost, ++seen.attached)
          return {
            ...source,
            [Symbol.asyncDispose]: async () => {
              seen.attached--
              await source[Symbol.asyncDispose]()
            },
          }
        },
      }
      return [counted, memoryTransport({ name: 'datastore', disk: vm.frozenBytes })]
    },
  })
  for (const key of [2000, 2001]) {
    world.vm.addDisk(key, 100 * MiB)
    world.vm.write(key, 70 * MiB, seededRandom(key).bytes(MiB))
  }
  const policy = { ...world.policy, transport: ['hotadd', 'datastore'] as const }
  const several = { ...world, settings: { ...world.settings, workersMax: 4 } }
  const { openWorker } = depsOf(several)
  const deps = depsOf(several, {
    openWorker: (...asked) => {
      seen.workers++
      return openWorker(...asked)
    },
  })
  return { world, seen, policy, deps }
}

describe('disks by hotadd', () => {
  it('are read by one worker, one at a time, however many there might be', async () => {
    const { world, seen, policy, deps } = await hotaddWorld()
    const ready = await prepare(world, { policy, owes })
    const result = await moveJob({ jobId: ready.job.id, attempt: 1, holder: 'test' }, deps, cancel)
    expect(result.kind).toBe('sealed')
    const point = await commit(world, ready.job)
    expect(await differingDisks(world, { ...ready, point })).toEqual([])
    expect(point.body.disks.map(({ transport }) => transport)).toEqual(['hotadd', 'hotadd'])
    expect(seen).toEqual({ attached: 0, attachedMost: 1, workers: 1 })
  })

  it('are not attached where the job does not say from which VM they would be detached', async () => {
    const { world, seen, policy, deps } = await hotaddWorld()
    const ready = await prepare(world, { policy })
    await moveJob({ jobId: ready.job.id, attempt: 1, holder: 'test' }, deps, cancel)
    const point = await commit(world, ready.job)
    expect(point.body.disks.map(({ transport }) => transport)).toEqual(['datastore', 'datastore'])
    expect(seen).toEqual({ attached: 0, attachedMost: 0, workers: 4 })
  })
})
