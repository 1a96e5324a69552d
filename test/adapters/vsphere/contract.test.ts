// The vCenter contract on our simulator, through real HTTPS and SOAP.

import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { vsphereContract } from '../../contract/vsphere.ts'
import { openSimVcenter } from './sim-vcenter.ts'

vsphereContract('simulator', { changedAreas: true, createVm: true }, async () => {
  const sim = await openSimVcenter()
  return {
    vsphere: openVsphere(sim.settings),
    vmName: 'app-01',
    [Symbol.asyncDispose]: () => sim[Symbol.asyncDispose](),
  }
})
