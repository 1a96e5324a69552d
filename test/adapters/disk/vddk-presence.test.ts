import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { findVddk } from '../../../lib/adapters/disk/vddk-presence.ts'

const machine = { platform: 'linux', arch: 'x64' }

describe('findVddk()', () => {
  let folder = ''
  let libdir = ''
  let nbdkit = ''

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coldframe-presence-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    libdir = join(folder, 'vddk')
    nbdkit = join(folder, 'nbdkit')
    await mkdir(join(libdir, 'lib64'), { recursive: true })
    await writeFile(join(libdir, 'lib64', 'libvixDiskLib.so.8.0.2'), '')
    await writeFile(nbdkit, '')
    await chmod(nbdkit, 0o755)
  })

  it('finds what is there, by path or by name, whichever of the two directories is named', () => {
    const there = { kind: 'there', nbdkit, libdir }
    expect(findVddk({ nbdkit, libdir, path: '', machine })).toEqual(there)
    expect(findVddk({ nbdkit: 'nbdkit', libdir, path: `relative:/nowhere:${folder}`, machine })).toEqual(there)
    expect(findVddk({ nbdkit, libdir: join(libdir, 'lib64'), path: '', machine })).toEqual(there)
  })

  it('says what is missing, one thing after the other', async () => {
    const reasonOf = (change: Partial<Parameters<typeof findVddk>[0]>) => {
      const found = findVddk({ nbdkit, libdir, path: '', machine, ...change })
      return found.kind === 'there' ? 'nothing' : found.reason
    }
    expect(reasonOf({ machine: { platform: 'linux', arch: 'arm64' } })).toBe(
      'VDDK needs Linux on x86-64, and this is linux on arm64',
    )
    expect(reasonOf({ libdir: null })).toBe('no VDDK directory is set (COLDFRAME_VDDK)')
    expect(reasonOf({ libdir: folder })).toMatch(/holds no lib64\/libvixDiskLib\.so/)
    expect(reasonOf({ libdir: join(folder, 'nowhere') })).toMatch(/holds no lib64/)
    expect(reasonOf({ nbdkit: join(folder, 'nowhere') })).toMatch(/nbdkit is not found/)
    await chmod(nbdkit, 0o644)
    expect(reasonOf({})).toMatch(/nbdkit is not found/)
    expect(reasonOf({ nbdkit: libdir })).toMatch(/nbdkit is not found/)
  })
})
