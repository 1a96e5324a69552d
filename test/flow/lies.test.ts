// A vCenter that fails and lies, by seed: every backup ends well or says why it could not, no snapshot is left, and what
// was kept is what was frozen. COLDFRAME_SEED replays a run.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type BackupData,
  damagedPoints,
  differencesOf,
  type Home,
  openHome,
  openSim,
  pointsOf,
  type Rule,
  type Sim,
  snapshotsIn,
} from './kit.ts'

const seed = Number(process.env['COLDFRAME_SEED'] ?? Date.now() % 1_000_000)
const LIMIT_MS = 120_000

type Lie = {
  readonly name: string
  readonly rules: readonly Rule[]
  /** Whether the backup must succeed all the same; else it may also fail with a sentence. */
  readonly survived: boolean
}

const snapshotFault = { fault: 'GenericVmConfigFault', message: 'An error occurred while saving the snapshot' }

const lies: readonly Lie[] = [
  {
    name: 'the snapshot fails at once',
    rules: [{ call: 'CreateSnapshot_Task', nth: 1, times: 9, mishap: { kind: 'fault', ...snapshotFault } }],
    survived: false,
  },
  {
    name: 'the snapshot task fails',
    rules: [{ call: 'CreateSnapshot_Task', nth: 1, times: 9, mishap: { kind: 'task-fault', ...snapshotFault } }],
    survived: false,
  },
  {
    name: 'the snapshot is made, but its task says that it failed',
    rules: [{ call: 'CreateSnapshot_Task', nth: 1, times: 9, mishap: { kind: 'task-fault-after', ...snapshotFault } }],
    survived: false,
  },
  {
    name: 'the session ends while disks are read, and again later',
    rules: [
      { call: '/folder', nth: 3, times: 2, mishap: { kind: 'expire-session' } },
      { call: 'RetrievePropertiesEx', nth: 12, times: 1, mishap: { kind: 'expire-session' } },
    ],
    survived: true,
  },
  {
    name: 'bodies are short, ranges are wrong, replies are slow',
    rules: [
      { call: '/folder', chance: 0.1, mishap: { kind: 'short-body' } },
      { call: '/folder', chance: 0.1, mishap: { kind: 'wrong-range' } },
      { call: '*', chance: 0.2, mishap: { kind: 'delay', delayMs: 60 } },
    ],
    survived: true,
  },
  {
    name: 'the removal of the snapshot fails, and once only says so',
    rules: [
      { call: 'RemoveSnapshot_Task', nth: 1, times: 1, mishap: { kind: 'task-fault', ...snapshotFault } },
      { call: 'RemoveSnapshot_Task', nth: 2, times: 1, mishap: { kind: 'task-fault-after', ...snapshotFault } },
    ],
    survived: true,
  },
  {
    name: 'connections are dropped',
    rules: [{ call: '*', chance: 0.04, mishap: { kind: 'drop-connection' } }],
    survived: false,
  },
  {
    name: 'one call in fifty is answered with status 500',
    rules: [{ call: '*', chance: 0.02, mishap: { kind: 'http-status', status: 500 } }],
    survived: false,
  },
  { name: 'nothing', rules: [], survived: true },
]

describe('a vCenter that lies', () => {
  it(`loses no byte and keeps no snapshot of ours (COLDFRAME_SEED=${seed})`, async () => {
    await using home = await openHome(null)
    const scenario = join(home.folder, 'scenario.json')
    await writeFile(scenario, JSON.stringify({ seed, faults: [] }))
    await using sim = await openSim('--estate', 'small', '--scenario', scenario, '--snapshot-ms', '20')
    const told: string[] = []
    for (const lie of lies) told.push(`${lie.name}: ${await backUpUnder(lie, home, sim)}`)

    const points = await pointsOf(home)
    expect(points.length, told.join('\n')).toBe(told.filter((line) => line.endsWith(': success')).length)
    for (const point of points) expect(await differencesOf(home, point, sim), told.join('\n')).toEqual([])
    expect(await damagedPoints(home)).toEqual([])
  }, 300_000)
})

/** @returns the outcome in words */
async function backUpUnder(lie: Lie, home: Home, sim: Sim): Promise<string> {
  await sim.write(50_000)
  for (const rule of lie.rules) await sim.arm(rule)
  const environment = sim.variables
  const ended = await home.run<BackupData>(['backup', '--vm', 'db-01'], { environment, limitMs: LIMIT_MS })
  await sim.calm()
  const why = `${lie.name}\n${ended.stdout}\n${ended.stderr}`
  expect(ended.exitCode, why).toBeOneOf(lie.survived ? [0] : [0, 1])
  expect(await snapshotsIn(sim), why).toEqual([])
  expect(
    (await sim.machines()).filter((machine) => machine.consolidationNeeded),
    why,
  ).toEqual([])
  if (ended.exitCode === 0) return 'success'
  expect(ended.document?.error?.message, why).toMatch(/^[^a-z].{10,}[^.]$/s)
  expect(ended.document?.data?.jobs ?? [], why).not.toMatchObject([{ pointId: expect.any(String) }])
  return ended.document?.error?.message ?? ''
}
