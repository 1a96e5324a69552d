// Deltas of disks that no snapshot accounts for: what a removal that went wrong leaves behind. Pure.

import { flattenSnapshots, type VmDisk, type VmState } from './vm.ts'

/**
 * Disks that run on a delta ("name-000001.vmdk") though the VM has no snapshot. A linked clone's disk is none of them: its base
 * lies in another folder. Nor is one whose mode keeps a redo log by itself.
 */
export function disksOnLostDeltas(vm: Pick<VmState, 'disks' | 'snapshots'>): readonly VmDisk[] {
  if (vm.snapshots.length > 0) return []
  return vm.disks.filter(
    ({ mode, fileName, parents: [parent] }) =>
      mode === 'persistent' && parent !== undefined && folderOf(parent) === folderOf(fileName),
  )
}

/**
 * Whether disks still carry the layer that a snapshot of ours put above them, with no snapshot left that could need it.
 * @param frozen the disks as that snapshot froze them
 */
export function keepsLayer(
  vm: Pick<VmState, 'disks' | 'snapshots'>,
  frozen: readonly Pick<VmDisk, 'key' | 'parents'>[],
): boolean {
  if (flattenSnapshots(vm.snapshots).length > 0) return false
  return disksOnLostDeltas(vm).some((disk) => {
    const before = frozen.find(({ key }) => key === disk.key)
    return before !== undefined && disk.parents.length > before.parents.length
  })
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1)
}
