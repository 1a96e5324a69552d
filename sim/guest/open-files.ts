// Files of guests held by descriptors: programs of a guest may put a link where a file was, and the simulator, which may be root, must
// not follow it out of the private directory.

import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  lstatSync,
  openSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { SimFault } from '../machine/types.ts'
import { asFault, denied, uidOf } from './guest-paths.ts'
import type { GuestAccount, GuestFileChange, GuestUpload } from './types.ts'

export type OpenFile = Disposable & { readonly fd: number; readonly found: Stats }

/** @param file.path as the guest calls it. Waits for nobody at the other end of a pipe. @throws SimFault for a link too */
export function openThere({ at, path }: { readonly at: string; readonly path: string }): OpenFile {
  const fd = asFault(path, () => openSync(at, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK))
  return { fd, found: fstatSync(fd), [Symbol.dispose]: () => closeSync(fd) }
}

/** A new file of this account. */
export function openNew(account: GuestAccount, { at, path }: { readonly at: string; readonly path: string }): OpenFile {
  const fd = asFault(path, () => openSync(at, 'wx', 0o600))
  const uid = uidOf(account)
  if (uid !== null) fchownSync(fd, uid, uid)
  return { fd, found: fstatSync(fd), [Symbol.dispose]: () => closeSync(fd) }
}

/** Only root gives files away. */
export function applyTo(
  account: GuestAccount,
  { fd, path, change }: { readonly fd: number; readonly path: string; readonly change: GuestFileChange },
): void {
  const { ownerId, groupId, permissions } = change
  asFault(path, () => {
    const found = fstatSync(fd)
    if (ownerId !== null || groupId !== null) {
      if (uidOf(account) !== null) throw denied(path)
      fchownSync(fd, ownerId ?? found.uid, groupId ?? found.gid)
    }
    if (permissions !== null) fchmodSync(fd, permissions & 0o7777)
    if (change.modifiedMs !== null || change.accessedMs !== null) {
      futimesSync(fd, (change.accessedMs ?? found.atimeMs) / 1000, (change.modifiedMs ?? found.mtimeMs) / 1000)
    }
  })
}

/** @param wish.staging where it is written, beside its place `at` */
export function openUpload(
  account: GuestAccount,
  wish: { readonly at: string; readonly staging: string; readonly path: string; readonly change: GuestFileChange },
): GuestUpload {
  const { at, staging, path, change } = wish
  const file = openNew(account, { at: staging, path })
  let open = true
  return {
    write: (bytes) => {
      for (let offset = 0; offset < bytes.byteLength; ) offset += writeSync(file.fd, bytes, offset)
    },
    finish: () => {
      applyTo(account, { fd: file.fd, path, change: { ...change, permissions: change.permissions ?? 0o644 } })
      const now = asFault(path, () => lstatSync(staging))
      if (now.ino !== file.found.ino || now.dev !== file.found.dev) {
        throw new SimFault('FileFault', `"${path}" in the guest was exchanged on its way`, { file: path })
      }
      asFault(path, () => renameSync(staging, at))
    },
    abandon: () => {
      if (!open) return
      open = false
      file[Symbol.dispose]()
      try {
        unlinkSync(staging)
      } catch {
        // It has its name by now, or a program of the guest has put something else there.
      }
    },
  }
}
