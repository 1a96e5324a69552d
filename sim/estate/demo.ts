// The two estates that come with the simulator: one to look at, one for tests.

import type { GuestAccount } from '../guest/types.ts'
import { plainVss } from '../machine/vss.ts'
import { diskOf, type EstateDescription, machineOf, plainEstate, plainPlace } from './description.ts'
import { Estate, type EstateWorld } from './estate.ts'

const MiB = 1024 * 1024

/** The guests of a simulator hold nothing that a password could keep: this one is no secret. */
const accounts = [{ name: 'backup', password: 'only-for-the-demo', elevated: false }]

/**
 * Five machines, 1.02 GiB of disk: "web-01" (two disks, EFI, writes), "db-01" (two disks on two datastores, writes),
 * "mail-01" (Windows, with VSS writers), "build-01" (BIOS, on NFS, no Tools), "archive-01" (Windows, powered off). The guests of
 * web-01, db-01 and mail-01 have an inside, with the account "backup".
 */
export function demoEstate(options: EstateWorld & { readonly seed: number }): Estate {
  return new Estate(demoDescription(options.seed), options)
}

export function demoDescription(seed: number): EstateDescription {
  const place = (folders: readonly string[], more: { readonly tags: readonly string[]; readonly pool: string }) => ({
    ...plainPlace,
    folders,
    tags: more.tags,
    resourcePool: more.pool,
  })
  return {
    ...plainEstate,
    seed,
    machines: [
      machineOf({
        name: 'web-01',
        place: place(['prod', 'web'], { tags: ['backup/gold', 'team/shop'], pool: 'gold' }),
        firmware: 'efi',
        secureBoot: true,
        annotation: 'Shop front',
        ipAddresses: ['192.0.2.11', 'fe80::250:56ff:fe00:11'],
        furtherAddresses: [['198.51.100.11']],
        bridges: [{ macAddress: '02:42:7c:31:5a:01', addresses: ['172.17.0.1'] }],
        programs: true,
        accounts,
        networks: ['VM Network', 'backend'],
        disks: [diskOf({ capacityBytes: 256 * MiB }), diskOf({ capacityBytes: 96 * MiB })],
      }),
      machineOf({
        name: 'db-01',
        place: { ...place(['prod'], { tags: ['backup/gold'], pool: 'gold' }), host: 'esx-02.example' },
        cpus: 4,
        memoryMB: 8192,
        ipAddresses: ['192.0.2.21', '2001:db8::21'],
        programs: true,
        accounts,
        networks: ['backend'],
        disks: [diskOf({ capacityBytes: 192 * MiB }), diskOf({ capacityBytes: 160 * MiB, datastore: 'ds2' })],
      }),
      machineOf({
        name: 'mail-01',
        place: place(['prod'], { tags: ['backup/gold'], pool: 'gold' }),
        guestId: 'windows2019srvNext_64Guest',
        guestFullName: 'Microsoft Windows Server 2022 (64-bit)',
        firmware: 'efi',
        memoryMB: 8192,
        ipAddresses: ['192.0.2.31'],
        programs: true,
        accounts,
        vss: { ...plainVss, writers: ['Microsoft Exchange Writer', 'System Writer', 'Registry Writer'] },
        disks: [diskOf({ capacityBytes: 80 * MiB })],
      }),
      machineOf({
        name: 'build-01',
        datastore: 'ds2',
        place: place(['lab'], { tags: ['backup/silver'], pool: 'bronze' }),
        tools: 'notInstalled',
        disks: [diskOf({ capacityBytes: 128 * MiB, thin: false })],
      }),
      machineOf({
        name: 'archive-01',
        place: place(['prod'], { tags: ['backup/gold'], pool: 'bronze' }),
        guestId: 'windows2019srv_64Guest',
        guestFullName: 'Microsoft Windows Server 2019 (64-bit)',
        firmware: 'efi',
        poweredOn: false,
        disks: [diskOf({ capacityBytes: 128 * MiB })],
      }),
    ],
  }
}

export type SmallEstateOptions = EstateWorld & {
  readonly seed: number
  /** Change tracking is on and real from the start on every machine. */
  readonly changeTracking?: boolean
  /** Adds "scratch-01": its second disk is independent. */
  readonly independentDisk?: boolean
  /** Adds "cluster-01": its second disk is a physical RDM. */
  readonly physicalRdm?: boolean
  /** Adds "snap-01": somebody else's snapshot "before upgrade" is there. */
  readonly foreignSnapshot?: boolean
  /** Adds a second "app-01", in the folder "lab". */
  readonly twoOfOneName?: boolean
  /** The guest of "app-01" has an inside, with these accounts. */
  readonly accounts?: readonly GuestAccount[]
  /** Adds "win-01": a running Windows guest with healthy VSS and the accounts. */
  readonly windows?: boolean
}

/**
 * Disks of a few MiB: "app-01" (two disks of 4 and 2 MiB, EFI, running), "db-01" (3 MiB, BIOS, running), "cold-01" (2 MiB,
 * powered off), and what the options add.
 */
export function smallEstate(options: SmallEstateOptions): Estate {
  return new Estate(smallDescription(options), options)
}

export function smallDescription(options: Omit<SmallEstateOptions, keyof EstateWorld>): EstateDescription {
  const small = diskOf({ capacityBytes: 2 * MiB })
  const gold = { ...plainPlace, folders: ['prod'], tags: ['backup/gold'] }
  const machines = [
    machineOf({
      name: 'app-01',
      place: gold,
      firmware: 'efi',
      secureBoot: true,
      ipAddresses: ['192.0.2.11'],
      programs: options.accounts !== undefined,
      accounts: options.accounts ?? [],
      networks: ['VM Network', 'backend'],
      disks: [diskOf({ capacityBytes: 4 * MiB }), small],
    }),
    machineOf({
      name: 'db-01',
      place: { ...gold, host: 'esx-02.example' },
      disks: [diskOf({ capacityBytes: 3 * MiB })],
    }),
    machineOf({ name: 'cold-01', place: { ...plainPlace, tags: ['backup/silver'] }, poweredOn: false, disks: [small] }),
  ]
  if (options.independentDisk) {
    machines.push(machineOf({ name: 'scratch-01', disks: [small, { ...small, mode: 'independent_persistent' }] }))
  }
  if (options.physicalRdm) {
    const rdm = diskOf({ capacityBytes: 2 * MiB, rdm: 'physicalMode', mode: 'independent_persistent' })
    machines.push(machineOf({ name: 'cluster-01', disks: [small, rdm] }))
  }
  if (options.foreignSnapshot)
    machines.push(machineOf({ name: 'snap-01', disks: [small], snapshots: ['before upgrade'] }))
  if (options.twoOfOneName) {
    machines.push(machineOf({ name: 'app-01', place: { ...plainPlace, folders: ['lab'] }, disks: [small] }))
  }
  if (options.windows) {
    const guest = { guestId: 'windows2019srv_64Guest', guestFullName: 'Microsoft Windows Server 2019 (64-bit)' }
    machines.push(
      machineOf({ name: 'win-01', ...guest, programs: true, accounts: options.accounts ?? [], disks: [small] }),
    )
  }
  const changeTracking = options.changeTracking ?? false
  return { ...plainEstate, seed: options.seed, machines: machines.map((machine) => ({ ...machine, changeTracking })) }
}
