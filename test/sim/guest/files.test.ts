// File operations of guests stay inside the guest's private directory, whatever lies in it.

import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openThere } from '../../../sim/guest/open-files.ts'
import type { GuestFileChange } from '../../../sim/guest/types.ts'
import { SimFault } from '../../../sim/machine/types.ts'
import { openGuestKit, plain, root } from './guest-kit.ts'

const isRoot = process.getuid?.() === 0
const asItIs: GuestFileChange = { modifiedMs: null, accessedMs: null, ownerId: null, groupId: null, permissions: null }

describe('files of a guest', () => {
  it.each([
    ['/etc/passwd', 'a path outside'],
    ['HOME/../../../etc/passwd', 'a way up'],
    ['HOME/link', 'a link to a file outside'],
    ['HOME/folder/passwd', 'a path through a link to a directory outside'],
    ['HOME-01/x', 'a directory whose name only begins like the guest’s'],
  ])('%s is refused: %s', (path) => {
    using kit = openGuestKit()

    const home = join(kit.home, 'home')
    symlinkSync('/etc/passwd', join(home, 'link'))
    symlinkSync('/etc', join(home, 'folder'))
    const { files } = kit.system
    const asked = path.replace('HOME-01', `${kit.home}-01`).replace('HOME', home)
    for (const account of [plain, root]) {
      const attempts = [
        () => files.list(account, `${asked}`),
        () => files.download(account, asked),
        () => files.upload(account, { path: asked, overwrite: true, change: asItIs }),
        () => files.makeTemporary(account, { kind: 'file', prefix: '', suffix: '', directory: asked }),
        () => files.change(account, { path: asked, change: { ...asItIs, permissions: 0o777 } }),
      ]
      const faults = attempts.map(faultOf)
      // A link itself is no regular file that could be read or written.
      const [denied, irregular] = ['GuestPermissionDenied', path === 'HOME/link' ? 'InvalidArgument' : null]
      expect(faults).toEqual([denied, irregular ?? denied, irregular ?? denied, denied, denied])
    }
    expect(existsSync('/etc/passwd')).toBe(true)
  })

  it('removing a directory with a link in it removes the link, not what it leads to', () => {
    using kit = openGuestKit()

    const outside = join(kit.home, '..', 'guest-99')
    mkdirSync(outside)
    writeFileSync(join(outside, 'kept'), 'kept')
    const inside = join(kit.home, 'tmp', 'folder')
    kit.system.files.makeDirectory(plain, { path: inside, parents: false })
    symlinkSync(outside, join(inside, 'link'))
    kit.system.files.removeDirectory(plain, { path: inside, recursive: true })
    expect(existsSync(inside)).toBe(false)
    expect(readFileSync(join(outside, 'kept'), 'utf8')).toBe('kept')
  })

  it('an upload appears as a whole, with its attributes, or not at all', () => {
    using kit = openGuestKit()

    const path = join(kit.home, 'home', 'a')
    const wish = { path, overwrite: false, change: { ...asItIs, permissions: 0o640, modifiedMs: 86_400_000 } }
    const upload = kit.system.files.upload(plain, wish)
    upload.write(Buffer.from('bytes'))
    expect(existsSync(path)).toBe(false)
    upload.finish()
    upload.abandon()
    expect(readFileSync(path, 'utf8')).toBe('bytes')
    expect(kit.system.files.list(plain, path)).toMatchObject([
      { path, type: 'file', sizeBytes: 5, permissions: 0o640, modifiedMs: 86_400_000 },
    ])
    expect(faultOf(() => kit.system.files.upload(plain, wish))).toBe('FileAlreadyExists')
    const second = kit.system.files.upload(plain, { ...wish, overwrite: true })
    second.abandon()
    expect(readFileSync(path, 'utf8')).toBe('bytes')
    expect(kit.system.files.list(plain, join(kit.home, 'home')).map((one) => one.path)).toEqual(['.', '..', 'a'])
  })

  // A program of the guest is as quick as it likes: what it puts in a file's place in the meantime is not followed.
  it('a link that takes the place of a file on its way leads nowhere', () => {
    using kit = openGuestKit()

    const outside = join(kit.home, '..', 'outside')
    writeFileSync(outside, 'precious', { mode: 0o600 })
    const { files } = kit.system
    const path = join(kit.home, 'tmp', 'a')
    const upload = files.upload(root, { path, overwrite: true, change: { ...asItIs, permissions: 0o666 } })
    const staging = readdirSync(join(kit.home, 'tmp')).find((name) => name.startsWith('.transfer-')) ?? ''
    rmSync(join(kit.home, 'tmp', staging))
    symlinkSync(outside, join(kit.home, 'tmp', staging))
    upload.write(Buffer.from('overwritten'))
    expect(faultOf(() => upload.finish())).toBe('FileFault')
    upload.abandon()
    expect(readFileSync(outside, 'utf8')).toBe('precious')
    expect(statSync(outside).mode & 0o777).toBe(0o600)

    writeFileSync(path, 'inside')
    const { fd, entry } = files.download(root, path)
    rmSync(path)
    symlinkSync(outside, path)
    expect([readFileSync(fd, 'utf8'), entry.sizeBytes]).toEqual(['inside', 6])
    closeSync(fd)
    expect(faultOf(() => files.download(root, path))).toBe('InvalidArgument')
    expect(faultOf(() => openThere({ at: path, path }))).toBe('FileFault')
  })

  it('temporary directories are new each time and for their account alone', () => {
    using kit = openGuestKit()

    const wish = { kind: 'directory', prefix: 'a-', suffix: '-z', directory: null } as const
    const paths = [1, 2].map(() => kit.system.files.makeTemporary(plain, wish))
    expect(new Set(paths).size).toBe(2)
    for (const path of paths) {
      expect(path).toMatch(new RegExp(`^${kit.home}/tmp/a-[0-9a-f]{16}-z$`))
      expect(statSync(path).mode & 0o777).toBe(0o700)
    }
  })

  it('moves files, over others only when asked to', () => {
    using kit = openGuestKit()

    const [from, to] = ['from', 'to'].map((name) => join(kit.home, 'home', name))
    if (from === undefined || to === undefined) throw new Error('no path')
    for (const path of [from, to]) writeFileSync(path, path)
    const wish = { from, to, kind: 'file', overwrite: false } as const
    expect(faultOf(() => kit.system.files.move(root, wish))).toBe('FileAlreadyExists')
    kit.system.files.move(root, { ...wish, overwrite: true })
    expect(readFileSync(to, 'utf8')).toBe(from)
    expect(faultOf(() => kit.system.files.move(root, wish))).toBe('FileNotFound')
    expect(faultOf(() => kit.system.files.removeDirectory(root, { path: to, recursive: true }))).toBe('NotADirectory')
  })

  it.runIf(isRoot)('a plain account cannot touch what another keeps for itself', () => {
    using kit = openGuestKit()

    const { files } = kit.system
    const own = files.makeTemporary(root, { kind: 'directory', prefix: 'r', suffix: '', directory: null })
    const secret = join(own, 'secret')
    writeFileSync(secret, 'x')
    chmodSync(secret, 0o644)
    for (const attempt of [
      () => files.download(plain, secret),
      () => files.list(plain, own),
      () => files.removeFile(plain, secret),
      () => files.removeDirectory(plain, { path: own, recursive: true }),
      () => files.makeDirectory(plain, { path: join(kit.home, 'bin', 'x'), parents: false }),
      () => files.upload(plain, { path: join(kit.home, 'bin', 'guest-writes'), overwrite: true, change: asItIs }),
      () => files.change(plain, { path: join(kit.home, 'home'), change: { ...asItIs, ownerId: 0 } }),
    ]) {
      expect(faultOf(attempt)).toBe('GuestPermissionDenied')
    }
    expect(readFileSync(secret, 'utf8')).toBe('x')
  })

  it('of Windows have drive letters and backslashes, and a directory of this machine behind them', () => {
    using kit = openGuestKit({ machine: { guestId: 'windows2019srv_64Guest' } })

    const { files } = kit.system
    files.makeDirectory(plain, { path: 'C:\\ProgramData\\cold frame\\x', parents: true })
    expect(existsSync(join(kit.home, 'drive-c/ProgramData/cold frame/x'))).toBe(true)
    expect(files.list(plain, 'C:\\ProgramData').map(({ path }) => path)).toEqual(['.', '..', 'cold frame'])
    expect(files.makeTemporary(plain, { kind: 'file', prefix: 'p', suffix: '.ps1', directory: null })).toMatch(
      /^C:\\Windows\\Temp\\p[0-9a-f]{16}\.ps1$/,
    )
    expect(faultOf(() => files.list(plain, 'C:\\..\\..\\..\\etc'))).toBe('GuestPermissionDenied')
    expect(faultOf(() => files.list(plain, '/etc'))).toBe('FileNotFound')
    expect(kit.system.login({ userName: 'BACKUP', password: 'right' })).toEqual(plain)
  })
})

function faultOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof SimFault) return error.fault
    throw error
  }
  return 'none'
}
