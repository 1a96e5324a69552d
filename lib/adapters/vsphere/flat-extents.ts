// Which plain files hold a disk: from its descriptor where the server gives one, else from the names vSphere uses.

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { VmDisk } from '../../model/vm.ts'
import { type DatastorePath, folderPath, folderRefused, parseDatastorePath } from './folder.ts'
import { readBody } from './https.ts'
import { retryReading, type VimSession } from './session.ts'
import { parseVmdkDescriptor } from './vmdk-descriptor.ts'

/** A run of the disk's bytes in one file. */
export type FlatExtent = {
  readonly file: DatastorePath
  readonly path: string
  /** Of the disk. */
  readonly startBytes: number
  readonly lengthBytes: number
  /** Where the run starts in the file. */
  readonly fileOffsetBytes: number
}

type Asked = { readonly disk: VmDisk; readonly datacenter: string }

const SECTOR = 512
const DESCRIPTOR_BYTES_MAX = 64 * 1024
const LIMIT_MS = 30_000

/** @throws BackupError `transport-refused` when the disk is not plain files of just its capacity */
export async function findFlatExtents(
  session: VimSession,
  asked: Asked,
  cancel: Cancel,
): Promise<readonly FlatExtent[]> {
  const descriptorFile = parseDatastorePath(asked.disk.fileName)
  const text = await readDescriptor(session, { ...asked, file: descriptorFile }, cancel)
  const extents =
    text === null
      ? await byName(session, { ...asked, file: descriptorFile }, cancel)
      : byDescriptor(text, { ...asked, file: descriptorFile })
  for (const file of new Set(extents.map(({ path }) => path)))
    await checkSize(session, { extents: extents.filter(({ path }) => path === file) }, cancel)
  return extents
}

/** @returns null when the server has no descriptor to give: none, an empty one, or the disk's bytes in its place */
function readDescriptor(
  session: VimSession,
  { file, datacenter }: Asked & { readonly file: DatastorePath },
  cancel: Cancel,
): Promise<string | null> {
  const call = { method: 'GET', path: folderPath(file, { datacenter }), headers: {}, limitMs: LIMIT_MS } as const
  const read = () =>
    session.stream(
      call,
      async (reply) => {
        const status = reply.statusCode ?? 0
        if (status === 404) return null
        if (status !== 200) throw folderRefused(status, { doing: 'read', file })
        const length = reply.headers['content-length']
        if (length !== undefined && Number(length) > DESCRIPTOR_BYTES_MAX) return null
        const text = (await readBody(reply, DESCRIPTOR_BYTES_MAX)).toString('utf8')
        return text.includes('# Disk DescriptorFile') || /^createType/m.test(text) ? text : null
      },
      cancel,
    )
  return retryReading(session.settings, () => session.loggedIn(read, cancel), cancel)
}

function byDescriptor(
  text: string,
  { disk, file, datacenter }: Asked & { readonly file: DatastorePath },
): readonly FlatExtent[] {
  const descriptor = parseVmdkDescriptor(text)
  if (descriptor.delta) throw refused(disk, 'its descriptor says that it is a delta of another disk')
  let startBytes = 0
  const extents = descriptor.extents.map((extent) => {
    if (extent.kind !== 'VMFS' && extent.kind !== 'FLAT')
      throw refused(disk, `its extent is of kind "${extent.kind}", not plain bytes`)
    const own = { datastore: file.datastore, path: file.path.replace(/[^/]*$/, extent.file) }
    const run = {
      file: own,
      path: folderPath(own, { datacenter }),
      startBytes,
      lengthBytes: extent.sectors * SECTOR,
      fileOffsetBytes: extent.firstSector * SECTOR,
    }
    startBytes += run.lengthBytes
    return run
  })
  if (startBytes !== disk.capacityBytes)
    throw refused(disk, `its extents hold ${startBytes} bytes, and its capacity is ${disk.capacityBytes}`)
  return extents
}

/**
 * Without a descriptor: "name-flat.vmdk" beside "name.vmdk". A disk without parents may still carry the name of an
 * earlier snapshot's file ("name-000002.vmdk") while its bytes are in "name-flat.vmdk"; that file is tried second, and
 * taken only at exactly the disk's size.
 */
async function byName(
  session: VimSession,
  { disk, file, datacenter }: Asked & { readonly file: DatastorePath },
  cancel: Cancel,
): Promise<readonly FlatExtent[]> {
  const base = file.path.replace(/\.vmdk$/i, '')
  const names = [...new Set([base, base.replace(/-\d{6}$/, '')])].map((name) => `${name}-flat.vmdk`)
  for (const path of names) {
    const own = { datastore: file.datastore, path }
    const url = folderPath(own, { datacenter })
    if ((await readSize(session, { file: own, path: url }, cancel)) === null) continue
    return [{ file: own, path: url, startBytes: 0, lengthBytes: disk.capacityBytes, fileOffsetBytes: 0 }]
  }
  throw refused(disk, `there is neither a descriptor nor "${names.join('" nor "')}" on "${file.datastore}"`)
}

async function checkSize(
  session: VimSession,
  { extents }: { readonly extents: readonly FlatExtent[] },
  cancel: Cancel,
): Promise<void> {
  const [first] = extents
  if (first === undefined) return
  const needed = Math.max(...extents.map((extent) => extent.fileOffsetBytes + extent.lengthBytes))
  const size = await readSize(session, first, cancel)
  const name = `[${first.file.datastore}] ${first.file.path}`
  if (size === needed) return
  throw new BackupError(`Cannot read the disk file "${name}": it has ${size ?? 'no'} bytes, needed are ${needed}`, {
    code: 'transport-refused',
    hint: 'The file is not the whole, plain disk; use another transport',
    facts: { file: name, sizeBytes: size, neededBytes: needed },
  })
}

/** @returns null when there is no such file */
function readSize(
  session: VimSession,
  { file, path }: Pick<FlatExtent, 'file' | 'path'>,
  cancel: Cancel,
): Promise<number | null> {
  const call = { method: 'HEAD', path, headers: {}, limitMs: LIMIT_MS, bytesMax: 0 } as const
  const read = async () => {
    const { status, headers } = await session.loggedIn(() => session.exchange(call, cancel), cancel)
    if (status === 404) return null
    if (status !== 200) throw folderRefused(status, { doing: 'read', file })
    return Number(headers['content-length'] ?? Number.NaN)
  }
  return retryReading(session.settings, read, cancel)
}

function refused({ fileName, label }: VmDisk, reason: string): BackupError {
  return new BackupError(`Cannot read "${label}" ("${fileName}") over the datastore: ${reason}`, {
    code: 'transport-refused',
    hint: 'Use another transport for this disk',
    facts: { fileName, reason },
  })
}
