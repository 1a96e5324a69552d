import { memoryVcenter } from '../../../lib/adapters/memory/vsphere.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { vsphereContract } from '../../contract/vsphere.ts'
import { attach } from '../../stages/transports.ts'

vsphereContract('memory', { changedAreas: true, createVm: false }, async () => {
  const { vsphere, addVm } = memoryVcenter({ clock: systemClock })
  addVm({ name: 'db-01', diskBytes: [1_048_576, 262_144] })
  const mover = addVm({ name: 'mover', diskBytes: [65_536] })
  return {
    vsphere,
    vmName: 'db-01',
    hotAdd: async (session, snapshot) => {
      const { disks } = await session.readSnapshot(snapshot, { signal: new AbortController().signal })
      for (const { fileName } of disks) attach(mover, fileName)
      return mover.moref
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
})
