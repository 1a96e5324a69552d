// setup.mjs in a folder of its own, with a stand-in for npm that notes how it was called.

import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { nodePackageOfThisMachine } from '../../cli/node-24.mjs'
import { findOldNode } from '../kit/old-node.ts'

const project = join(import.meta.dirname, '..', '..')

const npm = `
const { appendFileSync, existsSync } = require('node:fs')
console.log('npm talks on stdout')
appendFileSync('npm-calls', process.argv.slice(2).join(' ') + '\\n')
process.exitCode = existsSync('npm-fails') ? 1 : 0
`

const lock = {
  packages: {
    '': { name: 'coldframe' },
    'node_modules/a': { version: '1.0.0' },
    'node_modules/a/node_modules/b': { version: '2.0.0' },
    'node_modules/for-another-machine': { version: '1.0.0', optional: true },
  },
}

type Clone = AsyncDisposable & {
  readonly folder: string
  write(path: string, text: string): Promise<void>
  setup(node?: string): { readonly status: number | null; readonly stdout: string; readonly stderr: string }
  npmCalls(): Promise<string>
}

/** A clone whose packages are all installed, if by somebody else than setup.mjs. */
async function openClone(): Promise<Clone> {
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-setup-'))
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  for (const path of ['scripts/setup.mjs', 'cli/node-24.mjs']) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await copyFile(join(project, path), join(folder, path))
  }
  await write('package-lock.json', JSON.stringify(lock))
  await write('node_modules/.package-lock.json', JSON.stringify(lock))
  await write('node_modules/a/package.json', '{}')
  await write('node_modules/a/node_modules/b/package.json', '{}')
  await write('npm/npm-cli.js', npm)
  const nodeFolder = join(folder, 'node_modules', nodePackageOfThisMachine() ?? 'none', 'bin')
  await mkdir(nodeFolder, { recursive: true })
  await symlink(process.execPath, join(nodeFolder, 'node'))
  const env = { ...process.env, npm_execpath: join(folder, 'npm/npm-cli.js') }
  return {
    folder,
    write,
    setup: (node = process.execPath) =>
      spawnSync(node, [join(folder, 'scripts/setup.mjs')], { encoding: 'utf8', cwd: folder, env }),
    npmCalls: () => readFile(join(folder, 'npm-calls'), 'utf8').catch(() => ''),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

describe('setup', () => {
  it('does nothing and says nothing when the packages of the lock are installed', async () => {
    await using clone = await openClone()

    for (const _ of [1, 2]) expect(clone.setup()).toMatchObject({ status: 0, stdout: '', stderr: '' })
    expect(await clone.npmCalls()).toBe('')
  })

  it.each([
    ['a package is missing', 'node_modules/a/package.json', undefined],
    ['npm’s own record is missing', 'node_modules/.package-lock.json', undefined],
    ['a package has another version', 'node_modules/.package-lock.json', { 'node_modules/a': { version: '0.9.0' } }],
  ])('runs npm ci when %s, and keeps stdout clean', async (_name, path, packages) => {
    await using clone = await openClone()

    if (packages === undefined) await rm(join(clone.folder, path))
    else await clone.write(path, JSON.stringify({ packages }))
    expect(clone.setup()).toMatchObject({ status: 0, stdout: '' })
    expect(await clone.npmCalls()).toMatch(/^ci .*--include=dev --include=optional\n$/)
  })

  it('runs npm ci again after the lock has changed', async () => {
    await using clone = await openClone()

    clone.setup()
    await clone.write('package-lock.json', JSON.stringify({ packages: { 'node_modules/new': { version: '1.0.0' } } }))
    expect(clone.setup().status).toBe(0)
    expect(await clone.npmCalls()).toMatch(/^ci /)
  })

  it('ends with 2 when npm fails, and tries again the next time', async () => {
    await using clone = await openClone()

    await rm(join(clone.folder, 'node_modules/.package-lock.json'))
    await clone.write('npm-fails', '')
    const { status, stderr } = clone.setup()
    expect(status).toBe(2)
    expect(stderr).toContain('"npm ci" failed with exit code 1')
    clone.setup()
    expect((await clone.npmCalls()).split('\n')).toHaveLength(3)
  })

  it.skipIf(findOldNode() === undefined)('on an old Node refuses when npm left Node 24 out', async () => {
    await using clone = await openClone()

    await rm(join(clone.folder, 'node_modules', nodePackageOfThisMachine() ?? 'none'), { recursive: true })
    const { status, stderr } = clone.setup(findOldNode())
    expect(status).toBe(2)
    expect(stderr).toMatch(/Node 24.12 or later is needed, this is Node \d+/)
  })
})
