// Which vSphere privileges each feature needs, on which objects, and why. The one list: documents, roles and checks come from it.

import type { Policy, TransportName } from './policy.ts'

/** 'backup' is what every backup needs; transports and the others add to it. */
export type Feature = 'backup' | TransportName | 'encrypted' | 'vix' | 'restore' | 'alarms'

/** What carries the privilege; a permission on a parent that propagates counts. */
export type PrivilegePlace =
  | 'vm'
  | 'datastore'
  /** vCenter's root folder. */
  | 'root'
  /** The VM that the mover runs in, where disks are attached to it. */
  | 'mover-vm'
  | 'folder'
  | 'pool'
  | 'network'

/** How it is known that the privilege is needed. */
export type PrivilegeSource =
  /** The API reference names it for the method `call`, or for a parameter of it. */
  | { readonly kind: 'api'; readonly call: string }
  /** A document of VMware lists it, for no call in particular. */
  | { readonly kind: 'document'; readonly title: string }
  /** Other products ask for it; not verified. */
  | { readonly kind: 'field' }

export type PrivilegeNeed = {
  readonly feature: Feature
  readonly id: string
  readonly place: PrivilegePlace
  /** Said in one clause, as in "turns changed block tracking on". */
  readonly why: string
  /** What is lost without it where the backup still works; null: it does not. */
  readonly without: string | null
  readonly source: PrivilegeSource
}

const VDDK_GUIDE = 'VDDK Programming Guide, "Credentials and Privileges for VMDK Access"'
const SECURITY_GUIDE = 'vSphere Security, "Defined Privileges"'
const SDK_GUIDE = 'Web Services SDK Programming Guide, "Datastore Access"'

const api = (call: string): PrivilegeSource => ({ kind: 'api', call })
const document = (title: string): PrivilegeSource => ({ kind: 'document', title })
const field: PrivilegeSource = { kind: 'field' }

type Row = readonly [id: string, place: PrivilegePlace, why: string, source: PrivilegeSource, without?: string]

const needs = (feature: Feature, rows: readonly Row[]): readonly PrivilegeNeed[] =>
  rows.map(([id, place, why, source, without]) => ({ feature, id, place, why, source, without: without ?? null }))

const NO_VMX = 'a restore point lacks .vmx and .nvram, and says so'

const backup = needs('backup', [
  [
    'VirtualMachine.Config.ChangeTracking',
    'vm',
    'turns changed block tracking on, and resets it',
    document(VDDK_GUIDE),
    'every backup reads whole disks, unless tracking is on already',
  ],
  ['VirtualMachine.State.CreateSnapshot', 'vm', 'makes the snapshot', api('CreateSnapshot_Task')],
  [
    'VirtualMachine.State.RemoveSnapshot',
    'vm',
    'removes the snapshot, consolidates disks',
    api('ConsolidateVMDisks_Task'),
  ],
  [
    'VirtualMachine.Provisioning.DiskRandomRead',
    'vm',
    'asks which areas of a disk changed',
    api('QueryChangedDiskAreas'),
    'every backup reads whole disks',
  ],
  ['VirtualMachine.Provisioning.GetVmFiles', 'vm', 'reads .vmx and .nvram', document(VDDK_GUIDE), NO_VMX],
  ['Datastore.Browse', 'datastore', 'reads .vmx, .nvram and VSS manifests', document(SDK_GUIDE), NO_VMX],
  ['Datastore.FileManagement', 'datastore', 'reads .vmx, .nvram and VSS manifests', document(SDK_GUIDE), NO_VMX],
])

/** What VDDK asks for, whichever way it reads. */
const vddk: readonly Row[] = [
  ['VirtualMachine.Provisioning.DiskRandomRead', 'vm', 'opens the disk for reading', document(VDDK_GUIDE)],
  ['VirtualMachine.Provisioning.GetVmFiles', 'vm', 'reads the files of the VM', document(VDDK_GUIDE)],
  ['VirtualMachine.Config.DiskLease', 'vm', 'holds the disk while it is read', field],
  // On the vCenter and on the hosts: these lie below the datacenter, where another permission replaces the root's.
  ...(['root', 'vm'] as const).flatMap((place): readonly Row[] => [
    ['Global.DisableMethods', place, 'keeps the VM from being moved while it is read', document(VDDK_GUIDE)],
    ['Global.EnableMethods', place, 'lets it be moved again', document(VDDK_GUIDE)],
  ]),
]

