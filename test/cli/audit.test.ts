// A vCenter whose tracking forgets what a guest wrote, seen by an operator: the backup says so and is right, earlier points are
// marked, the next backup resets tracking.

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { differencesOf, type Home, openHome, openSim, pointsOf } from '../flow/kit.ts'
import { coldframe } from './coldframe.ts'

const VM = 'app-01'
const POLICY = 'name: audited\nselect: {any: [{name: app-01}]}\ntransport: [datastore]\nchangeTracking: {audit: '

async function backUp(home: Home, audit: number) {
  const path = join(home.folder, `audit-${audit}.yaml`)
  await writeFile(path, `${POLICY}${audit}}\n`)
  const printed = await coldframe(['backup', '--vm', VM, '--policy', path], home)
  expect(printed.exitCode, `${printed.stdout}${printed.stderr}`).toBe(0)
  return printed.stdout
}

it('tracking that forgets is caught, told and mended', { timeout: 180_000 }, async () => {
  await using sim = await openSim('--estate', 'small', '--snapshot-ms', '20')
  await using home = await openHome(sim)
  const run = (...args: readonly string[]) => coldframe(args, home)
  await backUp(home, 0)
  await sim.act(VM, 'write', { bytes: 300_000 })
  await backUp(home, 0)
  const half = await backUp(home, 50)
  expect(half).toMatch(/^app-01: success: /m)
  const before = (await run('points', '--vm', VM)).stdout
  expect(before).toMatch(/@1 .* full +yes /m)
  expect(before).toMatch(/@3 .* incremental +50 % /m)
  expect(before).toContain(
    'app-01@3: Read by changed areas; audited 50 % of what changed block tracking called unchanged since point 1',
  )

  await sim.act(VM, 'write', { bytes: 300_000 })
  await sim.act(VM, 'change-tracking', { lie: 'forget' })
  const caught = await backUp(home, 100)
  expect(caught).toMatch(/^app-01: warning: Disks? "Hard disk .* read whole: .*tracking left out changes/m)
  const job = /^([0-9a-f]{8}) {2}app-01 .*warning/m.exec((await run('jobs')).stdout)?.[1] ?? ''
  const detail = (await run('jobs', '--job', job)).stdout
  const weight = 'made in .+, removed in .+, stood for .+, grew by '
  expect(detail).toMatch(new RegExp(`^snapshot +${weight}`, 'm'))
  const asData = JSON.parse((await run('jobs', '--job', job, '--json')).stdout)
  expect(asData).toMatchObject({
    data: { job: { snapshot: { createMs: expect.any(Number), removeMs: expect.any(Number) } } },
  })
  expect(detail).toMatch(/^disk 2000 +Hard disk 1: audited \d+ chunks \(.* read\) in turn 1 of 1, \d+ differs?$/m)

  const printed = await run('points', '--vm', VM, '--proof')
  expect(printed.stdout).toMatch(/@1 .* full +yes /m)
  expect(printed.stdout).toMatch(/@2 .* incremental +NO /m)
  expect(printed.stdout).toMatch(/@3 .* incremental +NO /m)
  expect(printed.stdout).toMatch(/@4 .* differential.* yes /m)
  expect(printed.stdout.match(new RegExp(`^ {2}snapshot: ${weight}`, 'gm'))).toHaveLength(4)
  expect(printed.stdout).toMatch(/^app-01@2: UNPROVEN: Disk "Hard disk/m)
  const known = await pointsOf(home)
  expect(known.map((point) => Reflect.get(point, 'proven'))).toEqual([true, false, false, true])
  const last = known.at(-1)
  if (last !== undefined) expect(await differencesOf(home, last, sim)).toEqual([])

  const restored = await run('restore', `${VM}@2`, '--to', 'out')
  expect(restored.exitCode).toBe(0)
  expect(restored.stderr).toMatch(/^WARNING: app-01@2 UNPROVEN: /m)
  const verified = await run('verify', `${VM}@2`)
  expect(verified.exitCode).toBe(0)
  expect(verified.stdout).toMatch(/^app-01@2: whole: .*\n {2}UNPROVEN: /m)

  expect(await backUp(home, 2)).toMatch(/tracking was reset/i)
  const events = await readFile(join(home.folder, 'home', 'log', 'events.jsonl'), 'utf8')
  expect(events.match(/coldframe\.audit\.mismatch/g)).toHaveLength(1)

  await forge(home)
  const people = await run('points')
  expect(people.exitCode).toBe(5)
  expect(people.stdout).toMatch(/^UNREADABLE: annotation 1 of point 2 of VM /m)
  expect(people.stdout).toMatch(/@2 .* incremental +\? /m)
  const doubted = await run('restore', `${VM}@2`, '--to', 'out-2')
  expect(doubted.exitCode).toBe(5)
  expect(await readdir(join(home.folder, 'out-2'))).toHaveLength(2)
  expect((await run('verify', `${VM}@2`)).exitCode).toBe(5)
})

/** Somebody changes a letter of what is said about point 2. */
async function forge({ repository }: Home): Promise<void> {
  const names = await readdir(join(repository, 'a'), { recursive: true })
  const name = names.find((one) => one.endsWith('0000000002/1'))
  if (name === undefined) throw new Error('point 2 was annotated')
  const path = join(repository, 'a', name)
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace('"kind":"unproven"', '"kind":"verified"'))
}
