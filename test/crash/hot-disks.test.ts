// A backup by hotadd meets death at every call, of its stages and of its mover: no disk stays attached, and no snapshot.

import { expect, it } from 'vitest'
import { addVm, policyWith } from '../stages/world.ts'
import { type Scene, surviveEach, worldWithPoint } from './matrix.ts'

const scene: Scene = {
  build: async (seed) => {
    const engine = await worldWithPoint(seed)
    engine.world.moverVm = addVm(engine.world, { name: 'mover-1', diskBytes: [4_096] }).moref
    return engine
  },
  policy: policyWith({ transport: ['hotadd', 'nbd'] }),
  check: async ({ vcenter, moverVm }) => {
    const mover = vcenter.vms.find(({ moref }) => moref === moverVm)
    expect(mover?.disks.map(({ files }) => files[0])).toEqual(['[ds1] mover-1/mover-1.vmdk'])
  },
}

it('no disk stays attached to the VM of the mover, whatever dies when', async () => {
  for (const when of ['before', 'after'] as const) {
    await surviveEach('stages', { blow: 'kill', when, step: 3, scene })
    await surviveEach('mover', { blow: 'kill', when, step: 2, scene })
  }
}, 300_000)

it('no disk stays attached to the VM of the mover while vCenter comes and goes', async () => {
  for (const when of ['before', 'after'] as const)
    await surviveEach('stages', { blow: 'unreachable', when, step: 4, scene })
}, 300_000)
