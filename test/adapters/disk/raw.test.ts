import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { targetError } from '../../../lib/adapters/disk/file-errors.ts'
import { openRawFileSource } from '../../../lib/adapters/disk/raw-source.ts'
import { openRawFileTarget } from '../../../lib/adapters/disk/raw-target.ts'
import { GiB } from '../../../lib/base/bytes.ts'
import { describeDiskSource } from '../../contract/disk-source.ts'
import { describeDiskTarget } from '../../contract/disk-target.ts'

const signal = new AbortController().signal
const cancel = { signal }

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'coldframe-raw-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

describeDiskSource('a raw file', async (image) => {
  const path = join(await folder(), 'disk.raw')
  await writeFile(path, image)
  return openRawFileSource({ path }, cancel)
})

describeDiskTarget('a raw file', async (capacityBytes) => {
  const path = join(await folder(), 'disk.raw')
  const target = await openRawFileTarget({ path, capacityBytes, overwrite: false }, cancel)
  return {
    target,
    finished: async () =>
      readFile(path).then(
        (bytes) => new Uint8Array(bytes),
        () => null,
      ),
  }
})

describe('openRawFileSource()', () => {
  it('names a file that is not there, and one that is no file', async () => {
    const path = await folder()
    const missing = openRawFileSource({ path: join(path, 'none.raw') }, cancel)
    await expect(missing).rejects.toMatchObject({ code: 'disk-not-found', kind: 'not-found' })
    await expect(openRawFileSource({ path }, cancel)).rejects.toMatchObject({ code: 'disk-read-failed' })
  })

  it('fails a read of a file that was cut short meanwhile', async () => {
    const path = join(await folder(), 'disk.raw')
    await writeFile(path, new Uint8Array(8192).fill(1))
    await using source = await openRawFileSource({ path }, cancel)
    await truncate(path, 5000)
    const read = source.read({ offsetBytes: 4096, target: new Uint8Array(4096) }, cancel)
    await expect(read).rejects.toMatchObject({ code: 'disk-read-failed', message: expect.stringContaining('shorter') })
  })
})

