import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '..', '..', '..')

// A process of its own: a package is loaded once a process, and it would be the whole process that the native part aborts.
it('the native part of ssh2, which aborts the process on garbage collection, is never loaded', () => {
  const program = `
    await import('${root}/lib/adapters/guest/network.ts')
    const { createRequire } = await import('node:module')
    const { bindingAvailable } = createRequire('${root}/package.json')('ssh2/lib/protocol/crypto.js')
    const refuses = (path) => { try { process.dlopen({ exports: {} }, path) } catch (error) { return error.message } }
    console.log(JSON.stringify([bindingAvailable, refuses('/x/sshcrypto.node'), refuses('/x/other.node')]))`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    encoding: 'utf8',
  })
  expect(JSON.parse(stdout)).toEqual([
    false,
    'The native part of ssh2 is not used',
    expect.stringContaining('cannot open shared object file'),
  ])
})
