// What people see when they do not ask for JSON: the whole way of a backup, on two streams.

import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { programPath } from '../../lib/compose/programs.ts'
import { smallDescription } from '../../sim/estate/demo.ts'
import { digestOf, estateJson, openHome, openSim } from '../flow/kit.ts'
import { temporaryFolder } from '../kit/local-state.ts'
import { startProgram } from '../kit/programs.ts'
import { coldframe, controlCharactersOf, type Printed } from './coldframe.ts'

const patience = { timeout: 180_000 }

/** A name that turns the direction of writing on a terminal, and is no good file name. */
const oddName = 'b\u202eda:x'

function oddEstate(): string {
  const small = smallDescription({ seed: 1, changeTracking: true })
  return estateJson({
    ...small,
    machines: small.machines.map((one) => (one.name === 'cold-01' ? { ...one, name: oddName } : one)),
  })
}

it('a backup, its points and its restore are told in plain lines, results apart from progress', patience, async () => {
  await using folder = await temporaryFolder()
  await writeFile(join(folder.path, 'estate.json'), oddEstate())
  await using sim = await openSim('--estate', join(folder.path, 'estate.json'))
  await using home = await openHome(sim)
  const all: Printed[] = []
  const run = async (...args: readonly string[]): Promise<Printed> => {
    const printed = await coldframe(args, home)
    all.push(printed)
    expect(printed.exitCode, `${printed.stdout}${printed.stderr}`).toBe(0)
    expect(controlCharactersOf(printed)).toEqual([])
    return printed
  }

  const backedUp = await run('backup', '--vm', 'app-01', '--vm', oddName)
  for (const part of ['quiescing is tried', 'crash-consistent', 'no guest processing', 'transport "datastore"']) {
    expect(backedUp.stdout).toContain(part)
  }
  expect(backedUp.stdout).toMatch(/^app-01: success: /m)
  expect(backedUp.stdout).toMatch(/restore point [0-9a-f]{12} \(app-01@1, filesystem-consistent\)/)
  expect(backedUp.stdout).toMatch(/6 MiB read, [0-9.]+ MiB stored, /)
  expect(backedUp.stdout).toContain('b?da:x@1, powered off')
  expect(backedUp.stderr).toMatch(/^app-01: reading the disks/m)
  expect(backedUp.stderr).toMatch(/^app-01, Hard disk 1: 4 MiB of 4 MiB \(100 %\)/m)

  expect((await run('points')).stdout).toMatch(
    /^app-01 +@1 {2}[0-9a-f]{12} {2}.* filesystem +- {2}full +yes .* 6 MiB /m,
  )
  const jobs = await run('jobs')
  expect(jobs.stdout).toMatch(/^[0-9a-f]{8} {2}app-01 .* success: /m)
  const detail = await run('jobs', '--job', /^([0-9a-f]{8}) {2}app-01/m.exec(jobs.stdout)?.[1] ?? '')
  expect(detail.stdout).toMatch(/^disk 2001 +Hard disk 2: 2 MiB of 2 MiB, datastore$/m)

  const [one] = (await sim.frozen()).filter(({ vm, snapshot }) => vm === 'app-01' && snapshot.includes('-backup-'))
  const restored = await run('restore', 'app-01@latest', '--to', 'out')
  expect(restored.stdout).toMatch(/^disk 2000: .*out\/app-01-1-disk2000\.raw \(4 MiB, /m)
  expect(restored.stderr).toMatch(/^Restoring app-01@1 of .*, filesystem-consistent$/m)
  for (const { deviceKey, sha256 } of one?.disks ?? []) {
    expect(await digestOf(join(home.folder, 'out', `app-01-1-disk${deviceKey}.raw`))).toBe(sha256)
  }
  await run('restore', 'app-01@1', '--disk', '2001', '--to', 'second.raw')
  expect(await digestOf(join(home.folder, 'second.raw'))).toBe(one?.disks[1]?.sha256)
  await run('restore', `${oddName}@1`, '--to', 'odd/')
  expect(await readdir(join(home.folder, 'odd'))).toEqual(['b_da_x-1-disk2000.raw'])

  const verified = await run('verify', '--all')
  expect(verified.stdout).toMatch(/^app-01@1: whole: \d+ chunks/m)
  expect(all.map(({ stdout, stderr }) => stdout + stderr).join('')).not.toContain(sim.password)
})

it('the simulator starts as a command, says how to point at it, and ends with its parent', patience, async () => {
  await using program = startProgram(programPath('cli'), ['sim', '--estate', 'small', '--password', "it's"])
  const lines: string[] = []
  for (let line = await program.line(); line !== null && !line.startsWith('It runs'); line = await program.line()) {
    lines.push(line.trim())
  }
  expect(lines).toContain("export COLDFRAME_VCENTER_PASSWORD='it'\\''s'")
  const url = /^export COLDFRAME_VCENTER=(https:.*)$/.exec(lines.find((line) => line.includes('VCENTER=')) ?? '')?.[1]
  const control = /control port: (http:[^)]+)\)/.exec(lines.join(' '))?.[1] ?? ''
  expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
  expect((await fetch(`${control}/machines`)).status).toBe(200)
  await program.kill('SIGINT')
  expect(await program.ended()).toEqual({ code: 0, signal: null })
  await expect(fetch(`${control}/machines`)).rejects.toThrow('fetch failed')
})
