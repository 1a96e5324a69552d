// What a missing peer means, in a copy of the project's kit where nothing was built.

import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coldframe-peers-'))
  await mkdir(join(folder, 'test', 'kit'), { recursive: true })
  await copyFile(join(import.meta.dirname, '..', 'kit', 'peers.ts'), join(folder, 'test', 'kit', 'peers.ts'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

function ask(expression: string, real: string) {
  const script = `
    const { peer, peerSkip, requirePeer } = await import(${JSON.stringify(join(folder, 'test', 'kit', 'peers.ts'))})
    process.stdout.write(JSON.stringify(${expression}) ?? 'undefined')`
  const env = { ...process.env, COLDFRAME_REAL: real }
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    env,
  })
  return { status, stdout, stderr }
}

describe('a missing peer', () => {
  it('skips its tests with one loud line', () => {
    const { status, stdout, stderr } = ask("[peerSkip('vcsim'), peerSkip('vcsim')]", '')
    expect({ status, stdout }).toEqual({ status: 0, stdout: '[true,true]' })
    expect(stderr.match(/SKIPPED: The peer "vcsim" is not installed/g)).toHaveLength(1)
  })

  it('fails the file when real peers are required', () => {
    const { status, stderr } = ask("peer('vcsim')", 'required')
    expect(status).toBe(1)
    expect(stderr).toContain(
      'The peer "vcsim" is not installed: tests against it cannot run, and COLDFRAME_REAL=required',
    )
  })

  it('fails code that needs it', () => {
    expect(ask("requirePeer('vcsim')", '').stderr).toContain('scripts/peers.mjs')
  })
})

it('a peer that is there is named by its path', () => {
  const { stdout } = ask("peer('zstd') ?? 'missing'", '')
  expect(JSON.parse(stdout)).toMatch(/^missing$|\/zstd$/)
})
