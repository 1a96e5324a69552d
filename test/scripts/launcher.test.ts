// The `coldframe` command's launcher, copied into a folder of its own with a stand-in for the program behind it.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { judgeNode, nodePackageOfThisMachine } from '../../cli/node-24.mjs'
import { findOldNode } from '../kit/old-node.ts'

const project = join(import.meta.dirname, '..', '..')
const oldNode = findOldNode()

const program = `
const seen: readonly string[] = process.argv.slice(2)
if (seen[0] === 'wait') process.on('SIGTERM', () => { console.log('told to end'); process.exit(7) })
console.log(JSON.stringify({ major: Number(process.versions.node.split('.')[0]), seen, cwd: process.cwd() }))
if (seen[0] === 'wait') {
  setInterval(() => {}, 1000)
} else process.exitCode = Number(seen[0] ?? 0)
`

type Copy = AsyncDisposable & { readonly folder: string; readonly launcher: string }

async function openCopy(options: { readonly withNode: boolean }): Promise<Copy> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'coldframe-launcher-')))
  await mkdir(join(folder, 'cli'))
  await writeFile(join(folder, 'package.json'), '{"type": "module"}')
  await writeFile(join(folder, 'cli', 'main.ts'), program)
  for (const name of ['coldframe.mjs', 'node-24.mjs']) {
    await copyFile(join(project, 'cli', name), join(folder, 'cli', name))
  }
  const nodePath = join(folder, 'node_modules', nodePackageOfThisMachine() ?? 'none', 'bin', 'node')
  await mkdir(dirname(nodePath), { recursive: true })
  if (options.withNode) await symlink(process.execPath, nodePath)
  const dispose = () => rm(folder, { recursive: true, force: true })
  return { folder, launcher: join(folder, 'cli', 'coldframe.mjs'), [Symbol.asyncDispose]: dispose }
}

function run(node: string, args: readonly string[], cwd: string) {
  const { status, stdout, stderr } = spawnSync(node, args, { encoding: 'utf8', cwd })
  return { status, stdout, stderr }
}

describe('judgeNode() says', () => {
  it.each([
    ['18.20.4', 'older'],
    ['20.20.2', 'older'],
    ['24.11.9', 'older'],
    ['24.12.0', 'fits'],
    ['24.21.0', 'fits'],
    ['25.0.0', 'newer'],
    ['26.10.0', 'newer'],
  ])('that %s is %s', (version, verdict) => {
    expect(judgeNode(version)).toBe(verdict)
  })
})

it('the launcher on a Node that fits runs the program in its own process', async () => {
  await using copy = await openCopy({ withNode: false })

  const { status, stdout } = run(process.execPath, [copy.launcher, '3', 'a b'], copy.folder)
  expect(status).toBe(3)
  expect(JSON.parse(stdout)).toEqual({ major: 24, seen: ['3', 'a b'], cwd: copy.folder })
})

describe.skipIf(oldNode === undefined)('the launcher on an old Node', () => {
  const node = oldNode ?? ''

  it('runs the program on the installed one, from any folder and through a link, and ends with its exit code', async () => {
    await using copy = await openCopy({ withNode: true })

    const link = join(copy.folder, 'coldframe')
    await symlink(copy.launcher, link)
    const { status, stdout, stderr } = run(node, [link, '5', '--json'], tmpdir())
    expect(stderr).toBe('')
    expect(status).toBe(5)
    expect(JSON.parse(stdout)).toEqual({ major: 24, seen: ['5', '--json'], cwd: await realpath(tmpdir()) })
  })

  it('passes a signal on and ends with what the program makes of it', async () => {
    await using copy = await openCopy({ withNode: true })

    const child = spawn(node, [copy.launcher, 'wait'], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output === '') child.kill('SIGTERM')
      output += text
    })
    const [code] = await once(child, 'close')
    expect(output).toContain('told to end')
    expect(code).toBe(7)
  })

  it('says which Node is needed, on stderr, and ends with 2 when none is installed', async () => {
    await using copy = await openCopy({ withNode: false })

    const { status, stdout, stderr } = run(node, [copy.launcher, 'jobs'], copy.folder)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain('needs Node 24.12 or later')
    expect(stderr).toContain('npm ci')
  })
})
