// The description of a simulated estate as plain data: what a JSON file says, with every default filled in.

import type { GuestAccount } from '../guest/types.ts'
import type { GuestBridge, ToolsState } from '../machine/tools.ts'
import type { DiskMode, SimPlace } from '../machine/types.ts'
import { plainVss, type Vss } from '../machine/vss.ts'
import type { Fill } from './content.ts'

export type DiskDescription = {
  /** A whole number of 512-byte sectors, at least 256 KiB. */
  readonly capacityBytes: number
  readonly thin: boolean
  /** Null: the machine's own. */
  readonly datastore: string | null
  readonly mode: DiskMode
  readonly rdm: 'physicalMode' | 'virtualMode' | null
  readonly fill: Fill
  /** A raw image that becomes the disk's content; then capacityBytes is at least its size. */
  readonly image: string | null
}

export type MachineDescription = {
  readonly name: string
  readonly datastore: string
  readonly place: SimPlace
  readonly guestId: string
  readonly guestFullName: string
  readonly firmware: 'bios' | 'efi'
  readonly secureBoot: boolean
  readonly cpus: number
  readonly memoryMB: number
  readonly annotation: string
  readonly template: boolean
  readonly poweredOn: boolean
  readonly tools: ToolsState
  /** Of the first network card. */
  readonly ipAddresses: readonly string[]
  /** Of the second network card and those after it. */
  readonly furtherAddresses: readonly (readonly string[])[]
  readonly bridges: readonly GuestBridge[]
  /**
   * Whether its inside is there: accounts and files, and on Linux programs, which are real ones of this machine. Only where the
   * simulator was given a directory for it.
   */
  readonly programs: boolean
  readonly accounts: readonly GuestAccount[]
  readonly vss: Vss
  readonly quiesceMs: number
  readonly changeTracking: boolean
  /** No reply about changed areas covers more than this; null for no bound. */
  readonly changeWindowBytes: number | null
  readonly networks: readonly string[]
  readonly disks: readonly DiskDescription[]
  /** Names of snapshots that are there from the start, oldest first. */
  readonly snapshots: readonly string[]
}

export type EstateDescription = {
  readonly seed: number
  readonly datacenters: readonly {
    readonly name: string
    readonly folders: readonly (readonly string[])[]
    readonly clusters: readonly {
      readonly name: string
      readonly hosts: readonly string[]
      readonly resourcePools: readonly string[]
    }[]
    readonly networks: readonly string[]
  }[]
  readonly datastores: readonly {
    readonly name: string
    readonly type: 'VMFS' | 'NFS' | 'vsan'
    readonly capacityBytes: number
  }[]
  readonly machines: readonly MachineDescription[]
}

const GiB = 1024 ** 3

/** One datacenter "DC1", one cluster of two hosts, two datastores, two networks; no machines. */
export const plainEstate: Omit<EstateDescription, 'seed' | 'machines'> = {
  datacenters: [
    {
      name: 'DC1',
      folders: [['prod'], ['prod', 'web'], ['lab']],
      clusters: [
        {
          name: 'cluster-1',
          hosts: ['esx-01.example', 'esx-02.example'],
          resourcePools: ['Resources', 'gold', 'bronze'],
        },
      ],
      networks: ['VM Network', 'backend'],
    },
  ],
  datastores: [
    { name: 'ds1', type: 'VMFS', capacityBytes: 512 * GiB },
    { name: 'ds2', type: 'NFS', capacityBytes: 256 * GiB },
  ],
}

/** The place of a machine that says nothing about it. */
export const plainPlace: SimPlace = {
  datacenter: 'DC1',
  folders: [],
  cluster: 'cluster-1',
  host: 'esx-01.example',
  resourcePool: 'Resources',
  tags: [],
}

/** A disk with defaults: thin, persistent, mixed content. */
export function diskOf(disk: Partial<DiskDescription> & { readonly capacityBytes: number }): DiskDescription {
  return { thin: true, datastore: null, mode: 'persistent', rdm: null, fill: 'mixed', image: null, ...disk }
}

/** A machine with defaults: a running Linux guest with Tools, BIOS, on "ds1", one network. */
export function machineOf(
  machine: Partial<MachineDescription> & Pick<MachineDescription, 'name' | 'disks'>,
): MachineDescription {
  return {
    datastore: 'ds1',
    place: plainPlace,
    guestId: 'ubuntu64Guest',
    guestFullName: 'Ubuntu Linux (64-bit)',
    firmware: 'bios',
    secureBoot: false,
    cpus: 2,
    memoryMB: 2048,
    annotation: '',
    template: false,
    poweredOn: true,
    tools: 'running',
    ipAddresses: [],
    furtherAddresses: [],
    bridges: [],
    programs: false,
    accounts: [],
    vss: plainVss,
    quiesceMs: 0,
    changeTracking: false,
    changeWindowBytes: null,
    networks: ['VM Network'],
    snapshots: [],
    ...machine,
  }
}
