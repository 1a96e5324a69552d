// The VSS manifest beside a quiesced snapshot of a Windows guest: a file in the VM's snapshot directory.

import { BackupError, hasCode, malformed } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { VsphereSession } from '../../ports/vsphere.ts'
import { parseVssManifest } from '../../wire/vss-manifest.ts'
import { type DatastorePath, parseDatastorePath, readSmallFile } from './folder.ts'
import { readObject } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import { isRef, ref, replyMalformed, type VimValue } from './values.ts'
import { notFound, readStanding } from './vm-state.ts'

type Request = Parameters<VsphereSession['readVssManifest']>[0]
type Manifest = Awaited<ReturnType<VsphereSession['readVssManifest']>>

/** @throws BackupError `vss-manifest-missing`, `vss-manifest-malformed`, `vss-manifest-large`, and as files of a datastore */
export async function readVssManifest(session: VimSession, request: Request, cancel: Cancel): Promise<Manifest> {
  const { vm, manifest, bytesMax } = request
  const what = `Cannot read the VSS manifest "${manifest}" of VM "${vm}"`
  const find = () => findManifest(session, { ...request, what }, cancel)
  const found = await retryReading(session.settings, find, cancel)
  const name = `[${found.file.datastore}] ${found.file.path}`
  try {
    const bytes = await readSmallFile(session, { ...found, bytesMax }, cancel)
    if (bytes === null)
      throw new BackupError(`${what}: there is no file "${name}"`, {
        code: 'vss-manifest-missing',
        kind: 'not-found',
        facts: { vm, file: name },
      })
    return { bytes, writers: parseVssManifest(bytes).writers }
  } catch (error) {
    if (!hasCode(error, 'vcenter-reply-malformed')) throw error
    throw new BackupError(`${what}: "${name}" is larger than ${bytesMax} bytes`, {
      code: 'vss-manifest-large',
      facts: { vm, file: name, bytesMax },
      cause: error,
    })
  }
}

async function findManifest(
  session: VimSession,
  { vm, manifest, what }: Request & { readonly what: string },
  cancel: Cancel,
): Promise<{ readonly file: DatastorePath; readonly place: { readonly datacenter: string } }> {
  const paths = ['config.files.snapshotDirectory', 'config.files.vmPathName', 'parent', 'parentVApp']
  try {
    const values = await readObject(session, { ref: ref('VirtualMachine', vm), paths, what }, cancel)
    const parent = values.get('parent') ?? values.get('parentVApp')
    return {
      file: manifestFile(values, manifest),
      place: await readStanding(session, isRef(parent) ? parent : null, cancel),
    }
  } catch (error) {
    throw hasCode(error, 'vcenter-object-gone') ? notFound('vm-not-found', { what, error }) : error
  }
}

/** VirtualMachineSnapshotTree.backupManifest is relative to the snapshot directory, by default the VM's own. */
function manifestFile(values: ReadonlyMap<string, VimValue>, manifest: string): DatastorePath {
  // Some servers name the whole path.
  if (manifest.startsWith('[')) return parseDatastorePath(manifest)
  if (manifest.split('/').includes('..'))
    throw malformed('path of a VSS manifest', manifest, 'must be relative to the snapshot directory, without ".."')
  const [directory, vmx] = ['config.files.snapshotDirectory', 'config.files.vmPathName'].map((name) => values.get(name))
  const base = typeof directory === 'string' && directory !== '' ? directory : folderOf(vmx)
  const { datastore, path } = parseDatastorePath(base)
  const folder = path.replace(/\/+$/, '')
  return { datastore, path: folder === '' ? manifest : `${folder}/${manifest}` }
}

function folderOf(vmx: VimValue | undefined): string {
  if (typeof vmx === 'string') return vmx.replace(/[^/\]]*$/, '')
  throw replyMalformed('it names no directory of the VM')
}
