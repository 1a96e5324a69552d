// GuestFileManager: directories, files and their transfer.

import { closeSync } from 'node:fs'
import type { GuestEntry, GuestFileChange } from '../../guest/types.ts'
import { isWindows } from '../../machine/quiescing.ts'
import { SimFault } from '../../machine/types.ts'
import {
  type Data,
  data,
  dataAt,
  flagAt,
  numberAt,
  optionalNumberAt,
  optionalTextAt,
  textAt,
  type Value,
} from '../../soap/value.ts'
import { invalidArgument } from '../faults.ts'
import type { Call, Handler } from '../front.ts'
import { type EnteredGuest, enterGuest } from './enter-guest.ts'

/** How many entries a listing gives when the caller names no number (ListFilesInGuest, maxResults). */
const RESULTS = 50

export const guestFileMethods: Readonly<Record<string, Handler>> = {
  MakeDirectoryInGuest: (call) => {
    const { system, account } = enterGuest(call, 'Modify')
    const parents = flagAt(call.args, 'createParentDirectories')
    system.files.makeDirectory(account, { path: textAt(call.args, 'directoryPath'), parents })
    return null
  },
  DeleteDirectoryInGuest: (call) => {
    const { system, account } = enterGuest(call, 'Modify')
    const recursive = flagAt(call.args, 'recursive')
    system.files.removeDirectory(account, { path: textAt(call.args, 'directoryPath'), recursive })
    return null
  },
  DeleteFileInGuest: (call) => {
    const { system, account } = enterGuest(call, 'Modify')
    system.files.removeFile(account, textAt(call.args, 'filePath'))
    return null
  },
  MoveDirectoryInGuest: (call) => {
    const { system, account } = enterGuest(call, 'Modify')
    const [from, to] = [textAt(call.args, 'srcDirectoryPath'), textAt(call.args, 'dstDirectoryPath')]
    system.files.move(account, { from, to, overwrite: false, kind: 'directory' })
    return null
  },
  MoveFileInGuest: (call) => {
    const { system, account } = enterGuest(call, 'Modify')
    const [from, to] = [textAt(call.args, 'srcFilePath'), textAt(call.args, 'dstFilePath')]
    system.files.move(account, { from, to, overwrite: flagAt(call.args, 'overwrite'), kind: 'file' })
    return null
  },
  CreateTemporaryFileInGuest: (call) => makeTemporary(call, 'file'),
  CreateTemporaryDirectoryInGuest: (call) => makeTemporary(call, 'directory'),
  ListFilesInGuest: listFiles,
  ChangeFileAttributesInGuest: (call) => {
    const guest = enterGuest(call, 'Modify')
    const change = changeOf(guest, dataAt(call.args, 'fileAttributes'))
    guest.system.files.change(guest.account, { path: textAt(call.args, 'guestFilePath'), change })
    return null
  },
  InitiateFileTransferToGuest: (call) => {
    const guest = enterGuest(call, 'Modify')
    const change = changeOf(guest, dataAt(call.args, 'fileAttributes'))
    const wish = { path: textAt(call.args, 'guestFilePath'), overwrite: flagAt(call.args, 'overwrite'), change }
    const sizeBytes = numberAt(call.args, 'fileSize')
    if (sizeBytes < 0) throw invalidArgument('fileSize')
    const { files } = guest.system
    // What speaks against it is said at once, not when the bytes are there.
    files.upload(guest.account, wish).abandon()
    const open = () => files.upload(guest.account, wish)
    return urlOf(call, call.front.transfers.add({ kind: 'to-guest', machine: guest.entity.machine, sizeBytes, open }))
  },
  InitiateFileTransferFromGuest: (call) => {
    const guest = enterGuest(call, 'Query')
    const open = () => guest.system.files.download(guest.account, textAt(call.args, 'guestFilePath'))
    const { fd, entry } = open()
    closeSync(fd)
    const query = call.front.transfers.add({ kind: 'from-guest', machine: guest.entity.machine, open })
    return data('FileTransferInformation', {
      attributes: attributesOf(guest, entry),
      size: entry.sizeBytes,
      url: urlOf(call, query),
    })
  },
}

/** The host is "*" where it is the one that was called (FileTransferInformation.url). */
function urlOf({ front, from }: Call, query: string): string {
  const host = front.settings.guestFileHost === '*' ? '*' : from.host
  return `https://${host}/guestFile?${query}`
}

function makeTemporary(call: Call, kind: 'file' | 'directory'): Value {
  const { system, account } = enterGuest(call, 'Modify')
  return system.files.makeTemporary(account, {
    kind,
    prefix: textAt(call.args, 'prefix'),
    suffix: textAt(call.args, 'suffix'),
    // Tools take an empty text for none.
    directory: optionalTextAt(call.args, 'directoryPath') || null,
  })
}

function listFiles(call: Call): Value {
  const guest = enterGuest(call, 'Query')
  const pattern = patternOf(optionalTextAt(call.args, 'matchPattern') ?? '')
  const entries = guest.system.files
    .list(guest.account, textAt(call.args, 'filePath'))
    .filter(({ path }) => pattern === null || pattern.test(path))
  const index = optionalNumberAt(call.args, 'index') ?? 0
  const maxResults = optionalNumberAt(call.args, 'maxResults') ?? RESULTS
  if (index < 0 || index > entries.length) throw invalidArgument('index')
  if (maxResults < 0) throw invalidArgument('maxResults')
  const page = entries.slice(index, index + maxResults)
  return data('GuestListFileInfo', {
    files: page.map((entry) => {
      const { path, type, sizeBytes } = entry
      return data('GuestFileInfo', { path, type, size: sizeBytes, attributes: attributesOf(guest, entry) })
    }),
    remaining: entries.length - index - page.length,
  })
}

function patternOf(text: string): RegExp | null {
  if (text === '') return null
  try {
    return new RegExp(text, 'u')
  } catch {
    throw invalidArgument('matchPattern')
  }
}

function attributesOf({ entity }: EnteredGuest, entry: GuestEntry): Data {
  const shared = {
    modificationTime: new Date(entry.modifiedMs),
    accessTime: new Date(entry.accessedMs),
    symlinkTarget: entry.symlinkTarget ?? '',
  }
  if (isWindows(entity.machine.config)) {
    return data('GuestWindowsFileAttributes', {
      ...shared,
      hidden: false,
      readOnly: (entry.permissions & 0o200) === 0,
      createTime: new Date(entry.createdMs),
    })
  }
  const { ownerId, groupId, permissions } = entry
  return data('GuestPosixFileAttributes', { ...shared, ownerId, groupId, permissions })
}

/** @throws SimFault InvalidArgument for attributes of the other family of guests */
function changeOf({ entity }: EnteredGuest, attributes: Data): GuestFileChange {
  const windows = isWindows(entity.machine.config)
  if (attributes.type === (windows ? 'GuestPosixFileAttributes' : 'GuestWindowsFileAttributes')) {
    throw invalidArgument('fileAttributes')
  }
  const timeOf = (field: string) => {
    const value = attributes.fields[field]
    if (value === undefined || value === null) return null
    if (!(value instanceof Date)) throw new SimFault('InvalidArgument', `"${field}" is a time`)
    return value.getTime()
  }
  const readOnly = attributes.fields['readOnly'] === true ? 0o444 : null
  return {
    modifiedMs: timeOf('modificationTime'),
    accessedMs: timeOf('accessTime'),
    ownerId: optionalNumberAt(attributes, 'ownerId'),
    groupId: optionalNumberAt(attributes, 'groupId'),
    permissions: optionalNumberAt(attributes, 'permissions') ?? readOnly,
  }
}
