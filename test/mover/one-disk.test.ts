// A worker has one disk open at a time, and choosing leaves none open.

import { expect, it } from 'vitest'
import { memoryTransport } from '../../lib/adapters/memory/transport.ts'
import { MiB } from '../../lib/base/bytes.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { Transport } from '../../lib/ports/transport.ts'
import { backup, differingDisks, moverWorld } from './world.ts'

const WORKERS = 3

it('a mover has no more disks open at once than workers, however many disks the VM has', async () => {
  let open = 0
  let openMost = 0
  const counted = (transport: Transport): Transport => ({
    ...transport,
    open: async (request, within) => {
      const source = await transport.open(request, within)
      openMost = Math.max(openMost, ++open)
      let isOpen = true
      return {
        ...source,
        [Symbol.asyncDispose]: async () => {
          if (isOpen) open--
          isOpen = false
          await source[Symbol.asyncDispose]()
        },
      }
    },
  })
  const world = await moverWorld({
    transports: (vm) => [counted(memoryTransport({ name: 'datastore', disk: vm.frozenBytes }))],
  })
  for (let key = 2000; key < 2010; key++) {
    world.vm.addDisk(key, 20 * MiB)
    world.vm.write(key, MiB, seededRandom(key).bytes(100_000))
  }
  const moved = await backup({ ...world, settings: { ...world.settings, workersMax: WORKERS } })
  expect(await differingDisks(world, moved)).toEqual([])
  expect(openMost).toBe(WORKERS)
  expect(open).toBe(0)
})
