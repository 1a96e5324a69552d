// A simulated fleet: hosts, datastores, VMs with small disks, and a vCenter that fails now and then.

import { MiB } from '../../lib/base/bytes.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { diskOf, type EstateDescription, machineOf, plainPlace } from '../../sim/estate/description.ts'
import type { Rule } from '../../test/flow/kit.ts'

export const HOSTS = 10
export const DATASTORES = 8

const TiB = 1024 ** 4

export function fleetOf({ vms, seed }: { readonly vms: number; readonly seed: number }): EstateDescription {
  const random = seededRandom(seed)
  const below = (count: number) => Math.floor(random.fraction() * count)
  const hosts = Array.from({ length: HOSTS }, (_, index) => `esx-${String(index + 1).padStart(2, '0')}.example`)
  const datastores = Array.from({ length: DATASTORES }, (_, index) => `store-${index + 1}`)
  return {
    seed,
    datacenters: [
      {
        name: 'DC1',
        folders: [['fleet']],
        clusters: [{ name: 'cluster-1', hosts, resourcePools: ['Resources'] }],
        networks: ['VM Network'],
      },
    ],
    datastores: datastores.map((name) => ({ name, type: 'VMFS', capacityBytes: 4 * TiB })),
    machines: Array.from({ length: vms }, (_, index) => {
      const datastore = datastores[below(DATASTORES)] ?? 'store-1'
      return machineOf({
        name: `vm-${String(index + 1).padStart(4, '0')}`,
        datastore,
        place: { ...plainPlace, folders: ['fleet'], host: hosts[below(HOSTS)] ?? '' },
        changeTracking: random.fraction() < 0.8,
        disks: Array.from({ length: random.fraction() < 0.2 ? 2 : 1 }, () => diskOf({ capacityBytes: MiB })),
      })
    }),
  }
}

const FAULT = { fault: 'GenericVmConfigFault', message: 'An error occurred while saving the snapshot' }
const BUSY = { fault: 'TaskInProgress', message: 'The operation is not allowed in the current state' }

/** By chance at each call. */
export const FLEET_FAULTS: readonly (Rule & { readonly chance: number })[] = [
  { call: 'CreateSnapshot_Task', chance: 0.02, mishap: { kind: 'task-fault-after', ...FAULT } },
  { call: 'CreateSnapshot_Task', chance: 0.02, mishap: { kind: 'task-fault', ...BUSY } },
  { call: 'RemoveSnapshot_Task', chance: 0.02, mishap: { kind: 'task-fault-after', ...FAULT } },
  { call: 'RemoveSnapshot_Task', chance: 0.02, mishap: { kind: 'task-fault', ...BUSY } },
  {
    call: 'QueryChangedDiskAreas',
    chance: 0.03,
    mishap: { kind: 'fault', fault: 'FileFault', message: 'Bad change map' },
  },
  { call: '/folder', chance: 0.01, mishap: { kind: 'short-body' } },
  { call: '/folder', chance: 0.01, mishap: { kind: 'wrong-range' } },
  { call: '/folder', chance: 0.005, mishap: { kind: 'http-status', status: 503 } },
  { call: '*', chance: 0.0005, mishap: { kind: 'drop-connection' } },
  { call: '*', chance: 0.0005, mishap: { kind: 'expire-session' } },
  { call: '*', chance: 0.005, mishap: { kind: 'delay', delayMs: 100 } },
]
