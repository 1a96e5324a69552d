// What of a VM can be backed up, and how: pure judgement of its description against a policy.

import { describeTemporary, temporarySnapshots } from './foreign-snapshots.ts'
import type { Notice } from './outcome.ts'
import type { ExcludedDisk } from './point.ts'
import type { Policy } from './policy.ts'
import { matchesPattern } from './policy.ts'
import { flattenSnapshots, type VmDisk, type VmSnapshot, type VmState } from './vm.ts'
import { disksOnLostDeltas } from './vm-layers.ts'

export type Preflight = {
  /** Each stops the job; all are reported. */
  readonly faults: readonly Notice[]
  /** The job goes on and ends with a warning. */
  readonly notices: readonly Notice[]
  readonly excludedDisks: readonly ExcludedDisk[]
  /** Snapshots that are not ours, or whose job no record of ours knows. */
  readonly foreignSnapshots: readonly VmSnapshot[]
}

/**
 * Judges a VM before anything is done to it.
 * @param vm as it is after our own snapshots were removed: those that are left are not ours to remove
 */
export function preflight(vm: VmState, policy: Policy): Preflight {
  const foreignSnapshots = flattenSnapshots(vm.snapshots)
  const disks = judgeDisks(vm, policy)
  const faults = [...vmFaults(vm), ...disks.faults, ...snapshotFaults(vm, policy, foreignSnapshots)]
  const notices = [...disks.notices, ...snapshotNotices(vm, policy), ...vssNotices(vm, policy)]
  return { faults, notices, excludedDisks: disks.excludedDisks, foreignSnapshots }
}

function vmFaults(vm: VmState): readonly Notice[] {
  const faults: Notice[] = []
  if (vm.template) {
    const message = `VM "${vm.name}" is a template: templates cannot be snapshotted`
    faults.push(fault('vm-template', message, 'Leave templates out of the policy'))
  }
  if (vm.faultTolerant) {
    const message = `VM "${vm.name}" is protected by Fault Tolerance, which allows no snapshots`
    faults.push(fault('vm-fault-tolerant', message, 'Leave the VM out of the policy, or turn Fault Tolerance off'))
  }
  if (vm.connectionState !== 'connected') {
    const message = `VM "${vm.name}" is "${vm.connectionState}", not "connected"`
    faults.push(fault('vm-not-connected', message, 'Bring its host back or remove the VM from the inventory'))
  }
  return faults
}

function judgeDisks(vm: VmState, policy: Policy): Pick<Preflight, 'faults' | 'notices' | 'excludedDisks'> {
  const faults: Notice[] = []
  const notices: Notice[] = []
  const excludedDisks: ExcludedDisk[] = []
  for (const disk of vm.disks) {
    const reason = whyNotSnapshotted(disk)
    if (isExcluded(disk, policy)) {
      const { key, label, fileName } = disk
      excludedDisks.push({ key, label, fileName, reason: reason ?? 'excluded by the policy' })
      if (reason !== null) notices.push(missingDisk(disk, reason))
    } else if (reason !== null) {
      const message = `Disk "${disk.label}" ("${disk.fileName}") of VM "${vm.name}" is ${reason}: a snapshot does not hold it`
      const hint = `Exclude it by name in the policy (disks.exclude: ["${disk.label}"]); the restore point then lists it as missing`
      faults.push(fault('disk-unsupported', message, hint))
    }
  }
  if (vm.disks.length > 0 && excludedDisks.length === vm.disks.length) {
    const message = `Every disk of VM "${vm.name}" is excluded by the policy`
    faults.push(fault('no-disks', message, 'Exclude fewer disks, or leave the VM out of the policy'))
  }
  return { faults, notices, excludedDisks }
}

/** Deltas below our snapshot are read by any transport but `datastore`, which knows plain files alone. */
function snapshotFaults(vm: VmState, policy: Policy, foreign: readonly VmSnapshot[]): readonly Notice[] {
  if (policy.transport.some((transport) => transport !== 'datastore')) return []
  const lost = lostDeltas(vm, policy)
  if (lost.length > 0) {
    const message = `VM "${vm.name}" runs on deltas without a snapshot: ${lost.join(', ')}; transport "datastore" reads only a disk without deltas`
    return [fault('lost-deltas', message, MEND_DELTAS)]
  }
  if (foreign.length === 0) return []
  const names = foreign.map((snapshot) => `"${snapshot.name}"`).join(', ')
  const message = `VM "${vm.name}" has snapshots of others: ${names}; transport "datastore" reads only a disk without deltas`
  return [fault('foreign-snapshot', message, 'Remove those snapshots, or choose a transport that reads delta chains')]
}