describe('openRawFileTarget()', () => {
  it('leaves only the finished file, sparse where nothing was written', async () => {
    const path = await folder()
    const file = join(path, 'disk.raw')
    await using target = await openRawFileTarget({ path: file, capacityBytes: 2 * GiB, overwrite: false }, cancel)
    expect(await readdir(path)).toEqual(['disk.raw.part'])
    await target.write({ offsetBytes: GiB, bytes: new Uint8Array(4096).fill(7) }, cancel)
    await target.commit(cancel)
    expect(await readdir(path)).toEqual(['disk.raw'])
    const stats = await stat(file)
    expect(stats.size).toBe(2 * GiB)
    expect(stats.blocks * 512).toBeLessThan(1024 * 1024)
  })

  it('removes its unfinished file when it is disposed', async () => {
    const path = await folder()
    const options = { path: join(path, 'disk.raw'), capacityBytes: 10, overwrite: false }
    const target = await openRawFileTarget(options, cancel)
    await target[Symbol.asyncDispose]()
    expect(await readdir(path)).toEqual([])
  })

  it('refuses a destination that exists, unless it may be overwritten', async () => {
    const path = join(await folder(), 'disk.raw')
    await writeFile(path, 'old')
    const options = { path, capacityBytes: 3 }
    const refused = openRawFileTarget({ ...options, overwrite: false }, cancel)
    await expect(refused).rejects.toMatchObject({ code: 'target-exists', kind: 'refused' })
    const abandoned = await openRawFileTarget({ ...options, overwrite: true }, cancel)
    await abandoned[Symbol.asyncDispose]()
    expect(await readFile(path, 'utf8')).toBe('old')

    await using target = await openRawFileTarget({ ...options, overwrite: true }, cancel)
    await target.write({ offsetBytes: 0, bytes: new TextEncoder().encode('new') }, cancel)
    await target.commit(cancel)
    expect(await readFile(path, 'utf8')).toBe('new')
  })

  it('refuses a destination that appears while the disk is written', async () => {
    const path = await folder()
    const file = join(path, 'disk.raw')
    const target = await openRawFileTarget({ path: file, capacityBytes: 3, overwrite: false }, cancel)
    await writeFile(file, 'theirs')
    await expect(target.commit(cancel)).rejects.toMatchObject({ code: 'target-exists' })
    await target[Symbol.asyncDispose]()
    expect(await readFile(file, 'utf8')).toBe('theirs')
    expect(await readdir(path)).toEqual(['disk.raw'])
  })

  it('keeps two restores into one file apart', async () => {
    const path = await folder()
    const options = { path: join(path, 'disk.raw'), capacityBytes: 1 }
    const first = await openRawFileTarget({ ...options, overwrite: false }, cancel)
    const second = openRawFileTarget({ ...options, overwrite: false }, cancel)
    await expect(second).rejects.toMatchObject({ code: 'target-exists', hint: expect.stringContaining('restore') })
    await using third = await openRawFileTarget({ ...options, overwrite: true }, cancel)
    await expect(first.commit(cancel)).rejects.toMatchObject({ code: 'target-write-failed' })
    await first[Symbol.asyncDispose]()
    await third.write({ offsetBytes: 0, bytes: new Uint8Array([51]) }, cancel)
    await third.commit(cancel)
    expect(await readFile(options.path, 'utf8')).toBe('3')
  })

  it('never replaces what is not a regular file', async () => {
    const path = await folder()
    await mkdir(join(path, 'folder'))
    await symlink('/dev/null', join(path, 'link'))
    for (const name of ['folder', 'link']) {
      const opening = openRawFileTarget({ path: join(path, name), capacityBytes: 1, overwrite: true }, cancel)
      await expect(opening).rejects.toMatchObject({ code: 'target-exists' })
    }
  })

  it('says in words that the folder is missing, and that the disk is too large for the file system', async () => {
    const path = await folder()
    const missing = openRawFileTarget({ path: join(path, 'no', 'disk'), capacityBytes: 1, overwrite: false }, cancel)
    await expect(missing).rejects.toMatchObject({ code: 'target-missing-folder', kind: 'usage' })
    const huge = { path: join(path, 'huge'), capacityBytes: Number.MAX_SAFE_INTEGER, overwrite: false }
    await expect(openRawFileTarget(huge, cancel)).rejects.toMatchObject({ code: 'target-too-large' })
    expect(await readdir(path)).toEqual([])
  })
})

/** A file system of 64 KiB, where this process may mount one. */
async function tinyFolder(): Promise<string | null> {
  const path = await folder()
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path]).status !== 0) return null
  onTestFinished(() => void spawnSync('umount', [path]))
  return path
}

describe('a full file system', () => {
  it('fails the write with a sentence of its own, and the unfinished file goes', async ({ skip }) => {
    const path = (await tinyFolder()) ?? skip('mounting needs root')
    const options = { path: join(path, 'disk.raw'), capacityBytes: GiB, overwrite: false }
    const target = await openRawFileTarget(options, cancel)
    const write = target.write({ offsetBytes: 0, bytes: new Uint8Array(256 * 1024).fill(1) }, cancel)
    await expect(write).rejects.toMatchObject({ code: 'target-full', retry: 'later', facts: { errno: 'ENOSPC' } })
    await target[Symbol.asyncDispose]()
    expect(await readdir(path)).toEqual([])
  })
})

describe('targetError()', () => {
  it('gives every refusal of the operating system a code of its own', () => {
    const codeOf = (code: string) => {
      const cause = Object.assign(new Error(`${code}: said the system`), { code })
      return targetError('Cannot write "x"', { path: 'x', cause }).code
    }
    expect(['ENOSPC', 'EDQUOT', 'EFBIG', 'ENOENT', 'EACCES', 'EROFS', 'EIO'].map(codeOf)).toEqual([
      'target-full',
      'target-full',
      'target-too-large',
      'target-missing-folder',
      'target-refused',
      'target-refused',
      'target-write-failed',
    ])
  })
})
