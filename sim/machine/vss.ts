// Volume Shadow Copies of a simulated Windows guest: what quiescing through VMware Tools comes to, and the manifest that it leaves.

import { createHash } from 'node:crypto'
import { utf8Encode } from '../../lib/base/bytes.ts'
import { type QuiesceWish, SimFault } from './types.ts'
import { type ZipMember, zipArchive } from './zip.ts'

export const VSS_HEALTHS = ['healthy', 'no-app-quiesce', 'components-only', 'failing-writer'] as const

export type Vss = {
  /**
   * 'no-app-quiesce': Tools fall back to quiescing file systems and say nothing of it: there is no manifest.
   * 'components-only': they fall back too, and leave a manifest without writers, as the VDDK guide has it ("Application-Consistent
   * Backup and Restore"). In both, `ctx_backup` refuses the fallback. 'failing-writer': quiescing fails, by `failingWriter`.
   */
  readonly health: (typeof VSS_HEALTHS)[number]
  readonly failingWriter: string | null
  /** Friendly names. */
  readonly writers: readonly string[]
  /**
   * How VirtualMachineSnapshotTree.backupManifest names the file. The API reference: "the relative path from the
   * snapshotDirectory". Servers in the field were seen to give the whole datastore path instead.
   */
  readonly manifestPath: 'relative' | 'datastore'
}

export const plainVss: Vss = {
  health: 'healthy',
  failingWriter: null,
  writers: ['System Writer', 'Registry Writer', 'COM+ REGDB Writer'],
  manifestPath: 'relative',
}

type WindowsWish = Exclude<QuiesceWish, { readonly kind: 'none' }>

/**
 * @returns the writers whose metadata the manifest holds; null for no manifest at all
 * @throws SimFault ApplicationQuiesceFault
 */
export function writersQuiesced(vss: Vss, wish: WindowsWish): readonly string[] | null {
  const context = wish.kind === 'windows' ? wish.context : 'ctx_auto'
  // Only file systems are asked for: no writer takes part.
  if (context === 'ctx_file_share_backup') return []
  if (vss.health === 'healthy') return vss.writers
  if (vss.health === 'failing-writer') {
    const message = `The guest could not be quiesced: the VSS writer "${vss.failingWriter ?? 'of no name'}" failed (VSS_E_WRITERERROR_TIMEOUT)`
    throw new SimFault('ApplicationQuiesceFault', message)
  }
  if (context === 'ctx_backup') {
    throw new SimFault('ApplicationQuiesceFault', 'The guest does not support quiescing of applications')
  }
  return vss.health === 'components-only' ? [] : null
}

/** "…-vss_manifests<n>.zip": the Backup Components Document, and one Writer Metadata Document a writer. */
export function manifestArchive(options: {
  readonly writers: readonly string[]
  readonly wish: WindowsWish
  readonly nowMs: number
  /** Makes the instance ids of writers differ from manifest to manifest. */
  readonly seed: string
}): Uint8Array {
  const { writers, seed } = options
  const full = options.wish.kind === 'windows' && options.wish.backupType === 1
  const components = writers.map(
    (writer) =>
      `<WRITER_COMPONENTS writerId="${guidOf(writer)}" instanceId="${guidOf(`${seed} ${writer}`)}" backupSchema="0"/>`,
  )
  const backup =
    '<BACKUP_COMPONENTS xmlns="x-schema:#VssComponentMetadata" version="1.2" bootableSystemStateBackup="yes" ' +
    `selectComponents="yes" backupType="${full ? 'full' : 'copy'}" partialFileSupport="no" ` +
    `snapshotSetId="${guidOf(seed)}">${components.join('')}</BACKUP_COMPONENTS>`
  const members: ZipMember[] = [
    { name: 'backup.xml', bytes: utf8Encode(backup) },
    ...writers.map((writer, index) => ({
      name: `writer${index}.xml`,
      bytes: utf8Encode(writerDocument(writer, guidOf(`${seed} ${writer}`))),
    })),
  ]
  return zipArchive(members, { modifiedMs: options.nowMs })
}

/** A Writer Metadata Document begins with who the writer is (Microsoft, "Writer Metadata Document Contents"). */
function writerDocument(writer: string, instanceId: string): string {
  const isSystem = /^(System|Registry|COM\+)/.test(writer)
  return (
    '<WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.1" backupSchema="0">' +
    `<IDENTIFICATION writerId="${guidOf(writer)}" instanceId="${instanceId}" friendlyName="${escaped(writer)}" ` +
    `usage="${isSystem ? 'BOOTABLE_SYSTEM_STATE' : 'USER_DATA'}" dataSource="${isSystem ? 'OTHER' : 'TRANSACTION_DB'}"/>` +
    `<RESTORE_METHOD method="${isSystem ? 'RESTORE_AT_REBOOT' : 'RESTORE_IF_NOT_THERE'}" writerRestore="always" rebootRequired="no"/>` +
    '</WRITER_METADATA>'
  )
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function guidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
