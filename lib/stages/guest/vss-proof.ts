// What the Volume Shadow Copy Service left as proof: the manifest beside the snapshot, or why there is none.

import { BackupError, messageOf } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { VssProof } from '../../model/grade.ts'
import type { Moref } from '../../model/ids.ts'
import type { VmSnapshot } from '../../model/vm.ts'
import type { Quiesce, VsphereSession } from '../../ports/vsphere.ts'

const MANIFEST_BYTES_MAX = 16 * 1024 * 1024
/** What is kept of it: a job's record carries it until the point is written, and must fit one item of a table. */
const KEPT_BYTES_MAX = 96 * 1024
/** Looks at a file that may not be there yet, or whose server is busy. */
const TRIES_MAX = 3

type Asked = {
  readonly session: VsphereSession
  readonly vm: Moref
  readonly entry: Pick<VmSnapshot, 'backupManifest' | 'name'>
  readonly quiesce: Quiesce
}

/**
 * VMware Tools fall back to file systems alone without a word: only the manifest tells that applications were asked.
 * @returns null where VSS was not asked
 */
export async function vssProofOf({ session, vm, entry, quiesce }: Asked, cancel: Cancel): Promise<VssProof | null> {
  if (quiesce.kind !== 'windows') return null
  const { context, backupType } = quiesce
  const plain = { context, backupType, writers: [], manifestBase64: null }
  const manifest = entry.backupManifest
  if (manifest === null)
    return { ...plain, absence: 'VMware Tools wrote no VSS manifest: no application took part in the snapshot' }
  try {
    const { bytes, writers } = await readManifest({ session, vm, manifest }, cancel)
    if (writers.length === 0)
      return { ...plain, absence: `The VSS manifest "${manifest}" names no writer: no application took part` }
    if (bytes.byteLength > KEPT_BYTES_MAX) {
      const absence = `The VSS manifest "${manifest}" was read and not kept: it has ${bytes.byteLength} bytes, at most ${KEPT_BYTES_MAX} are kept`
      return { ...plain, writers, absence }
    }
    return { ...plain, writers, manifestBase64: Buffer.from(bytes).toString('base64'), absence: null }
  } catch (error) {
    cancel.signal.throwIfAborted()
    // A snapshot is not made anew for it: each would freeze the applications once more.
    if (!(error instanceof BackupError)) throw error
    return { ...plain, absence: `The VSS manifest "${manifest}" could not be read: ${messageOf(error)}` }
  }
}

type Manifest = Pick<Asked, 'session' | 'vm'> & { readonly manifest: string }

async function readManifest({ session, vm, manifest }: Manifest, cancel: Cancel) {
  for (let tries = 1; ; tries++) {
    try {
      return await session.readVssManifest({ vm, manifest, bytesMax: MANIFEST_BYTES_MAX }, cancel)
    } catch (error) {
      if (!(error instanceof BackupError) || error.retry !== 'later' || tries === TRIES_MAX) throw error
    }
  }
}
