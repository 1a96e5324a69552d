// Dynamic disks of a Windows guest: VSS through VMware Tools leaves them out, and vCenter does not tell them from basic ones.

import { BackupError } from '../../base/errors.ts'
import { type Cancel, isAbort, withTimeLimit } from '../../base/time-limit.ts'
import type { Job } from '../../model/job.ts'
import type { Notice } from '../../model/outcome.ts'
import type { GuestChannel } from '../../ports/guest.ts'

const LIMIT_MS = 30_000

/** Win32_DiskPartition.Type names the owner of a partition; dynamic disks belong to the Logical Disk Manager, MBR and GPT alike. */
const QUERY =
  "Get-CimInstance -ClassName Win32_DiskPartition | Where-Object { $_.Type -like '*Logical Disk Manager*' } | " +
  'ForEach-Object { $_.DiskIndex } | Sort-Object -Unique'

/** What cannot be asked is not said: the snapshot itself is judged by its manifest. */
export async function dynamicDiskNotices(
  channel: GuestChannel,
  { vm, policy }: Pick<Job, 'vm' | 'policy'>,
  cancel: Cancel,
): Promise<readonly Notice[]> {
  if (channel.family !== 'windows' || policy.consistency.want !== 'application') return []
  try {
    const { exitCode, stdout } = await channel.run(
      {
        program: 'powershell.exe',
        args: ['-NoProfile', '-NonInteractive', '-Command', QUERY],
        environment: {},
        workingDirectory: null,
        timeoutMs: LIMIT_MS,
        elevated: false,
      },
      { signal: withTimeLimit(cancel.signal, 2 * LIMIT_MS) },
    )
    const numbers = stdout.split(/\s+/).filter((word) => /^[0-9]+$/.test(word))
    if (exitCode !== 0 || numbers.length === 0) return []
    const message = `VM "${vm.name}" has dynamic disks (disk ${numbers.join(', disk ')} in the guest): VSS leaves them out`
    return [
      { code: 'vss-dynamic-disks', message, hint: 'Make them basic disks, or accept file-system consistency there' },
    ]
  } catch (error) {
    cancel.signal.throwIfAborted()
    if (isAbort(error) || error instanceof BackupError) return []
    throw error
  }
}
