// Disks of other VMs that a mover's VM has attached: taken from it again, and never deleted.

import { BackupError, hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import { isHotAdded, type VmDisk } from '../../model/vm.ts'
import { disksOf } from './devices.ts'
import { readObject } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import { runTask } from './tasks.ts'
import { record, recordsOf, ref, typed, type VimRecord } from './values.ts'
import { notFound } from './vm-state.ts'

export type DetachRequest = { readonly vm: Moref; readonly files: readonly string[] }

/** @throws BackupError `vm-not-found`; `hot-disk-attached` when the task succeeded and a disk is still there */
export async function detachDisks(
  session: VimSession,
  request: DetachRequest,
  cancel: Cancel,
): Promise<readonly string[]> {
  const what = `Cannot detach disks from the VM "${request.vm}"`
  try {
    const found = await hotAdded(session, { ...request, what }, cancel)
    if (found.length === 0) return []
    // Without a file operation the device goes and its files stay (VirtualDeviceConfigSpec.fileOperation).
    const args = { spec: record({ deviceChange: found.map(removal) }) }
    const target = ref('VirtualMachine', request.vm)
    await runTask(session, { method: 'ReconfigVM_Task', target, args, what }, cancel)
    const left = await hotAdded(session, { ...request, what }, cancel)
    if (left.length > 0) throw stillAttached(what, left)
    return found.map(({ fileName }) => fileName)
  } catch (error) {
    throw hasCode(error, 'vcenter-object-gone') ? notFound('vm-not-found', { what, error }) : error
  }
}

async function hotAdded(
  session: VimSession,
  { vm, files, what }: DetachRequest & { readonly what: string },
  cancel: Cancel,
): Promise<readonly VmDisk[]> {
  const asked = { ref: ref('VirtualMachine', vm), paths: ['config.hardware.device'], what }
  const values = await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)
  if (!values.has('config.hardware.device')) {
    throw new BackupError(`${what}: vCenter cannot read its configuration`, { code: 'vm-inaccessible', retry: 'later' })
  }
  return disksOf(recordsOf(values.get('config.hardware.device'))).filter((disk) => isHotAdded(disk, files))
}

function removal({ key, controllerKey, unitNumber, capacityBytes, fileName, mode }: VmDisk): VimRecord {
  const backing = typed('VirtualDiskFlatVer2BackingInfo', { fileName, diskMode: mode })
  const device = { key, backing, controllerKey, unitNumber, capacityInKB: Math.ceil(capacityBytes / 1024) }
  return record({ operation: 'remove', device: typed('VirtualDisk', device) })
}

function stillAttached(what: string, left: readonly VmDisk[]): BackupError {
  const files = left.map(({ fileName }) => fileName)
  return new BackupError(`${what}: "${files.join('", "')}" is still attached`, {
    code: 'hot-disk-attached',
    retry: 'later',
    hint: "Remove the disk from the mover's VM in vCenter, and keep its files",
    facts: { files },
  })
}