const hotadd = needs('hotadd', [
  ...vddk,
  ['VirtualMachine.Config.AddExistingDisk', 'mover-vm', "attaches the snapshot's disk to the mover's VM", field],
  [
    'VirtualMachine.Config.AddNewDisk',
    'mover-vm',
    "attaches the snapshot's disk to the mover's VM",
    document(VDDK_GUIDE),
  ],
  ['VirtualMachine.Config.RemoveDisk', 'mover-vm', 'detaches it again', document(VDDK_GUIDE)],
  ['VirtualMachine.Config.Resource', 'mover-vm', "changes the mover's VM", document(VDDK_GUIDE)],
  ['VirtualMachine.Config.Settings', 'mover-vm', "changes the mover's VM", document(VDDK_GUIDE)],
  ['Datastore.AllocateSpace', 'datastore', 'holds what is written to the attached disk', document(VDDK_GUIDE)],
])

const datastore = needs('datastore', [
  ['Datastore.Browse', 'datastore', "reads disks below vCenter's /folder", document(SDK_GUIDE)],
  ['Datastore.FileManagement', 'datastore', "reads disks below vCenter's /folder", document(SDK_GUIDE)],
])

const lease = needs('lease', [['VApp.Export', 'vm', 'exports the snapshot', api('ExportSnapshot')]])

const encrypted = needs('encrypted', [
  ['Cryptographer.Access', 'vm', 'reads encrypted disks, by VDDK transports alone', document(SECURITY_GUIDE)],
])

const vix = needs('vix', [
  [
    'VirtualMachine.GuestOperations.Query',
    'vm',
    'looks at programs and files in the guest',
    api('ListProcessesInGuest'),
  ],
  [
    'VirtualMachine.GuestOperations.Modify',
    'vm',
    'lays files into the guest and removes them',
    api('InitiateFileTransferToGuest'),
  ],
  ['VirtualMachine.GuestOperations.Execute', 'vm', 'starts scripts in the guest', api('StartProgramInGuest')],
])

const restore = needs('restore', [
  ['VirtualMachine.Inventory.Create', 'folder', 'makes the VM', api('CreateVM_Task')],
  ['VirtualMachine.Inventory.Delete', 'folder', 'removes a VM whose restore failed', field],
  ['Resource.AssignVMToPool', 'pool', 'gives the VM a place to run', api('CreateVM_Task')],
  ['VApp.Import', 'pool', 'imports disks', api('ImportVApp')],
  ['Network.Assign', 'network', 'connects the VM', field],
  ['Datastore.AllocateSpace', 'datastore', 'makes its disks', field],
  ['Datastore.Browse', 'datastore', 'puts .nvram back', document(SDK_GUIDE)],
  ['Datastore.FileManagement', 'datastore', 'puts .nvram back', document(SDK_GUIDE)],
  ['VirtualMachine.Config.AddNewDisk', 'folder', 'makes its disks', field],
  ['VirtualMachine.Config.RemoveDisk', 'folder', 'replaces disks of a VM', field],
  ['VirtualMachine.Config.AddRemoveDevice', 'folder', 'makes its devices', field],
  ['VirtualMachine.Config.AdvancedConfig', 'folder', 'sets its extra options', field],
  ['VirtualMachine.Config.Settings', 'folder', 'sets its options', field],
  ['VirtualMachine.Config.CPUCount', 'folder', 'sets its processors', field],
  ['VirtualMachine.Config.Memory', 'folder', 'sets its memory', field],
  ['VirtualMachine.Config.Annotation', 'folder', 'sets its notes', field],
  ['VirtualMachine.Config.Rename', 'folder', 'names it', field],
  ['VirtualMachine.Provisioning.DiskRandomAccess', 'folder', 'writes disks', document(SECURITY_GUIDE)],
  ['VirtualMachine.Provisioning.PutVmFiles', 'folder', 'puts .nvram back', document(SECURITY_GUIDE)],
  ['VirtualMachine.Interact.PowerOn', 'folder', 'starts it, if asked to', api('PowerOnVM_Task')],
])