/** What should be known of a VM that can be backed up all the same. */
function snapshotNotices(vm: VmState, policy: Policy): readonly Notice[] {
  const notices: Notice[] = []
  const left = temporarySnapshots(vm.snapshots)
  if (left.length > 0) {
    const message = `VM "${vm.name}" has ${left.map(describeTemporary).join(', ')}, which looks left behind`
    notices.push(fault('product-snapshot', message, 'Look whether that product still works on the VM; else remove it'))
  }
  const lost = lostDeltas(vm, policy)
  if (lost.length > 0) {
    const message = `VM "${vm.name}" runs on deltas without a snapshot: ${lost.join(', ')}`
    notices.push(fault('lost-deltas', message, MEND_DELTAS))
  }
  return notices
}

const MEND_DELTAS = "Run `coldframe hunt`, or consolidate the VM's disks in vCenter"

function lostDeltas(vm: VmState, policy: Policy): readonly string[] {
  const disks = disksOnLostDeltas(vm).filter((disk) => !isExcluded(disk, policy))
  return disks.map(({ label, fileName }) => `"${label}" ("${fileName}")`)
}

/** Whether the policy leaves this disk out, by its label, file name or path. */
export function isExcluded(disk: VmDisk, policy: Policy): boolean {
  const names = [disk.label, ...[disk.fileName, ...disk.parents].flatMap(namesOfFile)]
  return policy.disks.exclude.some((pattern) => names.some((name) => matchesPattern(name, pattern)))
}

/** With and without its datastore, its folder and its ending. A disk's parents count: a snapshot must not change what is meant. */
function namesOfFile(path: string): readonly string[] {
  const inDatastore = path.replace(/^\[[^\]]*\]\s*/, '')
  const name = inDatastore.split('/').at(-1) ?? ''
  return [path, inDatastore, name, name.replace(/\.vmdk$/, '')]
}

function whyNotSnapshotted(disk: VmDisk): string | null {
  if (disk.mode === 'independent_persistent' || disk.mode === 'independent_nonpersistent')
    return `independent (mode "${disk.mode}")`
  if (disk.mode !== 'persistent') return `in mode "${disk.mode}"`
  if (disk.backing === 'rdm-physical') return 'a raw device mapping in physical compatibility mode'
  if (disk.sharing) return 'shared with other VMs (multi-writer)'
  return null
}

/** What keeps applications of a Windows guest out of a quiesced snapshot; the snapshot itself tells only afterwards. */
function vssNotices(vm: VmState, policy: Policy): readonly Notice[] {
  if (policy.consistency.want !== 'application' || vm.guest.family !== 'windows' || vm.powerState !== 'poweredOn')
    return []
  const notices: Notice[] = []
  if (vm.diskUuidEnabled !== true) {
    const message = `VM "${vm.name}" does not have disk.enableUUID set to TRUE: VSS cannot quiesce its applications`
    notices.push(fault('vss-disk-uuid', message, 'Set disk.enableUUID=TRUE in the VM options while it is off'))
  }
  if (vm.ideDisks.length > 0) {
    const message = `VM "${vm.name}" has disks on an IDE controller: ${quoted(vm.ideDisks)}; VSS leaves them out`
    notices.push(fault('vss-ide-disks', message, 'Move them to a SCSI, SATA or NVMe controller'))
  }
  const status = vm.guest.toolsVersionStatus
  if (status !== null && OUTDATED_TOOLS.has(status)) {
    const version = vm.guest.toolsVersion ?? 'unknown'
    const message = `VMware Tools of VM "${vm.name}" have version "${version}", "${status}" as vCenter says`
    notices.push(fault('vss-tools-old', message, 'Update VMware Tools in the guest'))
  }
  return notices
}

/** VirtualMachineToolsVersionStatus of the vSphere Web Services API. */
const OUTDATED_TOOLS: ReadonlySet<string> = new Set([
  'guestToolsTooOld',
  'guestToolsNeedUpgrade',
  'guestToolsBlacklisted',
])

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ')
}

function missingDisk(disk: VmDisk, reason: string): Notice {
  return {
    code: 'disk-excluded',
    message: `Disk "${disk.label}" ("${disk.fileName}") is ${reason} and not in the restore point, as the policy says`,
    hint: 'Protect it by other means',
  }
}

function fault(code: string, message: string, hint: string): Notice {
  return { code, message, hint }
}
