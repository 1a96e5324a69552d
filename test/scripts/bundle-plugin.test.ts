// The plugin that bundles before the stack is packaged, beside another bundle.ts: that it is run, believed, and left out where bundles are made.

import { spawnSync } from 'node:child_process'
import { copyFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../kit/local-state.ts'

const plugin = join(import.meta.dirname, '..', '..', 'scripts', 'bundle-plugin.cjs')
const BUNDLES = `import { writeFileSync } from 'node:fs'
writeFileSync(new URL('made', import.meta.url), '')
console.log('said by bundle.ts')
process.exit(Number(process.env['EXIT_CODE'] ?? 0))
`

/** Runs the plugin's one hook as the framework does, in a process of its own. */
async function runHook(more: Readonly<Record<string, string>>) {
  await using folder = await temporaryFolder()
  await copyFile(plugin, join(folder.path, 'bundle-plugin.cjs'))
  await writeFile(join(folder.path, 'bundle.ts'), BUNDLES)
  const program = "new (require(process.argv[1]))().hooks['before:package:initialize']()"
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['-e', program, join(folder.path, 'bundle-plugin.cjs')],
    { env: { PATH: process.env['PATH'], ...more }, encoding: 'utf8' },
  )
  return { status, stdout, stderr, made: (await readdir(folder.path)).includes('made') }
}

it('packaging bundles first, and says what that says', async () => {
  expect(await runHook({})).toMatchObject({
    status: 0,
    made: true,
    stdout: '',
    stderr: expect.stringContaining('said by bundle.ts'),
  })
})

it('bundles that fail are not packaged', async () => {
  const { status, stderr } = await runHook({ EXIT_CODE: '3' })
  expect(status).not.toBe(0)
  expect(stderr).toContain('Cannot package: bundling failed with exit code 3')
})

it('bundles that whoever calls has made are not made again', async () => {
  expect(await runHook({ COLDFRAME_BUNDLES: 'made' })).toMatchObject({ status: 0, made: false })
})