const alarms = needs('alarms', [
  ['Alarm.Create', 'root', 'makes an alarm that starts a backup', api('CreateAlarm')],
  ['Alarm.Edit', 'root', 'changes it', field],
  ['Global.ScriptAction', 'root', 'lets an alarm run a script on vCenter', field],
])

/** By feature, in the order in which documents show them. */
export const PRIVILEGE_NEEDS: readonly PrivilegeNeed[] = [
  ...backup,
  ...datastore,
  ...lease,
  ...needs('nbdssl', vddk),
  ...needs('nbd', vddk),
  ...needs('san', vddk),
  ...hotadd,
  ...encrypted,
  ...vix,
  ...restore,
  ...alarms,
]

/** What a policy's backups use. Encrypted disks are the VMs' matter, restores and alarms other people's. */
export function featuresOf({ transport, guest }: Pick<Policy, 'transport' | 'guest'>): readonly Feature[] {
  const usesVix = guest.mode !== 'off' && guest.order.includes('vix')
  return ['backup', ...transport, ...(usesVix ? (['vix'] as const) : [])]
}

/** What is needed together, each privilege once a place: required where one of the features cannot do without it. */
export function privilegesFor(features: readonly Feature[]): readonly PrivilegeNeed[] {
  const byKey = new Map<string, PrivilegeNeed>()
  for (const need of PRIVILEGE_NEEDS) {
    if (!features.includes(need.feature)) continue
    const key = `${need.place} ${need.id}`
    const known = byKey.get(key)
    if (known === undefined || (known.without !== null && need.without === null)) byKey.set(key, need)
  }
  return [...byKey.values()]
}

/** A role to create: one principal has one of them, bound where `places` says. */
export type Role = {
  readonly name: string
  /** For whom, in words. */
  readonly title: string
  /** Where a permission with this role goes, with everything below. */
  readonly places: readonly PrivilegePlace[]
  /** Ascending, each once. */
  readonly privileges: readonly string[]
}

/** Features that other people decide on than those who decide on backups. */
const OTHER_PRINCIPALS: ReadonlySet<Feature> = new Set(['vix', 'restore', 'alarms'])

/** The least roles for these features: what different people should be able to do is in different ones. */
export function rolesFor(features: readonly Feature[]): readonly Role[] {
  const reading = features.filter((feature) => !OTHER_PRINCIPALS.has(feature))
  const only = (...wanted: readonly Feature[]) => wanted.filter((feature) => features.includes(feature))
  const roles: readonly (Omit<Role, 'privileges'> & { readonly has: readonly Feature[] })[] = [
    { name: 'coldframe-backup', title: 'reads and snapshots the VMs', has: reading, places: ['vm', 'datastore'] },
    { name: 'coldframe-vddk', title: 'lets VDDK hold VMs in place while it reads', has: reading, places: ['root'] },
    { name: 'coldframe-guest', title: 'works in guests through VMware Tools', has: only('vix'), places: ['vm'] },
    {
      name: 'coldframe-restore',
      title: 'restores into vCenter; given to nobody until a restore is approved',
      has: only('restore'),
      places: ['folder', 'pool', 'network', 'datastore'],
    },
    { name: 'coldframe-alarms', title: 'installs alarms, once', has: only('alarms'), places: ['root'] },
  ]
  const made = roles.map(({ name, title, has, places }) => {
    const wanted = privilegesFor(has).filter(({ place }) => places.includes(place))
    return { name, title, places: placesOf(wanted), privileges: idsOf(wanted) }
  })
  if (!features.includes('hotadd')) return made.filter(({ privileges }) => privileges.length > 0)
  // A permission on the mover's VM replaces what it has from above: the role holds that, too.
  const onMover = privilegesFor(reading).filter(({ place }) => place === 'vm' || place === 'mover-vm')
  const title = "attaches disks to the mover's own VM, and backs that VM up as others"
  const mover: Role = { name: 'coldframe-mover', title, places: ['mover-vm'], privileges: idsOf(onMover) }
  return [...made.filter(({ privileges }) => privileges.length > 0), mover]
}

function placesOf(needs: readonly PrivilegeNeed[]): readonly PrivilegePlace[] {
  return [...new Set(needs.map(({ place }) => place))]
}

function idsOf(needs: readonly PrivilegeNeed[]): readonly string[] {
  return [...new Set(needs.map(({ id }) => id))].toSorted()
}
