// The VSS manifest beside a quiesced snapshot of a Windows guest.

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { VsphereSession } from '../../ports/vsphere.ts'
import type { VimSession } from './session.ts'

type Request = Parameters<VsphereSession['readVssManifest']>[0]

export async function readVssManifest(_session: VimSession, request: Request, _cancel: Cancel): Promise<Uint8Array> {
  throw new BackupError(`Cannot read "${request.manifest}"`, { code: 'file-not-found' })
}
