// Command lines and settings that are wrong: nothing is contacted, nothing is made.

import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../kit/local-state.ts'
import { coldframe, controlCharactersOf } from './coldframe.ts'

async function inEmptyFolder(args: readonly string[], files: Readonly<Record<string, string>> = {}) {
  await using folder = await temporaryFolder()
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder.path, name), content)
  const printed = await coldframe(args, { folder: folder.path })
  return { ...printed, left: (await readdir(folder.path)).filter((name) => !(name in files)) }
}

describe('the command line', () => {
  it.each([
    ['no command', [], 'No command given'],
    ['an unknown command', ['backpu'], "Unknown command 'backpu'\nhint: Did you mean backup?"],
    ['an unknown option', ['points', '--vmm', 'a'], "Unknown option '--vmm'"],
    ['a missing argument', ['restore', '--to', 'x'], "Missing required argument 'point'"],
    ['a missing option', ['restore', 'abcd'], "Required option '--to <path>' not specified"],
    ['a number that is none', ['jobs', '--limit', '0'], 'A whole number is needed'],
    ['nothing to back up', ['backup'], 'Nothing says what to back up'],
    ['nothing to verify', ['verify'], 'Nothing says what to verify'],
    ['a point beside --all', ['verify', 'abcd', '--all'], 'not both'],
    ['a job id that is none', ['jobs', '--job', 'x'], 'Cannot tell which job "x" is'],
  ])('with %s is refused with what is wrong and a hint', async (_, args, sentence) => {
    const { exitCode, stdout, stderr, left } = await inEmptyFolder(args)
    expect({ exitCode, stdout, left }).toEqual({ exitCode: 2, stdout: '', left: [] })
    expect(stderr).toContain(sentence)
    expect(stderr).toMatch(/^hint: /m)
  })

  it('is answered with a document when --json is among it, whatever is wrong', async () => {
    const { exitCode, stdout, stderr } = await inEmptyFolder(['points', '--json', '--vmm', 'a'])
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ v: 1, ok: false, error: { code: 'usage', facts: {} } })
  })

  it('explains every command, its way to name a point, settings and exit codes', async () => {
    const { exitCode, stdout, stderr } = await inEmptyFolder(['--help'])
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    for (const name of [
      'doctor',
      'privileges',
      'backup',
      'resume',
      'jobs',
      'points',
      'restore',
      'verify',
      'sim',
      'COLDFRAME_VCENTER',
      '130',
    ])
      expect(stdout).toContain(name)
    const restore = await inEmptyFolder(['restore', '--help'])
    expect(restore.stdout).toContain('NAME@latest')
    expect(restore.stdout).toContain('-diskKEY.raw')
  })

  it('tells its version', async () => {
    expect(await inEmptyFolder(['--version'])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
  })
})

describe('settings', () => {
  it('that are missing are all named, and the way to try without a vCenter', async () => {
    const { exitCode, stderr, left } = await inEmptyFolder(['backup', '--vm', 'a'])
    expect({ exitCode, left }).toEqual({ exitCode: 2, left: [] })
    for (const name of ['COLDFRAME_VCENTER ', 'COLDFRAME_REPOSITORY', 'COLDFRAME_PASSPHRASE', 'npm start']) {
      expect(stderr).toContain(name)
    }
  })

  it('of a faulty coldframe.yaml are refused with their lines', async () => {
    const { exitCode, stdout } = await inEmptyFolder(['points', '--json'], {
      'coldframe.yaml': 'home: a\nrepositroy: file:x\n',
    })
    expect(exitCode).toBe(2)
    const { error } = JSON.parse(stdout)
    expect(error.code).toBe('settings-faulty')
    expect(error.facts.faults[0]).toContain('line 2: unknown key "repositroy" (did you mean "repository"?)')
  })

  it('that make no sense together are refused', async () => {
    await using folder = await temporaryFolder()
    const environment = { COLDFRAME_REPOSITORY: 's3:bucket', COLDFRAME_PASSPHRASE: 'a', COLDFRAME_PASSPHRASE_FILE: 'b' }
    const { exitCode, stderr } = await coldframe(['points'], { folder: folder.path, environment })
    expect(exitCode).toBe(2)
    expect(stderr).toContain('AWS_REGION is not set: the region of the bucket in COLDFRAME_REPOSITORY')
    expect(stderr).toContain('COLDFRAME_PASSPHRASE and COLDFRAME_PASSPHRASE_FILE are both set')
  })
})

describe('a policy file', () => {
  it('with faults is refused with all of them and their lines', async () => {
    const { exitCode, stderr, left } = await inEmptyFolder(['backup', '--policy', 'p.yaml'], {
      'p.yaml': 'name: Gold!\nselect: {any: [{nme: "a"}]}\ntransport: [carrier-pigeon]\n',
    })
    expect({ exitCode, left }).toEqual({ exitCode: 2, left: [] })
    expect(stderr).toContain('Cannot read policy "p.yaml": 4 faults')
    for (const line of ['line 1: name', 'line 2: select.any.0: unknown key "nme"', 'line 3: transport.0']) {
      expect(stderr).toContain(line)
    }
  })

  it('that is not there is refused by its name', async () => {
    expect(await inEmptyFolder(['backup', '--policy', 'none.yaml'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('Cannot read "none.yaml"'),
    })
  })
})

describe('without a repository or a state', () => {
  const environment = { COLDFRAME_REPOSITORY: 'file:repository', COLDFRAME_PASSPHRASE: 'p' }

  it('points, restore and verify say that there is none, and make none', async () => {
    await using folder = await temporaryFolder()
    for (const args of [['points'], ['restore', 'a@1', '--to', 'x'], ['verify', '--all']]) {
      const printed = await coldframe(args, { folder: folder.path, environment })
      expect(printed).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('there is none at this place') })
    }
    expect(await readdir(folder.path)).toEqual([])
  })

  it('jobs lists none, and makes no state', async () => {
    const printed = await inEmptyFolder(['jobs'])
    expect(printed).toMatchObject({ exitCode: 0, stdout: 'No jobs yet\n', left: [] })
    expect(controlCharactersOf(printed)).toEqual([])
    expect(await inEmptyFolder(['jobs', '--job', 'abcd'])).toMatchObject({ exitCode: 3, left: [] })
  })
})
