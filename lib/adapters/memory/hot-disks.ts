// Hot-added disks of the in-memory vCenter: a VM that has one locks the files of the VM it came from.

import { BackupError } from '../../base/errors.ts'
import type { Moref } from '../../model/ids.ts'
import { isHotAdded } from '../../model/vm.ts'
import type { VsphereSession } from '../../ports/vsphere.ts'
import type { Center } from './center.ts'
import { describe, type MemoryVm } from './machine.ts'

export function hotDiskCalls({ call }: Center, find: (moref: Moref) => MemoryVm): Pick<VsphereSession, 'detachDisks'> {
  return {
    detachDisks: ({ vm: moref, files }, cancel) =>
      call('detachDisks', cancel, () => {
        const vm = find(moref)
        const gone = vm.disks.filter((disk) => isHotAdded(describe(disk), files))
        vm.disks.splice(0, vm.disks.length, ...vm.disks.filter((disk) => !gone.includes(disk)))
        return gone.map(({ files: [file = ''] }) => file)
      }),
  }
}

/** @throws BackupError `snapshot-failed` while another VM has a file of this one */
export function refuseLocked(vm: MemoryVm, vms: readonly MemoryVm[]): void {
  const files = vm.disks.flatMap((disk) => disk.files)
  const other = vms.find((each) => each !== vm && each.disks.some((disk) => isHotAdded(describe(disk), files)))
  if (other === undefined) return
  throw new BackupError(`Cannot remove a snapshot of VM "${vm.name}": "${other.name}" has a file of it`, {
    code: 'snapshot-failed',
    retry: 'later',
  })
}
