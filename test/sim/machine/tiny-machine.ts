// One machine without an estate around it, for tests of the hardware.

import { type Clock, manualClock } from '../../../lib/base/clock.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { FrozenLedger } from '../../../sim/machine/digest.ts'
import { type StoreMaker, storeMaker } from '../../../sim/machine/grain-store.ts'
import { Machine, type MachineDisk } from '../../../sim/machine/machine.ts'
import { Tools } from '../../../sim/machine/tools.ts'
import type { SimConfig } from '../../../sim/machine/types.ts'

export const tinyConfig: SimConfig = {
  name: 'tiny',
  instanceUuid: '50000000-0000-4000-8000-000000000001',
  biosUuid: '42000000-0000-4000-8000-000000000001',
  version: 'vmx-19',
  guestId: 'ubuntu64Guest',
  guestFullName: 'Ubuntu Linux (64-bit)',
  firmware: 'efi',
  secureBoot: true,
  cpus: 2,
  coresPerSocket: 1,
  memoryMB: 1024,
  annotation: 'says "hi"',
  template: false,
  vmPathName: '[ds1] tiny/tiny.vmx',
  nvramFile: 'tiny.nvram',
  extraConfig: {},
  controllers: [{ deviceKey: 1000, type: 'ParaVirtualSCSIController', busNumber: 0 }],
  nics: [
    {
      deviceKey: 4000,
      type: 'VirtualVmxnet3',
      macAddress: '00:50:56:00:00:01',
      network: 'VM Network',
      connected: true,
    },
  ],
}

export function tinyMachine(options: {
  readonly capacities: readonly number[]
  readonly config?: Partial<SimConfig>
  /** Changes of single disks, by index. */
  readonly disks?: readonly Partial<MachineDisk>[]
  readonly stores?: StoreMaker
  readonly ledger?: FrozenLedger
  readonly clock?: Clock
  readonly allocation?: 'vmfs' | 'whole'
  readonly changeWindowBytes?: number
}): Machine {
  return new Machine(
    {
      config: { ...tinyConfig, ...options.config },
      disks: options.capacities.map((capacityBytes, index) => ({
        capacityBytes,
        thin: true,
        datastore: 'ds1',
        controllerKey: 1000,
        unitNumber: index,
        mode: 'persistent',
        rdm: null,
        ...options.disks?.[index],
      })),
      nvram: new Uint8Array([1, 2, 3]),
      tools: new Tools({
        state: 'running',
        addresses: { cards: [['192.0.2.1']], bridges: [] },
        hostName: 'tiny',
      }),
      system: null,
      allocation: options.allocation ?? 'vmfs',
      changeWindowBytes: options.changeWindowBytes ?? Number.POSITIVE_INFINITY,
    },
    {
      clock: options.clock ?? manualClock(),
      random: seededRandom(1),
      stores: options.stores ?? storeMaker(null),
      ledger: options.ledger ?? new FrozenLedger(),
    },
  )
}
