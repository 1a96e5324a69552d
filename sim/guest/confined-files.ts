// The file operations of VMware Tools in a simulated guest, on the files of its private directory.

import {
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
  unlinkSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { hexOf } from '../../lib/base/bytes.ts'
import type { Random } from '../../lib/base/random.ts'
import { SimFault } from '../machine/types.ts'
import { asFault, denied, type GuestPaths, mayRead, need, needRemoval, uidOf } from './guest-paths.ts'
import { applyTo, openNew, openThere, openUpload } from './open-files.ts'
import type { GuestAccount, GuestEntry, GuestFiles } from './types.ts'

export function confinedFiles(paths: GuestPaths, random: Random): GuestFiles {
  return {
    makeDirectory: (account, wish) => makeDirectory(paths, account, wish),
    makeTemporary: (account, wish) => {
      const name = `${wish.prefix}${hexOf(random.bytes(8))}${wish.suffix}`
      const path = paths.within(wish.directory ?? paths.temporary, name)
      const at = newPlace(paths, { account, path })
      if (wish.kind === 'file') openNew(account, { at, path })[Symbol.dispose]()
      else makeOwn(account, { at, path, mode: 0o700 })
      return path
    },
    removeDirectory: (account, { path, recursive }) => {
      const at = removable(paths, { account, path })
      if (!asFault(path, () => lstatSync(at)).isDirectory()) throw notADirectory(path)
      if (at === paths.root) throw denied(path)
      asFault(path, () => (recursive ? rmSync(at, { recursive: true }) : rmdirSync(at)))
    },
    removeFile: (account, path) => {
      const at = removable(paths, { account, path })
      if (asFault(path, () => lstatSync(at)).isDirectory()) throw notAFile(path)
      asFault(path, () => unlinkSync(at))
    },
    move: (account, wish) => move(paths, account, wish),
    list: (account, path) => list(paths, account, path),
    change: (account, { path, change }) => {
      const at = paths.existing(account, path)
      const uid = uidOf(account)
      using file = openThere({ at, path })
      if (uid !== null && file.found.uid !== uid) throw denied(path)
      applyTo(account, { fd: file.fd, path, change })
    },
    upload: (account, { path, overwrite, change }) => {
      const { at, found } = writable(paths, { account, path })
      if (found !== undefined && !overwrite) {
        throw new SimFault('FileAlreadyExists', `"${path}" exists in the guest`, { file: path })
      }
      return openUpload(account, {
        at,
        staging: join(dirname(at), `.transfer-${hexOf(random.bytes(8))}`),
        path,
        change,
      })
    },
    download: (account, path) => {
      const at = paths.placeOf(account, path)
      if (!asFault(path, () => lstatSync(at)).isFile()) throw notAFile(path)
      const file = openThere({ at, path })
      if (file.found.isFile() && mayRead(account, file.found)) {
        return { fd: file.fd, entry: entryOf({ at, path, found: file.found }) }
      }
      file[Symbol.dispose]()
      throw file.found.isFile() ? denied(path) : notAFile(path)
    },
  }
}

type Asked = { readonly account: GuestAccount; readonly path: string }

function makeDirectory(
  paths: GuestPaths,
  account: GuestAccount,
  { path, parents }: { readonly path: string; readonly parents: boolean },
): void {
  const above = paths.parentOf(path)
  if (parents && above !== null && !isThere(paths, { account, path: above })) {
    makeDirectory(paths, account, { path: above, parents })
  }
  const at = newPlace(paths, { account, path })
  makeOwn(account, { at, path, mode: 0o755 })
}

function isThere(paths: GuestPaths, { account, path }: Asked): boolean {
  try {
    paths.existing(account, path)
    return true
  } catch (error) {
    if (error instanceof SimFault && error.fault === 'FileNotFound') return false
    throw error
  }
}

function move(paths: GuestPaths, account: GuestAccount, wish: Parameters<GuestFiles['move']>[1]): void {
  const from = removable(paths, { account, path: wish.from })
  const source = asFault(wish.from, () => lstatSync(from))
  if (source.isDirectory() !== (wish.kind === 'directory')) {
    throw wish.kind === 'directory' ? notADirectory(wish.from) : notAFile(wish.from)
  }
  const to = paths.placeOf(account, wish.to)
  needRemoval(account, { at: to, path: wish.to })
  const target = lstatSync(to, { throwIfNoEntry: false })
  if (target !== undefined && (!wish.overwrite || target.isDirectory())) {
    throw new SimFault('FileAlreadyExists', `"${wish.to}" exists in the guest`, { file: wish.to })
  }
  asFault(wish.from, () => renameSync(from, to))
}

function list(paths: GuestPaths, account: GuestAccount, path: string): readonly GuestEntry[] {
  const place = paths.placeOf(account, path)
  const found = asFault(path, () => lstatSync(place))
  if (found.isFile()) return [entryOf({ at: place, path, found })]
  const at = paths.existing(account, path)
  if (!statSync(at).isDirectory()) return [entryOf({ at: place, path, found })]
  need(account, { at, path, bit: 4 })
  const names = asFault(path, () => readdirSync(at)).toSorted()
  return ['.', '..', ...names].flatMap((name) => {
    // Nothing above the private directory is told of.
    const own = name === '..' && at === paths.root ? at : join(at, name)
    const seen = lstatSync(own, { throwIfNoEntry: false })
    return seen === undefined ? [] : [entryOf({ at: own, path: name, found: seen })]
  })
}

function entryOf(options: { readonly at: string; readonly path: string; readonly found: Stats }): GuestEntry {
  const { at, path, found } = options
  const isLink = found.isSymbolicLink()
  return {
    path,
    type: isLink ? 'symlink' : found.isDirectory() ? 'directory' : 'file',
    sizeBytes: found.size,
    modifiedMs: found.mtimeMs,
    accessedMs: found.atimeMs,
    createdMs: found.birthtimeMs,
    ownerId: found.uid,
    groupId: found.gid,
    permissions: found.mode & 0o7777,
    symlinkTarget: isLink ? readlinkSync(at) : null,
  }
}

/** A new directory of this account. */
function makeOwn(
  account: GuestAccount,
  { at, path, mode }: { readonly at: string; readonly path: string; readonly mode: number },
): void {
  asFault(path, () => mkdirSync(at, mode))
  const uid = uidOf(account)
  if (uid !== null) asFault(path, () => lchownSync(at, uid, uid))
}

function newPlace(paths: GuestPaths, { account, path }: Asked): string {
  const at = paths.placeOf(account, path)
  need(account, { at: dirname(at), path, bit: 2 })
  return at
}

function removable(paths: GuestPaths, { account, path }: Asked): string {
  const at = paths.placeOf(account, path)
  asFault(path, () => lstatSync(at))
  needRemoval(account, { at, path })
  return at
}

/** The place of a file to write: neither a directory nor a symbolic link (InitiateFileTransferToGuest). */
function writable(paths: GuestPaths, { account, path }: Asked) {
  const at = paths.placeOf(account, path)
  const found = lstatSync(at, { throwIfNoEntry: false })
  if (found !== undefined && !found.isFile()) throw notAFile(path)
  needRemoval(account, { at, path })
  return { at, found }
}

function notADirectory(path: string): SimFault {
  return new SimFault('NotADirectory', `"${path}" in the guest is no directory`, { file: path })
}

function notAFile(path: string): SimFault {
  return new SimFault('InvalidArgument', `"${path}" in the guest is no regular file`, {
    invalidProperty: 'guestFilePath',
  })
}
