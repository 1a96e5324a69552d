import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { folderStore } from '../../lib/adapters/local/folder-store.ts'
import { hasCode } from '../../lib/base/errors.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { objectStoreContract } from '../contract/object-store.ts'

const cancel = { signal: new AbortController().signal }

async function openFolder() {
  const parent = await mkdtemp(join(tmpdir(), 'coldframe-folder-'))
  const path = join(parent, 'repository')
  return {
    path,
    store: folderStore({ path }),
    [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }),
  }
}

async function keysOf(store: ObjectStore): Promise<readonly string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('', cancel)) keys.push(key)
  return keys
}

objectStoreContract('folder', openFolder)

describe('a folder store', () => {
  it('leaves nothing aside, whether it stored or found', async () => {
    await using folder = await openFolder()
    const { store, path } = folder
    for (const _ of [1, 2]) await store.putIfAbsent({ key: 'a/b', bytes: new Uint8Array(5) }, cancel)
    expect(readdirSync(join(path, '~tmp'))).toEqual([])
    expect(await readFile(join(path, 'a/b'))).toHaveLength(5)
  })

  it('does not see unfinished or foreign files, and removes unfinished ones a day later', async () => {
    await using folder = await openFolder()
    const { store, path } = folder
    await mkdir(join(path, '~tmp'), { recursive: true })
    await writeFile(join(path, '~tmp', 'old'), 'half')
    await writeFile(join(path, '~tmp', 'young'), 'half')
    await writeFile(join(path, 'note (copy).txt'), 'not ours')
    const longAgo = Date.now() / 1000 - 2 * 86_400
    await utimes(join(path, '~tmp', 'old'), longAgo, longAgo)
    await store.putIfAbsent({ key: 'k', bytes: new Uint8Array(1) }, cancel)
    expect(await keysOf(store)).toEqual(['k'])
    expect(readdirSync(join(path, '~tmp'))).toEqual(['young'])
  })

  it('is empty, not broken, before its first object', async () => {
    await using folder = await openFolder()
    expect(await keysOf(folder.store)).toEqual([])
    expect(await folder.store.get('r/x', cancel)).toBeNull()
    expect(existsSync(folder.path)).toBe(false)
  })

  // Root may read everything, so the test becomes nobody for a moment.
  it.skipIf(process.getuid?.() !== 0)('calls what it may not read refused, never absent', async () => {
    await using folder = await openFolder()
    const { store, path } = folder
    await store.putIfAbsent({ key: 'r/vm/1', bytes: new Uint8Array(9) }, cancel)
    await chmod(join(path, '..'), 0o755)
    await chmod(join(path, 'r'), 0o700)
    process.seteuid?.(65_534)
    try {
      const refused = (error: unknown) => hasCode(error, 'store-refused')
      await expect(store.get('r/vm/1', cancel)).rejects.toSatisfy(refused)
      await expect(store.head('r/vm/1', cancel)).rejects.toSatisfy(refused)
      const range = { key: 'r/vm/1', offsetBytes: 0, target: new Uint8Array(1) }
      await expect(store.getRange(range, cancel)).rejects.toSatisfy(refused)
      await expect(keysOf(store)).rejects.toSatisfy(refused)
      await expect(store.putIfAbsent({ key: 'r/vm/2', bytes: new Uint8Array(1) }, cancel)).rejects.toSatisfy(refused)
    } finally {
      process.seteuid?.(0)
    }
  })

  it.skipIf(!canMount())(
    'says that the disk is full, keeps what was there, and stores once there is space',
    async () => {
      await using folder = await openFolder()
      const { store, path } = folder
      await mkdir(path, { recursive: true })
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path])
      try {
        await store.putIfAbsent({ key: 'p/1', bytes: new Uint8Array(600_000).fill(1) }, cancel)
        const second = { key: 'p/2', bytes: new Uint8Array(600_000).fill(2) }
        await expect(store.putIfAbsent(second, cancel)).rejects.toSatisfy((error) => hasCode(error, 'store-full'))
        expect(await keysOf(store)).toEqual(['p/1'])
        expect(readdirSync(join(path, '~tmp'))).toEqual([])
        execFileSync('mount', ['-o', 'remount,size=4m', path])
        expect(await store.putIfAbsent(second, cancel)).toBe('stored')
      } finally {
        execFileSync('umount', [path])
      }
    },
  )
})

function canMount(): boolean {
  if (process.getuid?.() !== 0) return false
  const path = join(tmpdir(), `coldframe-mount-${process.pid}`)
  try {
    execFileSync('mkdir', ['-p', path])
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path], { stdio: 'ignore' })
    execFileSync('umount', [path])
    return true
  } catch {
    return false
  } finally {
    execFileSync('rmdir', [path])
  }
}
