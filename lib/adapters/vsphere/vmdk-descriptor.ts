// The text descriptor of a VMDK: which extent files hold the disk's bytes. Reads only; sparse contents are not known here.
//
//   CID=2b1cd3f7                 this content        parentCID=ffffffff   no parent: the disk is not a delta
//   createType="vmfs"            the kind of disk
//   RW 131072 VMFS "web-flat.vmdk"             access, 512-byte sectors, kind, file[, first sector in the file]
//
// Source: VMware, Virtual Disk Format 1.1, "The Descriptor File".

import { malformed } from '../../base/errors.ts'

export type VmdkExtent = {
  readonly sectors: number
  /** "VMFS" and "FLAT" are plain bytes; others have a format of their own. */
  readonly kind: string
  readonly file: string
  readonly firstSector: number
}

export type VmdkDescriptor = {
  readonly createType: string
  /** Whether this layer holds only what changed since a parent. */
  readonly delta: boolean
  readonly extents: readonly VmdkExtent[]
}

const NO_PARENT = 'ffffffff'

/** @throws BackupError `malformed` when the text is no descriptor, or names no extent */
export function parseVmdkDescriptor(text: string): VmdkDescriptor {
  const setting = (key: string) => new RegExp(`^\\s*${key}\\s*=\\s*"?([^"\\r\\n]*?)"?\\s*$`, 'mi').exec(text)?.[1] ?? ''
  const extents: VmdkExtent[] = []
  for (const match of text.matchAll(/^\s*(?:RW|RDONLY|NOACCESS)\s+(\d+)\s+(\S+)(?:\s+"([^"]*)"(?:\s+(\d+))?)?\s*$/gm)) {
    const [, sectors = '', kind = '', file = '', firstSector = '0'] = match
    extents.push({ sectors: Number(sectors), kind, file, firstSector: Number(firstSector) })
  }
  const createType = setting('createType')
  if (createType === '' || extents.length === 0)
    throw malformed('VMDK descriptor', text, 'must give a createType and extents')
  return { createType, delta: setting('parentCID').toLowerCase() !== NO_PARENT && setting('parentCID') !== '', extents }
}
