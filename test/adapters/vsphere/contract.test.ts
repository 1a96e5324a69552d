// The vCenter contract on our simulator, through real HTTPS and SOAP.

import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { vsphereContract } from '../../contract/vsphere.ts'
import { openSimVcenter } from './sim-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(120_000) }

vsphereContract('simulator', { changedAreas: true, createVm: true }, async () => {
  const sim = await openSimVcenter()
  return {
    vsphere: openVsphere(sim.settings),
    vmName: 'app-01',
    hotAdd: async (session, snapshot) => {
      const [app] = sim.estate.named('app-01')
      const [mover] = sim.estate.named('db-01')
      const taken = app?.snapshots.find(({ name }) => name === 'held')
      const listed = (await session.listVms(cancel)).find(({ name }) => name === 'db-01')
      if (mover === undefined || taken === undefined || listed === undefined) throw new Error(`No "${snapshot}"`)
      sim.estate.attached.attach(mover, taken)
      return listed.moref
    },
    [Symbol.asyncDispose]: () => sim[Symbol.asyncDispose](),
  }
})
