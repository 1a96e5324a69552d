import { memoryVcenter } from '../../../lib/adapters/memory/vsphere.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { vsphereContract } from '../../contract/vsphere.ts'

vsphereContract('memory', { changedAreas: true, createVm: false }, async () => {
  const { vsphere, addVm } = memoryVcenter({ clock: systemClock })
  addVm({ name: 'db-01', diskBytes: [1_048_576, 262_144] })
  return { vsphere, vmName: 'db-01', [Symbol.asyncDispose]: async () => undefined }
})
